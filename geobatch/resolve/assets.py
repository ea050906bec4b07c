"""Specs of every kind to fully resolved assets."""

from __future__ import annotations

from msgspec.structs import replace

from geobatch.declare import SpecSet
from geobatch.model.assets.asset import Resolution
from geobatch.resolve.images import resolve_images
from geobatch.resolve.table import resolve_tables
from geobatch.sources.probe_cache import ProbeCache
from geobatch.sources.threads import Meanwhile, nothing


def resolve(
    specs: SpecSet,
    *,
    workers: int = 1,
    cache: ProbeCache | None = None,
    rehash: bool = False,
    meanwhile: Meanwhile = nothing,
) -> Resolution:
    """Resolve everything that specs leave open, from their sources.

    Args:
        specs: Validated specs.
        workers: Threads that open and digest source files.
        cache: State of sources from earlier runs; receives that of this run.
        rehash: Whether to read every source, without the cache.
        meanwhile: May be called while rasters are read, if there are any.

    Raises:
        SpecError: A spec names a file, a band index or a CRS that does not exist.
        SourceError: A source cannot be opened, or has no placement.
        PlanError: Sources of one tileset, or a band and its mask, do not fit together.
    """
    tables = specs.tables
    resolution = resolve_images(
        specs.images, workers=workers, cache=cache, rehash=rehash, meanwhile=meanwhile
    )
    if not tables:
        return resolution
    found = resolve_tables(tables, workers=workers, cache=cache, rehash=rehash)
    return replace(
        resolution,
        assets=tuple(sorted((*resolution.assets, *found.assets), key=lambda asset: asset.id)),
        sources_hashed=resolution.sources_hashed + found.hashed,
        sources_by_stat=resolution.sources_by_stat + found.by_stat,
        warnings=(*resolution.warnings, *found.warnings),
    )
