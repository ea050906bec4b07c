"""Why a pixel is as it is: its value, its tile, the sources under it, and its last change."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from geobatch.errors import GeobatchError
from geobatch.explain.answer import BandWhy, LastChange
from geobatch.explain.why import why as explain
from geobatch.model.assets.band import Band
from geobatch.model.assets.grid import Grid
from geobatch.model.plans.words import reason_words
from geobatch.model.tile import TilePosition
from geobatch.serve.answers.answer import Answer, Question, json_answer, whole_number
from geobatch.serve.commits import State
from geobatch.serve.tiles.pixels import Published
from geobatch.serve.tiles.style import BadQueryError, parse_style
from geobatch.sources.projections.bounds import transform_points
from geobatch.sources.projections.crs import turn

_SHOWN = 20
_NUMBER = re.compile(r"-?[0-9]{1,12}(\.[0-9]{0,17})?", re.ASCII)


def why(question: Question) -> Answer:
    """Answer why the pixel at `lon` and `lat`, or at `row` and `col` of `level`, is as it is.

    Raises:
        NotFoundError: There is no such asset, band or commit.
        BadQueryError: The position is malformed.
    """
    state, asset_id = question.state(), question.path["asset"]
    image = question.served.image(state, asset_id)
    raster = image.record.image
    bands = [raster.band(name) for name in parse_style(raster, question.query).bands]
    grid = image.grid(bands[0])
    level = whole_number(question.query, "level", 0, 63)
    if level >= grid.level_count:
        raise BadQueryError(f"`level`: expected a whole number from 0 to {grid.level_count - 1}")
    row, col = _position(question, grid, level)
    plane = grid.level(level)
    is_inside = 0 <= row < plane.height and 0 <= col < plane.width
    found: dict[str, Any] = {
        "asset": asset_id,
        "commit": state.name,
        "level": level,
        "row": row,
        "col": col,
        "is_inside": is_inside,
    }
    if not is_inside:
        return json_answer(found, state)
    place = TilePosition(level=level, row=row // raster.tile, col=col // raster.tile)
    found["tile"] = {"level": level, "row": place.row, "col": place.col}
    found["command"] = f"geobatch why {asset_id} --tile {place}"
    found["bands"] = [
        _band_json(image, band, level, row, col) | _reasons(question, state, asset_id, band, place)
        for band in bands
    ]
    return json_answer(found, state)


def _position(question: Question, grid: Grid, level: int) -> tuple[int, int]:
    query = question.query
    if "row" in query or "col" in query:
        most = 2**31 - 1
        row, col = (whole_number(query, name, most, most) for name in ("row", "col"))
        return row, col
    lon, lat = (_number(query.get(name, ""), name) for name in ("lon", "lat"))
    geobox = grid.level(level)
    ((x, y),) = transform_points([(lon, lat)], "EPSG:4326", geobox.crs.identity)
    if not (math.isfinite(x) and math.isfinite(y)):
        return -1, -1
    around = turn(geobox.crs)
    if around is not None:
        left = geobox.bounds[0]
        x = left + (x - left) % around
    column, line = geobox.col_row(x=x, y=y)
    return math.floor(line), math.floor(column)


def _number(text: str, name: str) -> float:
    if not _NUMBER.fullmatch(text) or abs(float(text)) > 720:
        raise BadQueryError(f"`{name}`: expected degrees, such as `11.25`")
    return float(text)


def _band_json(image: Published, band: Band, level: int, row: int, col: int) -> dict[str, Any]:
    try:
        at = (np.array([[row]]), np.array([[col]]))
        values, weights = image.sample(band, level, *at)
    except GeobatchError as error:
        return {"band": band.id, "damage": error.message}
    value, weight = values[0, 0].item(), int(weights[0, 0])
    scale = 1 if band.scale is None else band.scale
    offset = 0 if band.offset is None else band.offset
    is_number = weight > 0 and math.isfinite(value)
    return {
        "band": band.id,
        "value": (value if math.isfinite(value) else str(value)) if weight else None,
        "physical": value * scale + offset if is_number and (scale, offset) != (1, 0) else None,
        "unit": band.unit,
        "mask": weight,
    }


def _reasons(
    question: Question, state: State, asset_id: str, band: Band, place: TilePosition
) -> dict[str, Any]:
    if state.is_plan:
        return {"note": "A plan would make this; it is not published."}
    try:
        found = explain(
            question.served.location,
            asset_id,
            place=place,
            band=band.id,
            workers=1,
            at=str(state.head.number),
        )
    except GeobatchError as error:
        return {"note": error.message}
    (one,) = found.bands
    return _why_json(one)


def _why_json(one: BandWhy) -> dict[str, Any]:
    return {
        "since": _change_json(one.last),
        "edited": None if one.edited is None else _change_json(one.edited),
        "policy": str(one.band.policy.value),
        "built": [str(child) for child in one.children],
        "bytes": one.size,
        "sources": [
            {"uri": source.uri, "digest": source.digest, "band": source.index + 1}
            for source in one.sources[:_SHOWN]
        ],
        "more_sources": max(len(one.sources) - _SHOWN, 0),
    }


def _change_json(last: LastChange) -> dict[str, Any]:
    commit = last.head.commit
    return {
        "number": last.head.number,
        "commit": last.head.digest,
        "time": None if commit is None else commit.time,
        "message": "" if commit is None else commit.message,
        "reasons": [
            reason_words(one.reason, one.path, one.detail) for one in last.because[:_SHOWN]
        ],
    }
