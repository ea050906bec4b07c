"""Stores, assets, commits and run summaries for people and for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from geobatch.cli.views.table import table_json, table_lines, table_row
from geobatch.cli.words import byte_text, columns, count_text
from geobatch.errors import CorruptObjectError
from geobatch.format.zarr_layout.paths import join, level_path
from geobatch.format.zarr_layout.pyramids import pyramid_path
from geobatch.model.assets.asset import Band, Grid, Table
from geobatch.model.assets.documents.listed import Row
from geobatch.model.assets.image import Raster
from geobatch.model.number import number_to_json
from geobatch.model.published import AssetRecord, Head, TreeEntry
from geobatch.reading.filters import locate
from geobatch.store.caches.asset_list import rows_of

if TYPE_CHECKING:
    from geobatch.model.plans.summary import ApplySummary
    from geobatch.reading.filters import Filter
    from geobatch.store.tilestore import TileStore


def summary_lines(summary: ApplySummary) -> Iterator[str]:
    """Yield what an apply did."""
    tiles = summary.tiles
    if summary.commit is None and not summary.plan.is_empty:
        yield (
            f"Computed in {summary.seconds:.1f} s: the result equals what is published, so there "
            "is no"
            " new commit."
        )
    elif summary.commit is None:
        yield (
            f"Nothing to do: {count_text(len(summary.plan.changes), 'asset')} up to date."
            f"  {summary.seconds:.1f} s"
        )
    else:
        yield ""
        rows = f"{count_text(summary.rows, 'row')} read, " if summary.rows else ""
        yield (
            f"Applied in {summary.seconds:.1f} s: {rows}"
            f"{count_text(tiles.written, 'tile')} written, {tiles.reused:,} reused,"
            f" {tiles.empty:,} empty; {byte_text(summary.bytes.read)} read,"
            f" {byte_text(summary.bytes.written)} written."
        )
        if summary.blocks.fetched:
            yield (
                f"Blocks of changed objects: {summary.blocks.fetched:,} fetched,"
                f" {summary.blocks.equal:,} equal, {summary.blocks.decoded:,} decoded."
            )
        yield f"commit        {summary.commit}"
    yield f"content root  {summary.content_root}"


def summary_json(summary: ApplySummary) -> dict[str, Any]:
    """Return the machine form of what an apply did."""
    return {
        "commit": summary.commit,
        "content_root": summary.content_root,
        "plan_id": summary.plan.plan_id,
        "tiles": {
            "written": summary.tiles.written,
            "reused": summary.tiles.reused,
            "empty": summary.tiles.empty,
        },
        **({"rows": {"read": summary.rows}} if summary.rows else {}),
        "bytes": {"read": summary.bytes.read, "written": summary.bytes.written},
        **({"blocks": to_builtins(summary.blocks)} if summary.blocks.fetched else {}),
        "seconds": round(summary.seconds, 3),
    }


def found_assets(
    store: TileStore, head: Head, prefix: str, shown: Filter
) -> Iterator[tuple[TreeEntry, Row]]:
    """Yield the assets whose id starts with a prefix and that pass a filter, sorted by id."""
    for entry, row in rows_of(store, head, prefix=prefix, wanted=shown.wanted, locate=locate):
        if shown.passes(row):
            yield entry, row


LS_HEADER = ("ID", "KIND", "SIZE", "BANDS", "TILES", "START")
"""Names of the cells of `asset_row`."""


def asset_row(entry: TreeEntry, row: Row) -> tuple[str, ...]:
    """Return an asset's cells in a listing."""
    if row.table is not None:
        return table_row(entry, row)
    return (
        entry.id,
        entry.kind,
        " + ".join(f"{spot.shape[1]} x {spot.shape[0]}" for spot in row.spots),
        count_text(row.bands, "band"),
        count_text(entry.tiles, "tile"),
        (row.start_time or "")[:10],
    )


def asset_json(entry: TreeEntry, record: AssetRecord) -> dict[str, Any]:
    """Return the machine form of a published asset, in short."""
    asset = record.asset
    if isinstance(asset, Table) and record.table is not None:
        return table_json(entry, record, asset, record.table)
    image = record.image
    return {
        "id": entry.id,
        "kind": entry.kind,
        "content": entry.content,
        "start_time": asset.start_time,
        "end_time": asset.end_time,
        "properties": dict(asset.properties),
        "tile": image.tile,
        **({"chunk": image.codec.chunk} if image.codec.chunk else {}),
        "tiles": entry.tiles,
        "is_protected": entry.is_protected,
        "grids": [_grid_json(image, grid) for grid in image.grids],
        "bands": [
            {
                "id": band.id,
                "grid": band.grid,
                "dtype": band.dtype,
                "pyramiding_policy": band.policy.value,
                "fill": number_to_json(band.fill),
                "mask_from_level": band.mask_from_level,
            }
            for band in image.bands
        ],
        "array_bands": {name: list(members) for name, members in image.array_bands},
    }


def _tile_text(asset: Raster) -> str:
    chunk = asset.codec.chunk
    inside = f", each a shard of {chunk} x {chunk}" if chunk else ""
    return f"{asset.tile} x {asset.tile}{inside}"


def _grid_json(asset: Raster, grid: Grid) -> dict[str, Any]:
    geobox = grid.geobox
    return {
        "name": grid.name,
        "path": join(asset.id, pyramid_path(asset, grid.name)),
        "level_paths": [
            join(asset.id, level_path(asset, grid.name, level)) for level in range(grid.level_count)
        ],
        "crs": geobox.crs.identity,
        "transform": list(geobox.transform),
        "shape": list(geobox.shape),
        "bounds": list(geobox.bounds),
        "levels": grid.level_count,
    }


def asset_lines(entry: TreeEntry, record: AssetRecord) -> Iterator[str]:
    """Yield the description of a published asset."""
    asset = record.asset
    yield f"{entry.id}  ({entry.kind}{', protected' if entry.is_protected else ''})"
    yield f"  content     {entry.content}"
    if asset.start_time:
        until = f" to {asset.end_time}" if asset.end_time != asset.start_time else ""
        yield f"  time        {asset.start_time}{until}"
    properties = [(key, repr(value)) for key, value in asset.properties]
    for line in columns(properties):
        yield f"  property    {line}"
    if isinstance(asset, Table) and record.table is not None:
        yield from table_lines(asset, record.table)
        return
    image = record.image
    size = _tile_text(image)
    yield (
        f"  tiles       none stored: squares of {size} are read from the COGs; not in zarr/"
        if asset.is_external
        else f"  tiles       {count_text(entry.tiles, 'tile')} of {size}"
    )
    for grid in image.grids:
        geobox = grid.geobox
        sizes = " - ".join(
            f"L{level} {plane.width} x {plane.height}"
            for level, plane in ((k, grid.level(k)) for k in range(grid.level_count))
        )
        yield f"  grid {grid.name:<6} {geobox.crs.code or 'CRS without a code'}"
        a, b, _, d, e, _ = geobox.transform
        yield f"    pixel     {math.hypot(a, d):.12g} x {math.hypot(b, e):.12g}"
        yield f"    bounds    {', '.join(f'{edge:.12g}' for edge in geobox.bounds)}"
        yield f"    levels    {sizes}"
        bands = [_band_row(band) for band in image.bands_of(grid.name)]
        for line in columns(bands):
            yield f"    band      {line}"
    for name, members in image.array_bands:
        yield f"  array band  {name}: {', '.join(members)}"
    yield from _source_lines(image)


def _source_lines(asset: Raster) -> Iterator[str]:
    for tileset in asset.tilesets:
        for source in tileset.sources[:_SOURCES_SHOWN]:
            pin = source.pin.generation if source.pin is not None else source.digest
            yield f"  source      {source.uri}  {pin[:12] if pin == source.digest else pin}"
        if len(tileset.sources) > _SOURCES_SHOWN:
            yield f"  source      and {len(tileset.sources) - _SOURCES_SHOWN} more"


_SOURCES_SHOWN = 10


def _band_row(band: Band) -> tuple[str, ...]:
    mask = "" if band.mask_from_level is None else f"mask from L{band.mask_from_level}"
    fill = f"fill {number_to_json(band.fill)}"
    description = band.description if band.description not in (None, band.id) else ""
    return (band.id, band.dtype, band.policy.value, fill, mask, description or "")


def resolved_json(store: TileStore, entry: TreeEntry) -> dict[str, Any]:
    """Return the whole document of a published asset."""
    document: dict[str, Any] = json.loads(store.objects.get(entry.stored))
    return document


def store_lines(store: TileStore, head: Head) -> Iterator[str]:
    """Yield the description of a store."""
    fields = store_json(store, head)
    yield f"store         {fields['id']}"
    yield f"commits       {fields['commits']:,}"
    yield f"head          {fields['commit'] or 'none'}"
    yield f"content root  {fields['content_root'] or 'none'}"
    if fields["time"]:
        yield f"time          {fields['time']}"
    yield f"assets        {fields['assets']:,}"
    yield f"tiles         {fields['tiles']:,}"


def store_json(store: TileStore, head: Head) -> dict[str, Any]:
    """Return the machine form of a store's description."""
    return {
        "id": store.id,
        "commits": head.number,
        "commit": head.digest,
        "content_root": None if head.commit is None else head.commit.content_root,
        "time": None if head.commit is None else head.commit.time,
        "assets": head.tree.count,
        "tiles": head.tree.tiles,
    }


def commit_line(head: Head, pins: Sequence[str] = ()) -> str:
    """Return a commit's line in the log, with the names of its pins."""
    commit = head.commit
    if commit is None:
        return "no commit"
    assets = "dropped" if head.is_dropped else count_text(head.tree.count, "asset")
    pinned = f"  (pin {', '.join(pins)})" if pins else ""
    return (
        f"{head.number:>6}  {(head.digest or '')[:12]}  {commit.time}  "
        f"{assets:<9}  {commit.message}{pinned}"
    )


def provenance_line(head: Head) -> str | None:
    """Return the line below a commit's: who asked for it, and from which Git commit."""
    found = None if head.commit is None else head.commit.provenance
    if found is None:
        return None
    git = f"git {found.git_commit[:12]}{' with changes' * found.has_changes}"
    parts = (found.message, found.author, git * bool(found.git_commit), found.pull_request)
    return " " * 8 + "  ".join(filter(None, parts))


def damaged_line(number: int, error: CorruptObjectError) -> str:
    """Return the line in the log of a commit that cannot be read."""
    return f"{number:>6}  damaged: {error.message}"


def commit_json(head: Head, pins: Sequence[str] = ()) -> dict[str, Any]:
    """Return the machine form of a commit."""
    commit = head.commit
    if commit is None:
        return {"number": head.number}
    return {
        "number": head.number,
        "commit": head.digest,
        "parent": commit.parent,
        "tree": commit.tree,
        "content_root": commit.content_root,
        "time": commit.time,
        "message": commit.message,
        "provenance": None if commit.provenance is None else to_builtins(commit.provenance),
        "renamed": dict(commit.renamed),
        "tools": dict(commit.tools),
        "assets": None if head.is_dropped else head.tree.count,
        "is_dropped": head.is_dropped,
        "pins": list(pins),
    }
