"""The state of TFRecord shards and mixers: from the cache if their stat is unchanged."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.digest import Digest, Json, digest_bytes
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.tfrecord import Mixer, Shard, records_digest
from geobatch.sources.files import changed, check_unchanged, explain, regular_file
from geobatch.sources.probe_cache import ProbeCache, trusted_probes
from geobatch.sources.tfrecord.mixer import MAX_BYTES, parse_mixer
from geobatch.sources.tfrecord.shard import identify_shard
from geobatch.sources.threads import on_threads

PROBE_EPOCH = 1
"""Increased whenever equal files would get another cached state than before."""
_MAKER = f"tfrecord {PROBE_EPOCH}"


class Found(Struct, frozen=True, kw_only=True):
    """The state of an export, before its features are selected."""

    mixer: Mixer
    """The arrangement of its patches."""
    mixer_text: str
    """Text of the mixer."""
    mixer_file: Shard
    """The mixer's own file."""
    shards: tuple[Shard, ...]
    """In the order of the records."""
    features: Mapping[str, tuple[str, int]]
    """(kind, number of values) of each feature of the first record; bytes for `bytes_list`."""
    first: str
    """Uri of the shard that has the first record."""

    @property
    def digest(self) -> str:
        """What identifies its pixels."""
        return records_digest(self.shards, self.mixer)


class ExportProbes(Struct, frozen=True, kw_only=True):
    """The state of all exports of a run."""

    exports: Mapping[DeclaredSource, Found]
    """By mixer and shards."""
    hashed: int
    """How many had files that were read to be identified."""
    by_stat: int
    """How many have files with an unchanged stat."""


def probe_exports(
    files: Sequence[DeclaredSource],
    *,
    cache: ProbeCache | None = None,
    workers: int = 1,
    rehash: bool = False,
) -> ExportProbes:
    """Read exports: mixers with their shards.

    A shard is digested as it is; nothing is decoded but the first record of the first one.

    Args:
        files: The mixers.
        cache: State of files from earlier runs; receives that of this run.
        workers: Threads that digest files.
        rehash: Whether to read every file, without the cache.

    Raises:
        SourceError: A file is missing, cannot be read, changed meanwhile, or is no mixer or shard.
    """
    mixers = {os.fspath(file.path): file for file in files}
    parts = {os.fspath(part.path): part for file in files for part in (file, *file.shards)}
    before = {} if cache is None else cache.get_probes(parts)
    before = {name: cached for name, cached in before.items() if cached.maker == _MAKER}
    probes = {} if rehash else trusted_probes(before)
    others = [part for name, part in parts.items() if name not in probes]
    is_mixer = [os.fspath(part.path) in mixers for part in others]
    found = on_threads(_probe, others, is_mixer, workers=workers, name="shard")
    for part, cached in zip(others, found, strict=True):
        name = os.fspath(part.path)
        old = before.get(name)
        # Equal bytes have equal content.
        is_same = old is not None and old.digest == cached.digest
        probes[name] = replace(cached, header=old.header) if old and is_same else cached
        if cache is not None:
            cache.put_probes({name: probes[name]})
    exports = {file: _found(file, probes, cache) for file in dict.fromkeys(files)}
    fresh = set(others)
    hashed = sum(not fresh.isdisjoint((file, *file.shards)) for file in exports)
    return ExportProbes(exports=exports, hashed=hashed, by_stat=len(exports) - hashed)


def _probe(part: DeclaredSource, is_mixer: bool) -> CachedProbe:
    time_ns = time.time_ns()
    digest, stat = identify_shard(part.path, part.uri)
    return CachedProbe(
        stat=stat,
        time_ns=time_ns,
        digest=digest,
        header=_text(part, digest) if is_mixer else "",
        crs="",
        is_linked=os.path.realpath(part.path) != os.fspath(part.path),
        maker=_MAKER,
    )


def _text(mixer: DeclaredSource, digest: Digest) -> str:
    """Return the text of a mixer, whose bytes have a digest."""
    real = regular_file(mixer.path, mixer.uri)
    try:
        with real.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise SourceError(f"`{mixer.uri}`: a mixer has at most {MAX_BYTES} bytes, got more")
        if digest_bytes(data) != digest:
            raise changed(mixer.uri)
        return data.decode()
    except OSError as error:
        raise SourceError(f"`{mixer.uri}`: cannot be read: {explain(error)}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"`{mixer.uri}`: the mixer is not valid JSON: {error}") from None


def _found(file: DeclaredSource, probes: dict[str, CachedProbe], cache: ProbeCache | None) -> Found:
    mixer_file = _shard(file, probes[os.fspath(file.path)])
    mixer = parse_mixer(probes[os.fspath(file.path)].header, file.uri)
    shards = tuple(_shard(part, probes[os.fspath(part.path)]) for part in file.shards)
    for part, shard in zip(file.shards, shards, strict=True):
        described: Json = json.loads(_described(part, shard, probes, cache))
        if described:
            return Found(
                mixer=mixer,
                mixer_text=probes[os.fspath(file.path)].header,
                mixer_file=mixer_file,
                shards=shards,
                features={name: (kind, n) for name, (kind, n) in described["features"].items()},
                first=part.uri,
            )
    raise SourceError(
        f"`{file.uri}`: expected {mixer.total} records, got none in {len(shards)} shards",
        hint="list all shards of the export, in order",
    )


def _shard(part: DeclaredSource, cached: CachedProbe) -> Shard:
    path = os.path.realpath(part.path) if cached.is_linked else os.fspath(part.path)
    return Shard(uri=part.uri, path=path, stat=cached.stat, digest=cached.digest)


def _described(
    part: DeclaredSource, shard: Shard, probes: dict[str, CachedProbe], cache: ProbeCache | None
) -> str:
    """Return the features of the first record of a shard, from the cache if possible."""
    name = os.fspath(part.path)
    if not probes[name].header:
        from geobatch.sources.tfrecord.records import describe  # noqa: PLC0415 - imports tensorflow

        text = describe(Path(shard.path), shard.uri)
        check_unchanged(shard.path, shard.uri, shard.stat)
        probes[name] = replace(probes[name], header=text)
        if cache is not None:
            cache.put_probes({name: probes[name]})
    return probes[name].header
