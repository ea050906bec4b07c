"""Names of the grids of an image."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache

from geobatch.model.geobox import GeoBox


def grid_names(planes: Mapping[str, GeoBox]) -> dict[str, str]:
    """Return a grid name per tileset: the pixel size with its unit, such as `r10m`."""
    names: dict[GeoBox, str] = {}
    for plane in planes.values():
        if plane in names:
            continue
        name = base = f"r{abs(plane.transform[0]):.9g}{_unit(plane.crs.cf)}"
        number = 2
        while name in names.values():
            name, number = f"{base}_{number}", number + 1
        names[plane] = name
    return {tileset: names[plane] for tileset, plane in planes.items()}


@lru_cache(maxsize=256)
def _unit(cf: str) -> str:
    """Return the unit after a pixel size, from the CF attributes of a CRS."""
    unit = json.loads(cf).get("x", {}).get("units", "")
    return {"metre": "m", "m": "m", "degrees_east": "deg", "degree_east": "deg"}.get(unit, "")
