"""The states of files that all of their bytes identify: from the cache if the stat is unchanged."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping

from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.digest import Digest, digest_json
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.pin import PinnedObject
from geobatch.sources import remote
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.files import identify_file
from geobatch.sources.naming import Named
from geobatch.sources.probe_cache import trusted_probes
from geobatch.sources.threads import on_threads

_MANY = 16
"""Fewest threads that ask servers; they only wait."""


class FileState(Struct, frozen=True, kw_only=True):
    """The state of a file."""

    cached: CachedProbe
    """What is cached of it."""
    pinned: PinnedObject | None = None
    """The object, if it is not a local file."""

    def path(self, part: DeclaredSource) -> str:
        """Return the real path of the file, or the url of the object."""
        path = part.url or os.fspath(part.path)
        return os.path.realpath(path) if self.cached.is_linked else path


def no_text(part: DeclaredSource, digest: Digest, pinned: PinnedObject | None) -> str:  # noqa: ARG001
    """Return that nothing of a file is kept but its identity."""
    return ""


def identify_files(
    parts: Collection[DeclaredSource],
    options: ProbeOptions,
    *,
    maker: str,
    text_of: Callable[[DeclaredSource, Digest, PinnedObject | None], str] = no_text,
) -> tuple[dict[DeclaredSource, FileState], set[DeclaredSource]]:
    """Return the state of each file, and those files that were read to be identified.

    The state of an object that is not local identifies it; its bytes are not read.

    Args:
        parts: The files, each once or several times.
        options: How to probe.
        maker: What makes the texts, and its version; texts of others are not used.
        text_of: Returns what is kept of a file, with its digest and the object that it is; an
            `UnnamedError` of it gets the name of the file.

    Raises:
        SourceError: A file is missing, cannot be read, or changed meanwhile.
    """
    cache, by_name = options.cache, {os.fspath(part.path): part for part in parts}
    before = {} if cache is None else cache.get_probes(by_name)
    before = {name: cached for name, cached in before.items() if cached.maker == maker}
    pinned = _pin({name: part for name, part in by_name.items() if part.url}, options)
    states = {} if options.rehash else trusted_probes(_local(before, by_name))
    for name, there in () if options.rehash else pinned.items():
        if name in before and before[name].stat == there.state.object_stat(there.url):
            states[name] = before[name]

    def identify(part: DeclaredSource, there: PinnedObject | None) -> CachedProbe:
        return _identify(part, there, maker=maker, text_of=text_of)

    others = [part for name, part in by_name.items() if name not in states]
    objects = [pinned.get(os.fspath(part.path)) for part in others]
    found = on_threads(identify, others, objects, workers=options.workers, name="identify")
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


def _identify(
    part: DeclaredSource,
    pinned: PinnedObject | None,
    *,
    maker: str,
    text_of: Callable[[DeclaredSource, Digest, PinnedObject | None], str],
) -> CachedProbe:
    time_ns = time.time_ns()
    with Named(part.uri):
        if pinned is None:
            digest, stat = identify_file(part.path, may_be_empty=True)
        else:
            state = pinned.state
            digest, stat = state.object_identity(pinned.url), state.object_stat(pinned.url)
        text = text_of(part, digest, pinned)
    return CachedProbe(
        stat=stat,
        time_ns=time_ns,
        digest=digest,
        header=text,
        crs="",
        is_linked=pinned is None and os.path.realpath(part.path) != os.fspath(part.path),
        maker=maker,
    )


def variable_digest(digest: Digest, variable: str) -> Digest:
    """Return what identifies a raster that has a name, of a file that has a digest."""
    return digest_json(["geobatch variable", digest, variable])
