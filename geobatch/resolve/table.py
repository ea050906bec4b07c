"""Resolved tables: shards are digested, the CRS is read, defaults are set; no record is read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from geobatch.declare import ImageSpec, SourceFile, TableSpec, expand, problem
from geobatch.declare.checks.lint import order_warnings
from geobatch.errors import Problem, SpecError
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.table import Table, TableSource
from geobatch.model.geobox import Crs
from geobatch.model.sources.look import Look
from geobatch.sources.geotiff.probing import LookCache, crs_reader
from geobatch.sources.probe import trusted_looks
from geobatch.sources.tfrecord.shard import identify_shard
from geobatch.sources.threads import on_threads

X_COLUMN, Y_COLUMN, CRS = "longitude", "latitude", "EPSG:4326"
"""Earth Engine's defaults; the columns hold where the CRS is not projected."""
LOOK_EPOCH = 1
"""Increased whenever equal files would get another cached state than before."""
_MAKER = f"tfrecord {LOOK_EPOCH}"


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
    specs: Sequence[ImageSpec],
    *,
    workers: int = 1,
    cache: LookCache | None = None,
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
    expansions = {spec.id: expand(spec) for spec in specs}
    files = {spec_id: expansion.table for spec_id, expansion in expansions.items()}
    every = {os.fspath(file.path): file for found in files.values() for file in found}
    known = {} if cache is None or rehash else trusted_looks(cache.get_looks(every))
    looks = {name: look for name, look in known.items() if look.maker == _MAKER}
    by_stat = len(looks)
    others = [name for name in every if name not in looks]
    found = on_threads(_look, [every[name] for name in others], workers=workers, name="shard")
    for name, looks[name] in zip(others, found, strict=True):
        if cache is not None:
            cache.put_looks({name: looks[name]})
    read_crs = crs_reader(cache)
    return ResolvedTables(
        assets=tuple(
            _asset(spec, spec.table, files[spec.id], looks, read_crs)
            for spec in specs
            if spec.table is not None
        ),
        hashed=len(others),
        by_stat=by_stat,
        warnings=tuple(one for spec in specs for one in order_warnings(spec, expansions[spec.id])),
    )


def _look(file: SourceFile) -> Look:
    time_ns = time.time_ns()
    digest, stat = identify_shard(file.path, file.uri)
    return Look(
        stat=stat,
        time_ns=time_ns,
        digest=digest,
        header="",
        crs="",
        is_linked=os.path.realpath(file.path) != os.fspath(file.path),
        maker=_MAKER,
    )


def _asset(
    spec: ImageSpec,
    table: TableSpec,
    files: Sequence[SourceFile],
    looks: Mapping[str, Look],
    read_crs: Callable[[str], Crs],
) -> Table:
    try:
        crs = read_crs(table.crs or CRS)
    except ValueError as error:
        raise SpecError((problem(spec, ("sources", 0, "crs"), "crs", str(error)),)) from None
    is_projected = "PROJCRS[" in crs.wkt
    default_x, default_y = ("", "") if is_projected else (X_COLUMN, Y_COLUMN)
    x = default_x if table.x_column is None else table.x_column
    y = default_y if table.y_column is None else table.y_column
    if bool(x) != bool(y):
        missing = "y_column" if x else "x_column"
        message = f"`{missing}` is missing; it has no default because `{crs}` is projected"
        raise SpecError((problem(spec, ("sources", 0), "points", message, "points need both"),))
    path, line, _ = spec.where()
    return Table(
        id=spec.id,
        properties=spec.properties,
        start_time=spec.start_time,
        end_time=spec.end_time if spec.end_time is not None else spec.start_time,
        memo=spec.memo,
        is_protected=spec.is_protected,
        origin=f"{path}:{line}",
        sources=tuple(_source(file, looks[os.fspath(file.path)]) for file in files),
        x_column=x,
        y_column=y,
        crs=crs,
        is_placed=bool(table.x_column or table.y_column),
        charset=table.charset,
        types=table.types,
    )


def _source(file: SourceFile, look: Look) -> TableSource:
    path = os.path.realpath(file.path) if look.is_linked else os.fspath(file.path)
    return TableSource(uri=file.uri, digest=look.digest, path=path, stat=look.stat)
