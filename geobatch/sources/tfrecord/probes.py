"""The state of TFRecord shards and mixers: from the cache if their stat is unchanged."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.digest import Digest, Json, digest_bytes
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources import tfrecord
from geobatch.sources.driver import ProbeOptions, Probes
from geobatch.sources.files import (
    changed,
    explain,
    identify_file,
    regular_file,
)
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.probe_cache import ProbeCache, trusted_probes
from geobatch.sources.tfrecord.export import ExportProbe
from geobatch.sources.tfrecord.mixer import MAX_BYTES, parse_mixer
from geobatch.sources.threads import on_threads

PROBE_EPOCH = 1
"""Increased whenever equal files would get another cached state than before."""
_MAKER = f"tfrecord {PROBE_EPOCH}"


def probe_exports(sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
    """Return the state of exports: mixers with their shards.

    A shard is digested as it is; nothing is decoded but the first record of the first one.

    Raises:
        SourceError: A file is missing, cannot be read, changed meanwhile, or is no mixer or shard.
    """
    parts = [part for source in sources for part in (source, *source.shards)]
    mixers = {os.fspath(source.path) for source in sources}
    states, read = probe_files(parts, options, mixers=mixers)
    exports = {source: _export(source, states, options.cache) for source in dict.fromkeys(sources)}
    hashed = sum(not read.isdisjoint((source, *source.shards)) for source in exports)
    return Probes(
        probes=[exports[source] for source in sources],
        hashed=hashed,
        by_stat=len(exports) - hashed,
    )


def probe_files(
    parts: Collection[DeclaredSource], options: ProbeOptions, *, mixers: Collection[str] = ()
) -> tuple[dict[DeclaredSource, CachedProbe], set[DeclaredSource]]:
    """Return the state of each file, and those files that were read to be identified.

    Args:
        parts: The files, each once or several times.
        options: How to probe.
        mixers: Paths of mixers, whose text is kept.

    Raises:
        SourceError: A file is missing, cannot be read, or changed meanwhile.
    """
    cache, by_name = options.cache, {os.fspath(part.path): part for part in parts}
    before = {} if cache is None else cache.get_probes(by_name)
    before = {name: cached for name, cached in before.items() if cached.maker == _MAKER}
    states = {} if options.rehash else trusted_probes(before)
    others = [part for name, part in by_name.items() if name not in states]
    is_mixer = [os.fspath(part.path) in mixers for part in others]
    found = on_threads(_probe, others, is_mixer, workers=options.workers, name="shard")
    for part, cached in zip(others, found, strict=True):
        name = os.fspath(part.path)
        old = before.get(name)
        # Equal bytes have equal content.
        is_same = old is not None and old.digest == cached.digest
        states[name] = replace(cached, header=old.header) if old and is_same else cached
        if cache is not None:
            cache.put_probes({name: states[name]})
    return {part: states[os.fspath(part.path)] for part in parts}, set(others)


def _probe(part: DeclaredSource, is_mixer: bool) -> CachedProbe:
    time_ns = time.time_ns()
    with Named(part.uri):
        digest, stat = identify_file(part.path, may_be_empty=True)
        text = _text(part, digest) if is_mixer else ""
    return CachedProbe(
        stat=stat,
        time_ns=time_ns,
        digest=digest,
        header=text,
        crs="",
        is_linked=os.path.realpath(part.path) != os.fspath(part.path),
        maker=_MAKER,
    )


def _text(mixer: DeclaredSource, digest: Digest) -> str:
    """Return the text of a mixer, whose bytes have a digest."""
    try:
        with regular_file(mixer.path).open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise UnnamedError(f"a mixer has at most {MAX_BYTES} bytes, got more")
        if digest_bytes(data) != digest:
            raise changed()
        return data.decode()
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error
    except UnicodeDecodeError as error:
        raise UnnamedError(f"the mixer is not valid JSON: {error}") from None


def _export(
    file: DeclaredSource, states: dict[DeclaredSource, CachedProbe], cache: ProbeCache | None
) -> ExportProbe:
    text = states[file].header
    with Named(file.uri):
        mixer = parse_mixer(text)
    shards = tuple(_shard(part, states[part]) for part in file.shards)
    for part, shard in zip(file.shards, shards, strict=True):
        if not states[part].header:
            states[part] = _described(part, shard, states[part], cache)
        described: Json = json.loads(states[part].header)
        if described:
            return ExportProbe(
                mixer=mixer,
                mixer_text=text,
                mixer_file=_shard(file, states[file]),
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
    part: DeclaredSource, shard: Shard, state: CachedProbe, cache: ProbeCache | None
) -> CachedProbe:
    """Return the state of a shard with the features of its first record."""
    found = replace(state, header=tfrecord.describe(shard))
    if cache is not None:
        cache.put_probes({os.fspath(part.path): found})
    return found
