"""The state of one raster: its identity and its header."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import cache as once
from pathlib import Path

from msgspec.structs import replace

from geobatch.model.geobox import Crs
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.file_stat import FileStat, file_stat
from geobatch.model.sources.header import (
    Header,
    crs_from_text,
    crs_to_text,
    header_from_text,
    header_to_text,
)
from geobatch.model.sources.probe import Probe
from geobatch.sources import gdal, geotiff
from geobatch.sources.geotiff.headers.alike import AlikeHeaders
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.probe_cache import maker
from geobatch.sources.threads import nothing


def probe_file(
    source: DeclaredSource,
    before: CachedProbe | None,
    trusted: CachedProbe | None,
    *,
    known_crs: dict[str, Crs | None],
    read_crs: Callable[[str], Crs],
    alike: AlikeHeaders,
) -> tuple[Probe, CachedProbe, BlockTable | None]:
    """Read a file; if its earlier state is trusted, only its header is read again.

    Where a file changed and its tags did not, the header is the earlier one; and where only its
    place differs from that of another file, it follows from the header of that. The thread stays
    in GDAL's environment.
    """
    path = source.path

    @once
    def read_header() -> Header:
        gdal.stay_in_environment()
        return geotiff.read_header(path, source.uri, read_crs=read_crs)

    table, header, frame, real = None, None, None, path
    with Named(source.uri):
        if trusted is None:
            time_ns = time.time_ns()
            may_serve = before is not None and _may_serve(before)
            identity = geotiff.identify(path, meanwhile=nothing if may_serve else read_header)
            digest, found, table = identity.digest, identity.stat, identity.table
            tags, is_still = identity.tags, identity.is_still
            frame, real = identity.frame, identity.path
            if before is not None and may_serve and before.tags == tags:
                # The file may be behind a link now.
                header = cached_header(replace(before, is_linked=True), source, known_crs)
        else:
            time_ns, digest, found = trusted.time_ns, trusted.digest, trusted.stat
            tags, is_still = trusted.tags, trusted.is_still
        if header is None and (header := alike.find(frame, real, source.uri)) is None:
            header = read_header()
            alike.add(frame, header)
        if _stat(path) != found:
            raise UnnamedError(
                "changed while geobatch read it",
                hint="wait until the file is complete, then run again",
            )
    cached = CachedProbe(
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
    probe = Probe(header=header, digest=digest, stat=found, is_proven=cached.is_proven)
    return probe, cached, table


def cached_header(
    cached: CachedProbe, source: DeclaredSource, known_crs: dict[str, Crs | None]
) -> Header | None:
    """Return the header of a cached state, or None if it must be read again."""
    if cached.maker != maker():
        return None
    path = os.path.realpath(source.path) if cached.is_linked else os.fspath(source.path)
    try:
        if cached.crs not in known_crs:
            known_crs[cached.crs] = crs_from_text(cached.crs)
        return header_from_text(cached.header, uri=source.uri, path=path, crs=known_crs[cached.crs])
    except (ValueError, KeyError, TypeError):
        return None


def _stat(path: Path) -> FileStat:
    """Return the state of a file that was found to be regular; errors as `geotiff.stat`."""
    try:
        return file_stat(os.stat(path))  # noqa: PTH116 - `geotiff.stat` also resolves the path
    except OSError:
        return geotiff.stat(path)


def _may_serve(before: CachedProbe) -> bool:
    """Return whether a cached header may still be true after a file changed."""
    return before.tags is not None and before.is_settled and before.maker == maker()
