"""What is kept of probed sources from run to run, and when it may be used."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache as once
from typing import Protocol

from geobatch.model.digest import Digest
from geobatch.model.geobox import Crs
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.file_stat import file_stat
from geobatch.model.sources.header import crs_from_text, crs_to_text
from geobatch.sources.projections.crs import parse_crs
from geobatch.versions import version_of

HEADER_EPOCH = 3
"""Increased whenever equal files would get other headers than before."""


class ProbeCache(Protocol):
    """What is kept from run to run; `geobatch.store.caches.cache.SourceCache` is one."""

    def get_probes(self, paths: Collection[str]) -> Mapping[str, CachedProbe]:
        """Return the cached states of files, by path."""

    def put_probes(self, probes: Mapping[str, CachedProbe]) -> None:
        """Keep the states of files, by path."""

    def put_table(self, digest: Digest, table: BlockTable) -> None:
        """Keep a block table by the identity of its source."""

    def get_crs(self, name: str) -> str | None:
        """Return the CRS of a name, as JSON, or None."""

    def put_crs(self, name: str, crs: str) -> None:
        """Keep the CRS of a name."""


def trusted_probes(probes: Mapping[str, CachedProbe]) -> dict[str, CachedProbe]:
    """Return the cached states whose files are still the same."""
    trusted = {}
    for name, cached in probes.items():
        try:
            found = os.stat(name)  # noqa: PTH116 - a tenth of the time of Path, for 100,000 files
        except (OSError, ValueError):
            continue  # opening it later reports what is wrong
        if cached.is_trusted(file_stat(found)):
            trusted[name] = cached
    return trusted


def crs_reader(cache: ProbeCache | None = None) -> Callable[[str], Crs]:
    """Return a function that returns the CRS that a text names, and caches it.

    The function raises ValueError if there is none; see `projections.crs.parse_crs`.
    """

    @once
    def read(text: str) -> Crs:
        name = f"{maker()}\n{text}"
        cached = cache.get_crs(name) if cache is not None else None
        if cached is not None:
            with suppress(ValueError, KeyError, TypeError):
                return crs_from_text(cached)
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
