"""Lists of assets, and what there is to know of one."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from geobatch.errors import GeobatchError
from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.assets.band import Band
from geobatch.model.assets.documents.listed import Row
from geobatch.model.assets.grid import Grid
from geobatch.model.geobox import Bounds
from geobatch.model.number import number_to_json
from geobatch.model.published import ArrayKey, TreeEntry
from geobatch.reading import parse_query
from geobatch.reading.filters import parse_bounds
from geobatch.serve.answers.answer import Answer, Question, json_answer, whole_number
from geobatch.serve.commits import Served, State
from geobatch.serve.tiles.draw import Drawing
from geobatch.serve.tiles.kept import Kept
from geobatch.serve.tiles.pixels import Published
from geobatch.serve.tiles.positions import WEB_MERCATOR
from geobatch.serve.tiles.style import COLORMAPS, BadQueryError, default_bands
from geobatch.sources.projections.bounds import box_around, transform_bounds

MOST_LISTED = 1000
"""Most assets of one answer."""
_CONDITIONS = re.compile(r"\s*[,;]\s*")
_FOUND_BYTES = 32 << 20


class Assets:
    """Answers about assets."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing
        self._found: Kept[list[int]] = Kept(_FOUND_BYTES)

    def listed(self, question: Question) -> Answer:
        """Answer which assets there are, a page at a time.

        Raises:
            BadQueryError: A condition is malformed.
        """
        query, state = question.query, question.state()
        limit = whole_number(query, "limit", 100, MOST_LISTED)
        offset = whole_number(query, "offset", 0, 999_999_999)
        rows = state.rows()
        found = self.search(state, query)
        shown = [rows[number] for number in found[offset : offset + limit]]
        return json_answer(
            {
                "commit": state.name,
                "number": state.head.number,
                "total": len(found),
                "all": len(rows),
                "offset": offset,
                "assets": [row_json(entry, row) for entry, row in shown],
            },
            state,
        )

    def search(self, state: State, query: Mapping[str, str]) -> list[int]:
        """Return which rows of a commit meet the conditions of a query.

        Raises:
            BadQueryError: A condition is malformed.
        """
        names = ("prefix", "text", "bbox", "datetime", "properties")
        asked = tuple(query.get(name, "") for name in names)
        return self._found.get(
            (state.name, asked), lambda: list(_search(state, query)), lambda found: 8 * len(found)
        )

    def described(self, question: Question) -> Answer:
        """Answer what there is to know of an asset.

        Raises:
            NotFoundError: There is no such asset.
        """
        state, asset_id = question.state(), question.path["asset"]
        return json_answer(self.description(question.served, state, asset_id), state)

    def description(self, served: Served, state: State, asset_id: str) -> dict[str, Any]:
        """Return what there is to know of an asset.

        Raises:
            NotFoundError: There is no such asset.
        """
        entry = state.entry(asset_id)
        record = served.record(entry)
        asset = record.asset
        found: dict[str, Any] = {
            "id": asset.id,
            "kind": str(entry.kind),
            "commit": state.name,
            "number": state.head.number,
            "content": entry.content,
            "tiles": entry.tiles,
            "start": asset.start_time,
            "end": asset.end_time,
            "properties": {key: _plain(value) for key, value in asset.properties},
            "memo": asset.memo,
        }
        if record.table is not None:
            table = record.table
            return found | {
                "rows": table.rows,
                "columns": [column.name for column in table.columns],
                "bytes": table.size,
                "parquet": f"parquet/{asset.id}.parquet",
            }
        image = served.image(state, asset_id)
        raster = record.image
        boxes = [
            transform_bounds(grid.geobox.bounds, grid.geobox.crs.identity, "EPSG:4326")
            for grid in raster.grids
        ]
        on_map = all(map(_is_on_map, raster.grids))
        return found | {
            "bbox": finite(box_around([box for box in boxes if box is not None])),
            "is_on_map": on_map,
            "grids": [_grid_json(grid, raster.tile) for grid in raster.grids],
            "bands": [
                self._band_json(image, band)
                | {"zarr": array_path(raster, ArrayKey(band=band.id, level=0))}
                for band in raster.bands
            ],
            "style": {"bands": list(default_bands(raster))},
            "colormaps": list(COLORMAPS),
        }

    def _band_json(self, image: Published, band: Band) -> dict[str, Any]:
        try:
            stretch = None if band.palette is not None else self._drawing.stretch(image, band)
        except GeobatchError as error:  # the tiles say so, too
            return {**_band_facts(band), "stretch": None, "damage": error.message}
        is_finite = stretch is not None and math.isfinite(stretch.low + stretch.high)
        shown = [stretch.low, stretch.high] if stretch is not None and is_finite else None
        return {**_band_facts(band), "stretch": shown}


def _search(state: State, query: Mapping[str, str]) -> Iterator[int]:
    prefix, text = query.get("prefix", ""), query.get("text", "").strip().lower()
    conditions = [one for one in _CONDITIONS.split(query.get("properties", "").strip()) if one]
    try:
        box = parse_bounds(query["bbox"]) if query.get("bbox") else None
        found = parse_query(bbox=box, datetime=query.get("datetime") or None, properties=conditions)
    except ValueError as error:
        raise BadQueryError(str(error)) from None
    for number, (entry, row) in enumerate(state.rows()):
        if not entry.id.startswith(prefix) or (text and text not in entry.id.lower()):
            continue
        if found.is_open or found.passes(row):
            yield number


def row_json(entry: TreeEntry, row: Row) -> dict[str, Any]:
    """Return an asset in a list."""
    boxes = [spot.lonlat for spot in row.spots if spot.lonlat is not None]
    return {
        "id": entry.id,
        "kind": str(entry.kind),
        "start": row.start_time,
        "end": row.end_time,
        "bbox": finite(box_around(boxes)),
        "shape": list(row.spots[0].shape) if row.spots and row.table is None else None,
        "rows": None if row.table is None else row.table[0],
        "bands": row.bands,
        "properties": {key: _plain(value) for key, value in row.properties},
    }


def finite(box: Bounds | None) -> list[float] | None:
    """Return a box for JSON; None if it is none, or if an edge is infinite."""
    return list(box) if box is not None and all(map(math.isfinite, box)) else None


def _plain(value: Any) -> Any:
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def _is_on_map(grid: Grid) -> bool:
    """Return whether Web Mercator can show a grid: it has no poles."""
    box = transform_bounds(grid.geobox.bounds, grid.geobox.crs.identity, "EPSG:4326")
    if box is None or not all(map(math.isfinite, box)) or max(abs(box[1]), abs(box[3])) > 89:
        return False
    inside = (box[0], max(box[1], -85.0), box[2], min(box[3], 85.0))
    return inside[1] < inside[3] and transform_bounds(inside, "EPSG:4326", WEB_MERCATOR) is not None


def _grid_json(grid: Grid, tile: int) -> dict[str, Any]:
    geobox = grid.geobox
    return {
        "name": grid.name,
        "crs": geobox.crs.code or "CRS without a code",
        "wkt": geobox.crs.wkt,
        "transform": list(geobox.transform),
        "bounds": finite(geobox.bounds),
        "tile": tile,
        "levels": [list(grid.level(level).shape) for level in range(grid.level_count)],
    }


def _band_facts(band: Band) -> dict[str, Any]:
    return {
        "id": band.id,
        "grid": band.grid,
        "dtype": band.dtype,
        "unit": band.unit,
        "description": band.description,
        "scale": band.scale,
        "offset": band.offset,
        "fill": number_to_json(band.fill) if band.can_be_masked else None,
        "policy": str(band.policy.value),
        "palette": None if band.palette is None else [list(one) for one in band.palette],
    }
