"""Resolved tables: files are digested, the CRS is read, defaults are set; no row is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from msgspec import Struct

from geobatch.declare import TableSpec, expand, prepare, problem
from geobatch.declare.checks.lint import order_warnings
from geobatch.errors import Problem, SpecError
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.table import Table, TableSource
from geobatch.model.geobox import Crs
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.probe_cache import ProbeCache, crs_reader
from geobatch.sources.registry import probe_rows

X_COLUMN, Y_COLUMN, CRS = "longitude", "latitude", "EPSG:4326"
"""Earth Engine's defaults; the columns hold where the CRS is not projected."""


class ResolvedTables(Struct, frozen=True, kw_only=True):
    """Some tables, with how much had to be read for them."""

    assets: tuple[Asset, ...]
    """In the order of the specs."""
    hashed: int
    """How many shards were read to be identified."""
    by_stat: int
    """How many have an unchanged stat."""
    warnings: tuple[Problem, ...] = ()
    """Warnings about likely mistakes."""


def resolve_tables(
    specs: Sequence[TableSpec],
    *,
    workers: int = 1,
    cache: ProbeCache | None = None,
    rehash: bool = False,
) -> ResolvedTables:
    """Resolve everything that the specs of tables leave open.

    Args:
        specs: Validated specs of tables.
        workers: Threads that digest shards.
        cache: State of shards from earlier runs; receives that of this run.
        rehash: Whether to read every shard, without the cache.

    Raises:
        SpecError: A spec names a file or a CRS that does not exist.
        SourceError: A shard is missing, cannot be read, or changed meanwhile.
    """
    prepare(specs)
    expansions = {spec.id: expand(spec) for spec in specs}
    files = {spec_id: expansion.table for spec_id, expansion in expansions.items()}
    probes = probe_rows(
        [file for found in files.values() for file in found],
        ProbeOptions(cache=cache, workers=workers, rehash=rehash),
    )
    states = iter(probes.sources)
    sources = {spec_id: tuple(islice(states, len(found))) for spec_id, found in files.items()}
    read_crs = crs_reader(cache)
    return ResolvedTables(
        assets=tuple(_asset(spec, sources[spec.id], read_crs) for spec in specs),
        hashed=probes.hashed,
        by_stat=probes.by_stat,
        warnings=tuple(one for spec in specs for one in order_warnings(spec, expansions[spec.id])),
    )


def _asset(
    spec: TableSpec,
    sources: tuple[TableSource, ...],
    read_crs: Callable[[str], Crs],
) -> Table:
    try:
        crs = read_crs(spec.crs or CRS)
    except ValueError as error:
        raise SpecError((problem(spec, ("sources", 0, "crs"), "crs", str(error)),)) from None
    is_projected = "PROJCRS[" in crs.wkt
    default_x, default_y = ("", "") if is_projected else (X_COLUMN, Y_COLUMN)
    x = default_x if spec.x_column is None else spec.x_column
    y = default_y if spec.y_column is None else spec.y_column
    if bool(x) != bool(y):
        missing = "y_column" if x else "x_column"
        message = f"`{missing}` is missing; it has no default because `{crs}` is projected"
        raise SpecError((problem(spec, ("sources", 0), "points", message, "points need both"),))
    return Table(
        id=spec.id,
        properties=spec.properties,
        start_time=spec.start_time,
        end_time=spec.end_time if spec.end_time is not None else spec.start_time,
        memo=spec.memo,
        is_protected=spec.is_protected,
        origin=spec.origin,
        sources=sources,
        x_column=x,
        y_column=y,
        crs=crs,
        is_placed=bool(spec.x_column or spec.y_column),
        charset=spec.charset,
        geometry_column=spec.geometry_column,
        delimiter=spec.delimiter,
        qualifier=spec.qualifier,
        date_format=spec.date_format,
        types=spec.types,
    )
