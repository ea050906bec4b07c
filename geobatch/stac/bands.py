"""Bands as STAC has them: common metadata, and the raster extension's scale and offset."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from geobatch.format.zarr_layout.paths import array_names
from geobatch.model.assets.asset import Band, Number, Tileset
from geobatch.model.assets.image import Raster


def bands_json(asset: Raster, bands: Iterable[Band]) -> list[dict[str, Any]]:
    """Return some bands of an image by the names of their arrays in a Zarr group."""
    names = array_names(asset)
    return [{**_band(band), "name": names[band.id]} for band in bands]


def file_bands_json(asset: Raster, tileset: Tileset) -> list[dict[str, Any]]:
    """Return the bands of the files of a tileset, in their order; unused ones by their number."""
    used = {band.index % len(tileset.dtypes): band for band in reversed(asset.bands)
            if band.tileset == tileset.id}  # fmt: skip
    return [
        _band(used[index]) if index in used else {"name": f"band_{index + 1}", "data_type": dtype}
        for index, dtype in enumerate(tileset.dtypes)
    ]


def _band(band: Band) -> dict[str, Any]:
    nodata = _nodata(band)
    return {
        "name": band.id,
        **({"description": band.description} if band.description else {}),
        "data_type": band.dtype,
        **({} if nodata is None else {"nodata": nodata}),
        **({"unit": band.unit} if band.unit else {}),
        **({} if band.scale is None else {"raster:scale": band.scale}),
        **({} if band.offset is None else {"raster:offset": band.offset}),
    }


def _nodata(band: Band) -> int | float | str | None:
    """Return the value by which a reader may mask; None if valid pixels may equal the fill."""
    is_nan = isinstance(band.fill, float) and math.isnan(band.fill)
    if not band.can_be_masked or not (band.masking.is_fill_free or is_nan):
        return None
    return number_json(band.fill)


def number_json(value: Number) -> int | float | str:
    """Return a number as STAC spells it in JSON, which has no NaN and no infinities."""
    if isinstance(value, int) or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
