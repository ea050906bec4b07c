"""The state of the COGs of external images; unchanged ones are not opened."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from geobatch.declare import SourceFile
from geobatch.model.digest import Digest
from geobatch.model.geobox import Crs
from geobatch.model.sources.header import (
    crs_from_text,
    crs_to_text,
    header_from_text,
    header_to_text,
)
from geobatch.model.sources.look import FileStat, Look, file_stat
from geobatch.model.sources.pin import CogLayout, Remote
from geobatch.sources.geotiff.probing import Inspected, LookCache, maker
from geobatch.sources.probe import Inspection
from geobatch.sources.threads import on_threads

LAYOUT_EPOCH = 1
"""Increased whenever equal COGs would get another layout than before."""
_PREFIX = "cog:"
"""Key of the cached state of COGs, which has more than that of files to ingest."""
_DIGEST = re.compile("[0-9a-f]{64}")
_MANY = 16
"""Fewest threads that ask servers; they only wait."""


def inspect_cogs(
    files: Sequence[SourceFile],
    *,
    cache: LookCache | None = None,
    workers: int = 1,
    rehash: bool = False,
) -> Inspection:
    """Read COGs: the header and the digest of files, the header and the state of objects.

    A file that stood still is not opened; a server is asked for the state of its object each time,
    and only if that is another one for the header.

    Args:
        files: The COGs.
        cache: What is known from earlier runs, and is told of this one.
        workers: Threads that open and digest files.
        rehash: Whether to believe no earlier look.

    Raises:
        SourceError: A COG is missing, cannot be read, changed while it was looked at, or is not in
            the state that its uri names.
    """
    every = {file.path: file for file in files}
    known: Mapping[str, Look] = {}
    if cache is not None and not rehash:
        known = cache.get_looks([_name(file) for file in every.values()])
    found: dict[Path, Inspected] = {}
    for file in every.values():
        still = None if file.url else _still(file, known.get(_name(file)))
        if still is not None:
            found[file.path] = still
    others = [file for file in every.values() if file.path not in found]
    looks = [known.get(_name(file)) for file in others]
    threads = max(workers, _MANY) if any(file.url for file in others) else workers
    hashed = 0
    every_look = on_threads(_look, others, looks, workers=threads, name="cog")
    for file, (inspected, new) in zip(others, every_look, strict=True):
        found[file.path] = inspected
        if new is not None:
            hashed += 1
            if cache is not None:
                cache.put_looks({_name(file): new})
    for file in files:
        _check_generation(file, found[file.path])
    return Inspection(sources=found, hashed=hashed, by_stat=len(every) - hashed)


def digest_of(path: Path, uri: str, *, cache: LookCache) -> tuple[Digest, FileStat, bool]:
    """Return the digest of a COG's bytes with its stat; an unchanged file is not read.

    Returns:
        Digest, stat, and whether a file with this stat is sure to have this digest; see
        `Look.is_trusted`.

    Raises:
        SourceError: The file is missing, unreadable, or changes.
    """
    name = _PREFIX + os.fspath(path)
    known, now = cache.get_looks([name]).get(name), _stat(path)
    if known is not None and now is not None and known.is_trusted(now):
        return known.digest, now, True
    from geobatch.sources.cog.layout import digest_file  # noqa: PLC0415 - slow to import

    time_ns = time.time_ns()
    digest, found = digest_file(path, uri)
    # No header: planning reads the file again.
    look = Look(
        stat=found, time_ns=time_ns, digest=digest, header="", crs="", is_linked=False, maker=""
    )
    cache.put_looks({name: look})
    return digest, found, look.is_trusted(found)


def _name(file: SourceFile) -> str:
    return _PREFIX + (file.url or os.fspath(file.path))


def _still(file: SourceFile, known: Look | None) -> Inspected | None:
    """Return the cached state of an unchanged local file; None for any other."""
    now = None if known is None else _stat(file.path)
    if known is None or now is None or not known.is_trusted(now):
        return None
    return _remembered(file, known, None)


def _look(file: SourceFile, known: Look | None) -> tuple[Inspected, Look | None]:
    """Return the state of a COG, and the state to cache if it is new."""
    if file.url and known is not None:
        from geobatch.sources.cog.layout import ask_server  # noqa: PLC0415 - slow to import

        remote = ask_server(file.url, file.uri, allow_unpinned=file.allow_unpinned)
        # An object that is not pinned may have another header now.
        if remote.lacks is None and known.is_trusted(remote.stat(file.url)):
            remembered = _remembered(file, known, remote)
            if remembered is not None:
                return remembered, None
    time_ns = time.time_ns()
    from geobatch.sources.cog.layout import look_at_file, look_at_url  # noqa: PLC0415 - slow to import

    if file.url:
        cog = look_at_url(file.url, file.uri, allow_unpinned=file.allow_unpinned)
    else:
        cog = look_at_file(file.path, file.uri)
    header = cog.header
    look = Look(
        stat=cog.stat,
        time_ns=time_ns,
        digest=cog.digest,
        header=f"{json.dumps(cog.layout.to_json())}\n{header_to_text(header)}",
        crs=crs_to_text(header.crs) if header.crs is not None else "",
        is_linked=not file.url and header.path != os.fspath(file.path),
        maker=_maker(),
    )
    inspected = Inspected(
        header=header, digest=cog.digest, stat=cog.stat, layout=cog.layout, remote=cog.remote
    )
    return inspected, look


def _remembered(file: SourceFile, look: Look, remote: Remote | None) -> Inspected | None:
    if look.maker != _maker():
        return None
    layout, _, header = look.header.partition("\n")
    path = file.url or os.fspath(file.path)
    try:
        return Inspected(
            header=header_from_text(
                header,
                uri=file.uri,
                path=os.path.realpath(path) if look.is_linked else path,
                crs=_crs(look.crs) if look.crs else None,
            ),
            # The identity of a cached object may have been computed differently.
            digest=look.digest if remote is None else remote.identity(file.url),
            stat=look.stat,
            layout=CogLayout.from_json(json.loads(layout)),
            remote=remote,
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


def _check_generation(file: SourceFile, found: Inspected) -> None:
    """Check that a COG is in the state that its uri names.

    Of a local file only a digest can be compared; another generation is that of the bucket of
    which the file is a copy, and is kept as it is written.
    """
    wanted, remote = file.generation, found.remote
    if not wanted:
        return
    if remote is None:
        names = {found.digest} if _DIGEST.fullmatch(wanted) else {wanted}
    else:
        names = {remote.version, remote.generation, remote.etag, remote.tag}
    if wanted not in names:
        from geobatch.sources.remote.answers import failed  # noqa: PLC0415 - slow to import

        now = found.digest if remote is None else remote.generation
        raise failed(file.uri, wanted, hint=f"it is now `{now}`; write that one, or no generation")


def _maker() -> str:
    return f"{LAYOUT_EPOCH} {maker()}"
