"""The state of TIFFs on servers and in buckets: only headers are read, and those of new states."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.geobox import Crs
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header, crs_to_text, header_to_text
from geobatch.model.sources.pin import Remote
from geobatch.model.sources.probe import Probe
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.geotiff import objects
from geobatch.sources.geotiff.headers.stored import stored_pixels_of
from geobatch.sources.geotiff.objects.kept import KeptHeaders
from geobatch.sources.geotiff.probe import cached_header
from geobatch.sources.naming import LostStateError, Named
from geobatch.sources.probe_cache import crs_reader, maker
from geobatch.sources.remote.remote_file import identity_of, open_remote, stat_of
from geobatch.sources.threads import on_threads

_PREFIX = "object:"
"""Key of the cached state of an object."""
_MANY = 16
"""Fewest threads that ask servers; they only wait."""


class ObjectProbes(Struct, frozen=True, kw_only=True):
    """The state of some objects."""

    sources: Mapping[str, Probe]
    """By url."""
    read: int
    """How many headers were read."""


def probe_objects(
    files: Sequence[DeclaredSource], options: ProbeOptions, headers: KeptHeaders
) -> ObjectProbes:
    """Return the state of objects; the header of one whose state is known is not read.

    A state that a list reported is taken; else the server or the bucket is asked for it.

    Args:
        files: The objects; one that is declared several times is probed once.
        options: How to probe.
        headers: Receives the bytes of headers that are read.

    Raises:
        SourceError: An object is missing, cannot be read, or changed while it was probed.
    """
    every = {file.url: file for file in files}
    cache, crs = options.cache, dict[str, Crs | None]({"": None})
    earlier: Mapping[str, CachedProbe] = {}
    if cache is not None and not options.rehash:
        earlier = cache.get_probes([_PREFIX + url for url in every])
    sources: dict[str, Probe] = {}
    for url, file in every.items():
        before = earlier.get(_PREFIX + url)
        known = None if file.state is None else _known(file, file.state, before, crs)
        if known is not None:
            sources[url] = known
    others = [file for url, file in every.items() if url not in sources]
    probe = partial(_probe, headers=headers, crs=crs, read_crs=crs_reader(cache))
    states = [earlier.get(_PREFIX + file.url) for file in others]
    threads = max(options.workers, _MANY)
    found = on_threads(
        probe, others, states, workers=threads, name="object", meanwhile=options.meanwhile
    )
    read = 0
    for file, (sources[file.url], cached) in zip(others, found, strict=True):
        if cached is not None:
            read += 1
            if cache is not None:
                cache.put_probes({_PREFIX + file.url: cached})
    for file in files:
        _check_generation(file, sources[file.url].remote)
    return ObjectProbes(sources=sources, read=read)


def _check_generation(file: DeclaredSource, found: Remote | None) -> None:
    """Check that an object is in the state that its uri names; a server has one state only."""
    if file.generation and found is not None and file.generation not in found.names:
        hint = f"it is now `{found.generation}`; write that one, or no generation"
        raise LostStateError(file.generation, hint=hint).named(file.url)


def _known(
    file: DeclaredSource, state: Remote, before: CachedProbe | None, crs: dict[str, Crs | None]
) -> Probe | None:
    """Return the probe of an object in a state whose header is cached; None if it is not."""
    if before is None or before.digest != identity_of(file.url, state) or state.lacks is not None:
        return None
    header = cached_header(before, file, crs)
    return None if header is None else _made(file, state, header)


def _probe(
    file: DeclaredSource,
    before: CachedProbe | None,
    *,
    headers: KeptHeaders,
    crs: dict[str, Crs | None],
    read_crs: Callable[[str], Crs],
) -> tuple[Probe, CachedProbe | None]:
    """Return the state of an object, and what to cache if its header was read."""
    with Named(file.uri):
        if file.state is None and before is not None:
            known = _known(file, objects.state_of(file), before, crs)
            if known is not None:
                return known, None
        found = objects.read_object(file, read_crs=read_crs)
    probe = _made(file, found.remote, found.header)
    headers.put(file.url, probe.digest, found.parts)
    header = probe.header
    return probe, CachedProbe(
        stat=probe.stat,
        time_ns=1,
        digest=probe.digest,
        header=header_to_text(header),
        crs=crs_to_text(header.crs) if header.crs is not None else "",
        is_linked=False,
        maker=maker(),
    )


def _made(file: DeclaredSource, state: Remote, header: Header) -> Probe:
    return Probe(
        header=replace(header, uri=file.uri, path=file.url),
        digest=identity_of(file.url, state),
        stat=stat_of(file.url, state),
        remote=state,
        servers=file.servers,
    )


def stored_pixels_of_object(probe: Probe, headers: KeptHeaders) -> int | None:
    """Return how many pixels the stored blocks of an object hold; None if unknown.

    Raises:
        SourceError: The object changed, or cannot be read.
    """
    url = probe.header.path
    with Named(probe.header.uri):
        file = open_remote(url, remote=probe.remote, servers=probe.servers, is_header=True)
        with closing(file):
            return objects.with_header(file, headers.get(url, probe.digest), stored_pixels_of)
