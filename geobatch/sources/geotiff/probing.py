"""Reads one raster: its identity and its header."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache as once
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from geobatch.errors import SourceError
from geobatch.model.assets.asset import FileStat
from geobatch.model.digest import Digest
from geobatch.model.geobox import Crs
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.header import (
    Header,
    crs_from_text,
    crs_to_text,
    header_from_text,
    header_to_text,
)
from geobatch.model.sources.look import Look
from geobatch.model.sources.pin import CogLayout, Remote
from geobatch.model.sources.tfrecord import Records
from geobatch.sources.threads import nothing
from geobatch.versions import version_of

HEADER_EPOCH = 3
"""Increased whenever equal files would get other headers than before."""


class LookCache(Protocol):
    """What is kept from run to run; `geobatch.store.caches.cache.SourceCache` is one."""

    def get_looks(self, paths: Collection[str]) -> Mapping[str, Look]:
        """Return the cached states of files, by path."""

    def put_looks(self, looks: Mapping[str, Look]) -> None:
        """Keep the states of files, by path."""

    def put_table(self, digest: Digest, table: BlockTable) -> None:
        """Keep a block table by the identity of its source."""

    def get_crs(self, name: str) -> str | None:
        """Return the CRS of a name, as JSON, or None."""

    def put_crs(self, name: str, crs: str) -> None:
        """Keep the CRS of a name."""


class Inspected(Struct, frozen=True, kw_only=True):
    """A source file with its state before pixels are read."""

    header: Header
    """Its header."""
    digest: Digest
    """What identifies its pixels."""
    stat: FileStat
    """The file as it was then."""
    records: Records | None = None
    """The shards, if it is the mixer of some."""
    layout: CogLayout | None = None
    """Layout of the COG of an external image."""
    remote: Remote | None = None
    """Answer of its server, if it is on one."""
    is_proven: bool = True
    """Whether an equal stat proves the bytes that were digested: see `Look.is_proven`."""


def look_at(
    path: Path,
    uri: str,
    before: Look | None,
    trusted: Look | None,
    *,
    known_crs: dict[str, Crs | None],
    read_crs: Callable[[str], Crs],
) -> tuple[Inspected, Look, BlockTable | None]:
    """Read a file; if its earlier state is trusted, only its header is read again.

    Where a file changed and its tags did not, the header is the earlier one. The thread stays in
    GDAL's environment.
    """
    from geobatch.sources.geotiff import identify, stat  # noqa: PLC0415 - needed seldom

    @once
    def read_header() -> Header:
        from geobatch.sources.geotiff import probe, stay_in_environment  # noqa: PLC0415 - slow to import

        stay_in_environment()
        return probe(path, uri, read_crs=read_crs)

    table, header = None, None
    if trusted is None:
        time_ns = time.time_ns()
        may_serve = before is not None and _may_serve(before)
        identity = identify(path, uri, meanwhile=nothing if may_serve else read_header)
        digest, found, table, tags = identity.digest, identity.stat, identity.table, identity.tags
        is_still = identity.is_still
        if before is not None and may_serve and before.tags == tags:
            header = remembered(before, uri, os.path.realpath(path), known_crs)
    else:
        time_ns, digest, found = trusted.time_ns, trusted.digest, trusted.stat
        tags, is_still = trusted.tags, trusted.is_still
    if header is None:
        header = read_header()
    if stat(path, uri) != found:
        raise SourceError(
            f"`{uri}`: changed while geobatch read it",
            hint="wait until the file is complete, then run again",
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
        is_still=is_still,
    )
    inspected = Inspected(header=header, digest=digest, stat=found, is_proven=look.is_proven)
    return inspected, look, table


def remembered(look: Look, uri: str, path: str, known: dict[str, Crs | None]) -> Header | None:
    """Return the header of a cached state, or None if it must be read again."""
    if look.maker != maker():
        return None
    try:
        if look.crs not in known:
            known[look.crs] = crs_from_text(look.crs)
        return header_from_text(look.header, uri=uri, path=path, crs=known[look.crs])
    except (ValueError, KeyError, TypeError):
        return None


def _may_serve(before: Look) -> bool:
    """Return whether a cached header may still be true after a file changed."""
    return before.tags is not None and before.is_settled and before.maker == maker()


def crs_reader(cache: LookCache | None = None) -> Callable[[str], Crs]:
    """Return a function that returns the CRS that a text names, and caches it.

    The function raises ValueError if there is no such CRS; see `geobatch.sources.crs.parse_crs`.
    """

    @once
    def read(text: str) -> Crs:
        name = f"{maker()}\n{text}"
        known = cache.get_crs(name) if cache is not None else None
        if known is not None:
            with suppress(ValueError, KeyError, TypeError):
                return crs_from_text(known)
        from geobatch.sources.crs import parse_crs  # noqa: PLC0415 - slow to import, seldom needed

        crs = parse_crs(text)
        if cache is not None:
            cache.put_crs(name, crs_to_text(crs))
        return crs

    return read


@once
def maker() -> str:
    """Return what versions read headers: other versions may read them differently."""
    # Both bring libraries of their own, GDAL and PROJ.
    return f"{HEADER_EPOCH} rasterio {version_of('rasterio')} pyproj {version_of('pyproj')}"
