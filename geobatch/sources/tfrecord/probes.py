"""The state of TFRecord shards and mixers: from the cache if their stat is unchanged."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.digest import Digest, Json, digest_bytes
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.pin import PinnedObject
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources import tfrecord
from geobatch.sources.driver import ProbeOptions, Probes
from geobatch.sources.files import changed, explain, regular_file
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.probe_cache import ProbeCache
from geobatch.sources.small_files import read_small
from geobatch.sources.tfrecord.export import ExportProbe
from geobatch.sources.tfrecord.mixer import MAX_BYTES, parse_mixer
from geobatch.sources.whole.identity import FileState, identify_files

PROBE_EPOCH = 1
"""Increased whenever equal files would get another cached state than before."""
MAKER = f"tfrecord {PROBE_EPOCH}"
"""What cached states of shards and mixers name."""


def probe_exports(sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
    """Return the state of exports: mixers with their shards.

    A shard is digested as it is; nothing is decoded but the first record of the first one.

    Raises:
        SourceError: A file is missing, cannot be read, changed meanwhile, or is no mixer or shard.
    """
    parts = [part for source in sources for part in (source, *source.shards)]
    mixers = {os.fspath(source.path) for source in sources}

    def text_of(part: DeclaredSource, digest: Digest, pinned: PinnedObject | None) -> str:
        return _text(part, digest, pinned) if os.fspath(part.path) in mixers else ""

    states, read = identify_files(parts, options, maker=MAKER, text_of=text_of)
    exports = {source: _export(source, states, options.cache) for source in dict.fromkeys(sources)}
    hashed = sum(not read.isdisjoint((source, *source.shards)) for source in exports)
    return Probes(
        probes=[exports[source] for source in sources],
        hashed=hashed,
        by_stat=len(exports) - hashed,
    )


def _text(mixer: DeclaredSource, digest: Digest, pinned: PinnedObject | None) -> str:
    """Return the text of a mixer: of a file with this digest, or of an object in its state."""
    if pinned is not None:
        return _decoded(read_small(replace(mixer, state=pinned.state), most=MAX_BYTES))
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
    shards = tuple(_shard_of(part, states[part]) for part in file.shards)
    for part, shard in zip(file.shards, shards, strict=True):
        if not states[part].cached.header:
            described = _described(part, shard, states[part].cached, cache)
            states[part] = replace(states[part], cached=described)
        features: Json = json.loads(states[part].cached.header)
        if features:
            return ExportProbe(
                mixer=mixer,
                mixer_text=text,
                mixer_file=_shard_of(file, states[file]),
                shards=shards,
                features={name: (kind, n) for name, (kind, n) in features["features"].items()},
                first=part.uri,
            )
    raise SourceError(
        f"`{file.uri}`: expected {mixer.total} records, got none in {len(shards)} shards",
        hint="list all shards of the export, in order",
    )


def _shard_of(part: DeclaredSource, state: FileState) -> Shard:
    """Return a file as it was probed."""
    return Shard(
        uri=part.uri,
        path=state.path(part),
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
