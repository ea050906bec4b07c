"""Looks at sources, by their stat where that tells enough; only the others are opened and read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache as once
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from geobatch.errors import SourceError
from geobatch.model.asset import FileStat
from geobatch.model.blocks import BlockTable
from geobatch.model.digest import Digest
from geobatch.model.geobox import Crs
from geobatch.model.header import (
    Header,
    crs_from_text,
    crs_to_text,
    header_from_text,
    header_to_text,
)
from geobatch.model.look import Look, file_stat
from geobatch.model.pin import CogLayout, Remote
from geobatch.model.records import Records
from geobatch.resolve.threads import Meanwhile, nothing, on_threads
from geobatch.versions import version_of

HEADER_EPOCH = 1
"""Raised whenever equal files would get other headers than before."""


class LookCache(Protocol):
    """What is remembered from run to run; `geobatch.store.cache.SourceCache` is one."""

    def get_looks(self, paths: Collection[str]) -> Mapping[str, Look]:
        """Return the last looks at files, by path."""

    def put_looks(self, looks: Mapping[str, Look]) -> None:
        """Remember looks at files, by path."""

    def put_table(self, digest: Digest, table: BlockTable) -> None:
        """Remember a block table by the identity of its source."""

    def get_crs(self, name: str) -> str | None:
        """Return the CRS, as JSON, that stands for a name, or None."""

    def put_crs(self, name: str, crs: str) -> None:
        """Remember which CRS stands for a name."""


class Inspected(Struct, frozen=True, kw_only=True):
    """A source file with all that is known of it before its pixels are read."""

    header: Header
    """What it says of itself."""
    digest: Digest
    """What identifies its pixels."""
    stat: FileStat
    """The file as it was then."""
    records: Records | None = None
    """The shards, if it is the mixer of some."""
    layout: CogLayout | None = None
    """How it is laid out, of a COG that pixels stay in."""
    remote: Remote | None = None
    """What its server said of it, if it is on one."""


class Inspection(Struct, frozen=True, kw_only=True):
    """Looks at all the sources of a run."""

    sources: Mapping[Path, Inspected]
    """By path."""
    hashed: int
    """How many were read to be identified."""
    by_stat: int
    """How many were known by their stat."""


def inspect(
    files: Mapping[Path, str],
    *,
    cache: LookCache | None = None,
    workers: int = 1,
    rehash: bool = False,
    meanwhile: Meanwhile = nothing,
) -> Inspection:
    """Look at source files: those that have not changed since the last look are not opened.

    Args:
        files: Uri, as messages shall call it, by absolute path.
        cache: What is known from earlier runs, and is told of this one.
        workers: Threads that open and digest files.
        rehash: Whether to believe no earlier look.
        meanwhile: Is called by this thread while others look at files, if there is one to look at.

    Raises:
        SourceError: A source is missing, cannot be read, or changed while it was looked at.
    """
    names = {os.fspath(path): path for path in files}
    earlier = {} if cache is None or rehash else cache.get_looks(names)
    known = trusted_looks(earlier)
    crs: dict[str, Crs | None] = {"": None}
    sources: dict[Path, Inspected] = {}
    for name, look in known.items():
        real = os.path.realpath(name) if look.is_linked else name
        header = _remembered(look, files[names[name]], real, crs)
        if header is not None:
            sources[names[name]] = Inspected(header=header, digest=look.digest, stat=look.stat)
    others = [path for path in names.values() if path not in sources]
    before = [earlier.get(os.fspath(path)) for path in others]
    trusted = [known.get(os.fspath(path)) for path in others]

    found = on_threads(
        partial(_look, known_crs=crs, read_crs=crs_reader(cache)),
        others,
        [files[path] for path in others],
        before,
        trusted,
        workers=workers,
        name="source",
        meanwhile=meanwhile,
    )
    for path, (sources[path], look, table) in zip(others, found, strict=True):
        if cache is not None:
            cache.put_looks({os.fspath(path): look})
        if cache is not None and table is not None:
            cache.put_table(look.digest, table)
    return Inspection(sources=sources, hashed=len(names) - len(known), by_stat=len(known))


def crs_reader(cache: LookCache | None = None) -> Callable[[str], Crs]:
    """Return a function that gives the CRS that a text names, and remembers it.

    The function raises ValueError for what is no CRS; see `geobatch.raster.crs.parse_crs`.
    """

    @once
    def read(text: str) -> Crs:
        name = f"{maker()}\n{text}"
        known = cache.get_crs(name) if cache is not None else None
        if known is not None:
            with suppress(ValueError, KeyError, TypeError):
                return crs_from_text(known)
        from geobatch.raster.crs import parse_crs  # noqa: PLC0415 - slow to import, seldom needed

        crs = parse_crs(text)
        if cache is not None:
            cache.put_crs(name, crs_to_text(crs))
        return crs

    return read


def trusted_looks(looks: Mapping[str, Look]) -> dict[str, Look]:
    """Return those of some looks whose files are still the same."""
    trusted = {}
    for name, look in looks.items():
        try:
            found = os.stat(name)  # noqa: PTH116 - a tenth of the time of Path, for 100,000 files
        except (OSError, ValueError):
            continue  # whoever opens it will say what is wrong
        if look.is_trusted(file_stat(found)):
            trusted[name] = look
    return trusted


def _remembered(look: Look, uri: str, path: str, known: dict[str, Crs | None]) -> Header | None:
    """Return the header of a look, or None where it must be read again."""
    if look.maker != maker():
        return None
    try:
        if look.crs not in known:
            known[look.crs] = crs_from_text(look.crs)
        return header_from_text(look.header, uri=uri, path=path, crs=known[look.crs])
    except (ValueError, KeyError, TypeError):
        return None


def _may_serve(before: Look) -> bool:
    """Return whether the header of an earlier look may be true of what a file has become."""
    return before.tags is not None and before.is_settled and before.maker == maker()


def _look(
    path: Path,
    uri: str,
    before: Look | None,
    trusted: Look | None,
    *,
    known_crs: dict[str, Crs | None],
    read_crs: Callable[[str], Crs],
) -> tuple[Inspected, Look, BlockTable | None]:
    """Look at a file; where an earlier look is trusted, only its header is read again.

    Where a file changed and its tags did not, the header is the earlier one. The thread stays in
    GDAL's environment.
    """
    from geobatch.raster import identify, stat  # noqa: PLC0415 - needed seldom

    @once
    def read_header() -> Header:
        from geobatch.raster import probe, stay_in_environment  # noqa: PLC0415 - slow to import

        stay_in_environment()
        return probe(path, uri, read_crs=read_crs)

    table, header = None, None
    if trusted is None:
        time_ns = time.time_ns()
        may_serve = before is not None and _may_serve(before)
        identity = identify(path, uri, meanwhile=nothing if may_serve else read_header)
        digest, found, table, tags = identity.digest, identity.stat, identity.table, identity.tags
        if before is not None and may_serve and before.tags == tags:
            header = _remembered(before, uri, os.path.realpath(path), known_crs)
    else:
        time_ns, digest, found = trusted.time_ns, trusted.digest, trusted.stat
        tags = trusted.tags
    if header is None:
        header = read_header()
    if stat(path, uri) != found:
        raise SourceError(
            f"`{uri}`: changed while it was being looked at",
            hint="wait until it is written, then run again",
        )
    look = Look(
        stat=found,
        time_ns=time_ns,
        digest=digest,
        header=header_to_text(header),
        crs=crs_to_text(header.crs) if header.crs is not None else "",
        is_linked=header.path != os.fspath(path),
        maker=maker(),
        tags=tags,
    )
    return Inspected(header=header, digest=digest, stat=found), look, table


@once
def maker() -> str:
    """Return what versions read headers: another one may read them otherwise."""
    # Both bring libraries of their own, GDAL and PROJ.
    return f"{HEADER_EPOCH} rasterio {version_of('rasterio')} pyproj {version_of('pyproj')}"
