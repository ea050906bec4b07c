"""The state of the COGs of external images; unchanged ones are not opened."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from geobatch.model.digest import Digest
from geobatch.model.geobox import Crs
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.file_stat import FileStat, file_stat
from geobatch.model.sources.header import (
    crs_from_text,
    crs_to_text,
    header_from_text,
    header_to_text,
)
from geobatch.model.sources.pin import CogLayout, Remote
from geobatch.model.sources.probe import Probe
from geobatch.sources import cog
from geobatch.sources.driver import ProbeOptions, Probes
from geobatch.sources.files import identify_file
from geobatch.sources.naming import LostStateError
from geobatch.sources.probe_cache import ProbeCache, maker
from geobatch.sources.remote.remote_file import identity_of, stat_of
from geobatch.sources.threads import on_threads

DRIVER = "cog"
"""Name of the driver."""
LAYOUT_EPOCH = 1
"""Increased whenever equal COGs would get another layout than before."""
_PREFIX = "cog:"
"""Key of the cached state of COGs, which has more than that of files to ingest."""
_DIGEST = re.compile("[0-9a-f]{64}")
_MANY = 16
"""Fewest threads that ask servers; they only wait."""


def probe_cogs(files: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
    """Return the state of COGs: header and digest of files, header and state of objects.

    An unchanged file is not opened. A server is asked for the state of its object each time, and
    for the header only if that state is new.

    Raises:
        SourceError: A COG is missing, cannot be read, changed while it was probed, or is not in
            the state that its uri names.
    """
    every = {file.path: file for file in files}
    states: Mapping[str, CachedProbe] = {}
    cache, workers = options.cache, options.workers
    if cache is not None and not options.rehash:
        states = cache.get_probes([_name(file) for file in every.values()])
    found: dict[Path, Probe] = {}
    for file in every.values():
        unchanged = None if file.url else _unchanged(file, states.get(_name(file)))
        if unchanged is not None:
            found[file.path] = unchanged
    others = [file for file in every.values() if file.path not in found]
    earlier = [states.get(_name(file)) for file in others]
    threads = max(workers, _MANY) if any(file.url for file in others) else workers
    hashed = 0
    probed = on_threads(_probe, others, earlier, workers=threads, name="cog")
    for file, (found[file.path], new) in zip(others, probed, strict=True):
        if new is not None:
            hashed += 1
            if cache is not None:
                cache.put_probes({_name(file): new})
    for file in files:
        _check_generation(file, found[file.path])
    return Probes(
        probes=[found[file.path] for file in files],
        hashed=hashed,
        by_stat=len(every) - hashed,
    )


def digest_of(path: Path, *, cache: ProbeCache) -> tuple[Digest, FileStat, bool]:
    """Return the digest of a COG's bytes with its stat; an unchanged file is not read.

    Returns:
        Digest, stat, and whether a file with this stat is sure to have this digest; see
        `CachedProbe.is_trusted`.

    Raises:
        UnnamedError: The file is missing, unreadable, or changes.
    """
    name = _PREFIX + os.fspath(path)
    before, now = cache.get_probes([name]).get(name), _stat(path)
    if before is not None and now is not None and before.is_trusted(now):
        return before.digest, now, True
    time_ns = time.time_ns()
    digest, found = identify_file(path)
    # No header: planning reads the file again.
    cached = CachedProbe(
        stat=found, time_ns=time_ns, digest=digest, header="", crs="", is_linked=False, maker=""
    )
    cache.put_probes({name: cached})
    return digest, found, cached.is_trusted(found)


def _name(file: DeclaredSource) -> str:
    return _PREFIX + (file.url or os.fspath(file.path))


def _unchanged(file: DeclaredSource, before: CachedProbe | None) -> Probe | None:
    """Return the cached state of an unchanged local file; None for any other."""
    now = None if before is None else _stat(file.path)
    if before is None or now is None or not before.is_trusted(now):
        return None
    return _cached(file, before, None)


def _probe(file: DeclaredSource, before: CachedProbe | None) -> tuple[Probe, CachedProbe | None]:
    """Return the state of a COG, and the state to cache if it is new."""
    if file.url and before is not None:
        remote = cog.ask_server(file) if file.state is None else file.state
        # An object that is not pinned may have another header now.
        if remote.lacks is None and before.is_trusted(stat_of(file.url, remote)):
            probe = _cached(file, before, remote)
            if probe is not None:
                return probe, None
    time_ns = time.time_ns()
    found = cog.probe_url(file) if file.url else cog.probe_file(file)
    header = found.header
    cached = CachedProbe(
        stat=found.stat,
        time_ns=time_ns,
        digest=found.digest,
        header=f"{json.dumps(found.layout.to_json())}\n{header_to_text(header)}",
        crs=crs_to_text(header.crs) if header.crs is not None else "",
        is_linked=not file.url and header.path != os.fspath(file.path),
        maker=_maker(),
    )
    probe = Probe(
        header=header,
        digest=found.digest,
        stat=found.stat,
        layout=found.layout,
        remote=found.remote,
        driver=DRIVER,
    )
    return probe, cached


def _cached(file: DeclaredSource, cached: CachedProbe, remote: Remote | None) -> Probe | None:
    if cached.maker != _maker():
        return None
    layout, _, header = cached.header.partition("\n")
    path = file.url or os.fspath(file.path)
    try:
        return Probe(
            header=header_from_text(
                header,
                uri=file.uri,
                path=os.path.realpath(path) if cached.is_linked else path,
                crs=_crs(cached.crs) if cached.crs else None,
            ),
            # The identity of a cached object may have been computed differently.
            digest=cached.digest if remote is None else identity_of(file.url, remote),
            stat=cached.stat,
            layout=CogLayout.from_json(json.loads(layout)),
            remote=remote,
            driver=DRIVER,
        )
    except (ValueError, KeyError, TypeError):
        return None


@lru_cache(maxsize=256)
def _crs(text: str) -> Crs:
    return crs_from_text(text)


def _stat(path: Path) -> FileStat | None:
    try:
        return file_stat(os.stat(path))  # noqa: PTH116 - by the thousand
    except (OSError, ValueError):
        return None  # opening it later reports what is wrong


def _check_generation(file: DeclaredSource, found: Probe) -> None:
    """Check that a COG is in the state that its uri names.

    Of a local file only a digest can be compared; another generation is that of the bucket of
    which the file is a copy, and is kept as it is written.
    """
    wanted, remote = file.generation, found.remote
    if not wanted:
        return
    if remote is None:
        names = frozenset({found.digest} if _DIGEST.fullmatch(wanted) else {wanted})
    else:
        names = remote.names
    if wanted not in names:
        now = found.digest if remote is None else remote.generation
        hint = f"it is now `{now}`; write that one, or no generation"
        raise LostStateError(wanted, hint=hint).named(file.uri)


def _maker() -> str:
    return f"{LAYOUT_EPOCH} {maker()}"
