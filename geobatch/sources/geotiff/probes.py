"""The state of rasters: from the cache if their stat is unchanged, else they are read."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from msgspec import Struct

from geobatch.model.geobox import Crs
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.sources import geotiff
from geobatch.sources.geotiff.headers.alike import AlikeHeaders
from geobatch.sources.geotiff.probe import cached_header, probe_file
from geobatch.sources.probe_cache import ProbeCache, crs_reader, trusted_probes
from geobatch.sources.threads import Meanwhile, nothing, on_threads

_PROCESSES_FROM = 1000
"""New files from which processes are worth starting: each takes 0.3 s, as long as 300 files."""


class RasterProbes(Struct, frozen=True, kw_only=True):
    """The state of some rasters."""

    sources: Mapping[Path, Probe]
    """By path."""
    hashed: int
    """How many were read to be identified."""
    by_stat: int
    """How many have an unchanged stat."""


def probe_rasters(
    files: Collection[DeclaredSource],
    *,
    cache: ProbeCache | None = None,
    workers: int = 1,
    rehash: bool = False,
    meanwhile: Meanwhile = nothing,
) -> RasterProbes:
    """Return the state of source files; files that did not change are not opened.

    Args:
        files: The files; one that is declared several times is probed once.
        cache: State of rasters from earlier runs; receives that of this run.
        workers: Threads that open and digest files; where very many are new, processes.
        rehash: Whether to read every file, without the cache.
        meanwhile: May be called by this thread while others probe files.

    Raises:
        SourceError: A source is missing, cannot be read, or changed while it was probed.
    """
    names = {os.fspath(file.path): file for file in files}
    earlier = {} if cache is None or rehash else cache.get_probes(names)
    unchanged = trusted_probes(earlier)
    crs: dict[str, Crs | None] = {"": None}
    sources: dict[Path, Probe] = {}

    def take(file: DeclaredSource, cached: CachedProbe) -> None:
        header = cached_header(cached, file, crs)
        if header is not None:
            sources[file.path] = Probe(
                header=header, digest=cached.digest, stat=cached.stat, is_proven=cached.is_proven
            )

    for name, cached in unchanged.items():
        take(names[name], cached)
    new = [name for name, file in names.items() if file.path not in sources and name not in earlier]
    if len(new) >= _PROCESSES_FROM and workers > 1:
        by_processes = geotiff.probe_by_processes(
            new, workers=workers, cache=cache, meanwhile=meanwhile
        )
        meanwhile = nothing
        for number, cached, table in by_processes:
            file = names[new[number]]
            take(file, cached)
            _keep(file, cached, table, cache)
    others = [file for file in names.values() if file.path not in sources]
    before = [earlier.get(os.fspath(file.path)) for file in others]
    trusted = [unchanged.get(os.fspath(file.path)) for file in others]
    found = on_threads(
        partial(probe_file, known_crs=crs, read_crs=crs_reader(cache), alike=AlikeHeaders()),
        others,
        before,
        trusted,
        workers=workers,
        name="source",
        meanwhile=meanwhile,
    )
    for file, (sources[file.path], cached, table) in zip(others, found, strict=True):
        _keep(file, cached, table, cache)
    return RasterProbes(sources=sources, hashed=len(names) - len(unchanged), by_stat=len(unchanged))


def _keep(
    file: DeclaredSource, cached: CachedProbe, table: BlockTable | None, cache: ProbeCache | None
) -> None:
    if cache is not None:
        cache.put_probes({os.fspath(file.path): cached})
        if table is not None:
            cache.put_table(cached.digest, table)
