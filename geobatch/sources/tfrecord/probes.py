"""The state of TFRecord shards and mixers: from the cache if their stat is unchanged."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.digest import Digest, Json, digest_bytes
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.pin import PinnedObject
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources import remote, tfrecord
from geobatch.sources.driver import ProbeOptions, Probes
from geobatch.sources.files import (
    changed,
    explain,
    identify_file,
    regular_file,
)
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.probe_cache import ProbeCache, trusted_probes
from geobatch.sources.small_files import read_small
from geobatch.sources.tfrecord.export import ExportProbe
from geobatch.sources.tfrecord.mixer import MAX_BYTES, parse_mixer
from geobatch.sources.threads import on_threads

PROBE_EPOCH = 1
"""Increased whenever equal files would get another cached state than before."""
_MANY = 16
"""Fewest threads that ask servers; they only wait."""
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


class FileState(Struct, frozen=True, kw_only=True):
    """The state of a mixer or a shard."""

    cached: CachedProbe
    """What is cached of it."""
    pinned: PinnedObject | None = None
    """The object, if it is not a local file."""


def probe_files(
    parts: Collection[DeclaredSource], options: ProbeOptions, *, mixers: Collection[str] = ()
) -> tuple[dict[DeclaredSource, FileState], set[DeclaredSource]]:
    """Return the state of each file, and those files that were read to be identified.

    Of an object that is not local, only a mixer is read: the object's state identifies it.

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
    pinned = _pin({name: part for name, part in by_name.items() if part.url}, options)
    states = {} if options.rehash else trusted_probes(_local(before, by_name))
    for name, there in () if options.rehash else pinned.items():
        if name in before and before[name].stat == there.state.object_stat(there.url):
            states[name] = before[name]
    others = [part for name, part in by_name.items() if name not in states]
    is_mixer = [os.fspath(part.path) in mixers for part in others]
    objects = [pinned.get(os.fspath(part.path)) for part in others]
    found = on_threads(_probe, others, is_mixer, objects, workers=options.workers, name="shard")
    for part, cached in zip(others, found, strict=True):
        name = os.fspath(part.path)
        old = before.get(name)
        # Equal bytes have equal content.
        is_same = old is not None and old.digest == cached.digest
        states[name] = replace(cached, header=old.header) if old and is_same else cached
        if cache is not None:
            cache.put_probes({name: states[name]})
    made = {
        name: FileState(cached=cached, pinned=pinned.get(name)) for name, cached in states.items()
    }
    return {part: made[os.fspath(part.path)] for part in parts}, set(others)


def _local(
    before: Mapping[str, CachedProbe], parts: Mapping[str, DeclaredSource]
) -> dict[str, CachedProbe]:
    return {name: cached for name, cached in before.items() if not parts[name].url}


def _pin(parts: Mapping[str, DeclaredSource], options: ProbeOptions) -> dict[str, PinnedObject]:
    """Return the objects among some files, in their states; few must be asked for."""
    if not parts:
        return {}

    def pin_named(part: DeclaredSource) -> PinnedObject:
        with Named(part.uri):
            return remote.pin(part)

    workers = max(options.workers, _MANY)
    return dict(
        zip(parts, on_threads(pin_named, parts.values(), workers=workers, name="pin"), strict=True)
    )


def _probe(part: DeclaredSource, is_mixer: bool, pinned: PinnedObject | None) -> CachedProbe:
    time_ns = time.time_ns()
    with Named(part.uri):
        if pinned is None:
            digest, stat = identify_file(part.path, may_be_empty=True)
            text = _text(part, digest) if is_mixer else ""
        else:
            state = pinned.state
            digest, stat = state.object_identity(pinned.url), state.object_stat(pinned.url)
            text = (
                _decoded(read_small(replace(part, state=state), most=MAX_BYTES)) if is_mixer else ""
            )
    return CachedProbe(
        stat=stat,
        time_ns=time_ns,
        digest=digest,
        header=text,
        crs="",
        is_linked=pinned is None and os.path.realpath(part.path) != os.fspath(part.path),
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
        return _decoded(data)
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise UnnamedError(f"the mixer is not valid JSON: {error}") from None


def _export(
    file: DeclaredSource, states: dict[DeclaredSource, FileState], cache: ProbeCache | None
) -> ExportProbe:
    text = states[file].cached.header
    with Named(file.uri):
        mixer = parse_mixer(text)
    shards = tuple(shard_of(part, states[part]) for part in file.shards)
    for part, shard in zip(file.shards, shards, strict=True):
        if not states[part].cached.header:
            described = _described(part, shard, states[part].cached, cache)
            states[part] = replace(states[part], cached=described)
        features: Json = json.loads(states[part].cached.header)
        if features:
            return ExportProbe(
                mixer=mixer,
                mixer_text=text,
                mixer_file=shard_of(file, states[file]),
                shards=shards,
                features={name: (kind, n) for name, (kind, n) in features["features"].items()},
                first=part.uri,
            )
    raise SourceError(
        f"`{file.uri}`: expected {mixer.total} records, got none in {len(shards)} shards",
        hint="list all shards of the export, in order",
    )


def shard_of(part: DeclaredSource, state: FileState) -> Shard:
    """Return a file as it was probed."""
    path = part.url or os.fspath(part.path)
    return Shard(
        uri=part.uri,
        path=os.path.realpath(path) if state.cached.is_linked else path,
        stat=state.cached.stat,
        digest=state.cached.digest,
        pinned=state.pinned,
    )


def _described(
    part: DeclaredSource, shard: Shard, state: CachedProbe, cache: ProbeCache | None
) -> CachedProbe:
    """Return the state of a shard with the features of its first record."""
    found = replace(state, header=tfrecord.describe(shard))
    if cache is not None:
        cache.put_probes({os.fspath(part.path): found})
    return found
