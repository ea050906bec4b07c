"""Attributes of Zarr groups and arrays: conventions multiscales, proj and spatial, and CF."""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from geobatch.format.zarr_layout.pyramids import Step
from geobatch.model.assets.asset import Band, Kind
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import Crs, GeoBox, Transform
from geobatch.model.number import number_to_json
from geobatch.pyramid.reducer import Reducer
from geobatch.pyramid.reducers import REDUCERS, mask_reducer
from geobatch.views.zarr.cf import numeric_unit

Attributes: TypeAlias = dict[str, Any]
"""The value of `attributes` in a `zarr.json`."""

GRID_MAPPING = "spatial_ref"
"""Name of the array that carries the CRS for CF readers."""

TIME = "time"
"""Name of the coordinate with the time at which an asset begins."""

CF_VERSION = "CF-1.11"


def _convention(name: str, uuid: str, description: str) -> Attributes:
    return {
        "uuid": uuid,
        "schema_url": (
            f"https://raw.githubusercontent.com/zarr-conventions/{name}/refs/tags/v0.1/schema.json"
        ),
        "spec_url": f"https://github.com/zarr-conventions/{name}/blob/v0.1/README.md",
        "name": name,
        "description": description,
    }


MULTISCALES = _convention(
    "multiscales", "d35379db-88df-4056-af3a-620245f8e347", "Multiscale layout of zarr datasets"
)
PROJ = _convention(
    "proj",
    "f17cb550-5864-4468-aeb7-f3180cfb622f",
    "Coordinate reference system information for geospatial data",
)
SPATIAL = _convention(
    "spatial", "689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinate information"
)


def product(asset: Raster) -> Attributes:
    """Return what a reader can know of the asset as a whole, for its own group.

    Where its pixels are makes no other asset of it: an external image is an image here.

    The times appear twice: as geobatch and Earth Engine call them, and by their names in the
    Attribute Convention for Data Discovery (ACDD 1.3), which catalogues harvest.
    """
    facts: Attributes = {
        "id": asset.id,
        "kind": (Kind.IMAGE if asset.is_external else asset.kind).value,
        "tile": asset.tile,
        "properties": {key: number_to_json(value) for key, value in asset.properties},  # type: ignore[arg-type]
    }
    if asset.array_bands:
        facts["array_bands"] = {name: list(members) for name, members in asset.array_bands}
    coverage: Attributes = {"title": title_of(asset)}
    if asset.start_time is not None:
        facts["start_time"] = coverage["time_coverage_start"] = asset.start_time
    if asset.end_time is not None:
        facts["end_time"] = coverage["time_coverage_end"] = asset.end_time
    return {"Conventions": CF_VERSION, **coverage, "geobatch": facts}


def multiscale(asset: Raster, steps: Sequence[Step], *, is_mask: bool = False) -> Attributes:
    """Return the attributes of a multiscale group: its layout, and the placement of its finest.

    Args:
        asset: The asset.
        steps: The resolutions of the group, from the finest.
        is_mask: Whether its arrays are masks.
    """
    names = {step.name for step in steps}
    layout = [
        {
            "asset": step.name,
            **({"derived_from": step.below} if step.below in names else {}),
            "transform": {
                "scale": list(step.scale if step.below in names else (1.0, 1.0)),
                "translation": [0.0, 0.0],
            },
            "spatial:shape": list(step.geobox.shape),
            "spatial:transform": [float(number) for number in step.geobox.transform],
            **_common_method(asset, step.made, is_mask=is_mask),
        }
        for step in steps
    ]
    finest = steps[0].geobox
    grids = frozenset(grid.name for step in steps for grid, _ in step.members)
    return {
        "zarr_conventions": [MULTISCALES, PROJ, SPATIAL],
        "multiscales": {"layout": layout, **_common_method(asset, grids, is_mask=is_mask)},
        **_proj(finest.crs, is_group=True),
        "spatial:dimensions": ["y", "x"],
        **_spatial(finest),
        "spatial:bbox": list(finest.bounds),
        "Conventions": CF_VERSION,
    }


def title_of(asset: Raster) -> str:
    """Return what an asset is called: its property `title`, or its id."""
    return str(dict(asset.properties).get("title") or asset.id)


def level_group(asset: Raster, geobox: GeoBox) -> Attributes:
    """Return the attributes of one level's group: its own placement.

    They and those of arrays are what xarray carries along, into netCDF too, where an attribute is
    a text, a number, or a flat list. Only the multiscale group has objects.
    """
    return {
        **_proj(geobox.crs, is_group=True),
        **_spatial(geobox),
        "spatial:bbox": list(geobox.bounds),
        "Conventions": CF_VERSION,
        "title": title_of(asset),
    }


def band_values(
    band: Band,
    geobox: GeoBox,
    *,
    level: int,
    name: str,
    has_time: bool = False,
    classes: tuple[list[int], str] | None = None,
) -> Attributes:
    """Return the attributes of a band's values at one level.

    Args:
        band: The band.
        geobox: Placement of the level.
        level: Its number.
        name: Name of the array; if it is not the band's id, that is an attribute.
        has_time: Whether the coordinate `time` is beside the array.
        classes: Values and meanings of its classes, if they are named.
    """
    fill = fill_attribute(band)
    return {
        **({} if fill is None else {"_FillValue": fill}),
        **_location(geobox, has_time),
        "long_name": band.description or band.id,
        **_identity(band, name),
        **_unit(band),
        **({} if band.scale is None else {"scale_factor": band.scale}),
        **({} if band.offset is None else {"add_offset": band.offset}),
        **(_method(REDUCERS[band.policy]) if level else {}),
        **({} if classes is None else {"flag_values": classes[0], "flag_meanings": classes[1]}),
        **({} if band.palette is None else {"color_table": [n for c in band.palette for n in c]}),
    }


def band_mask(
    band: Band, geobox: GeoBox, *, level: int, name: str, has_time: bool = False
) -> Attributes:
    """Return the attributes of a band's mask at one level: 0 masked to 255 valid."""
    return {
        **_location(geobox, has_time),
        "standard_name": "status_flag",
        "long_name": f"mask of {band.description or band.id}",
        **_identity(band, name),
        "flag_values": [0, 255],
        "flag_meanings": "masked valid",
        **(_method(mask_reducer(band.policy)) if level else {}),
    }


def fill_attribute(band: Band) -> int | str | None:
    """Return the `_FillValue` by which CF readers mask, or None where masking would be wrong.

    It is written where a pixel that equals the fill value is masked. Under a policy that makes
    values (`Reducer.makes_values`), a valid pixel of a level above 0 may come to equal an integer
    fill that lies between valid values; the mask array beside it then tells the truth.

    Source:
        CF 1.11 section 2.5.1; xarray's Zarr v3 spelling of floats, base64 of a little-endian
        float64.
    """
    if not band.can_be_masked:
        return None
    is_nan = isinstance(band.fill, float) and math.isnan(band.fill)
    if not (band.masking.is_fill_free or is_nan):
        return None
    if band.is_float:
        return base64.b64encode(struct.pack("<d", band.fill)).decode()
    return int(band.fill)


def coordinate(cf: str, axis: str) -> Attributes:
    """Return the attributes of the coordinate variable `x` or `y`, from `Crs.cf`."""
    return {"axis": axis.upper(), **_cf(cf, axis)}


def time_coordinate() -> Attributes:
    """Return the attributes of the coordinate `time`, a float: where an asset begins."""
    return {
        "axis": "T",
        "standard_name": "time",
        "long_name": "start of what the asset shows",
        "units": "milliseconds since 1970-01-01",
        "calendar": "proleptic_gregorian",
    }


def grid_mapping(geobox: GeoBox) -> Attributes:
    """Return the attributes of the grid mapping variable: CRS and placement, as GDAL spells it."""
    return {
        "long_name": "coordinate reference system",
        "crs_wkt": geobox.crs.wkt,
        **_cf(geobox.crs.cf, "grid_mapping"),
        "spatial_ref": geobox.crs.wkt,
        "GeoTransform": " ".join(map(repr, _gdal_order(geobox))),
    }


def _method(reducer: Reducer) -> Attributes:
    return {"resampling_method": reducer.resampling}


def _common_method(asset: Raster, grids: frozenset[str], *, is_mask: bool) -> Attributes:
    """Return the method of some grids' bands, if there is one; others say theirs on each array."""
    reducer_of = mask_reducer if is_mask else REDUCERS.__getitem__
    methods = {reducer_of(b.policy).resampling for b in asset.bands if b.grid in grids}
    return {"resampling_method": methods.pop()} if len(methods) == 1 else {}


def _identity(band: Band, name: str) -> Attributes:
    return {} if name == band.id else {"band": band.id}


def _location(geobox: GeoBox, has_time: bool) -> Attributes:
    """Return what says where an array of pixels lies."""
    return {
        # Without `coordinates`, rioxarray does not find the CRS unless told to decode it.
        "grid_mapping": GRID_MAPPING,
        "coordinates": f"{GRID_MAPPING} {TIME}" if has_time else GRID_MAPPING,
        **_proj(geobox.crs, is_group=False),
        **_spatial(geobox),
        # By this alone GDAL 3.13 places what has no coordinates.
        **({} if geobox.is_axis_aligned else {"gdal:geotransform": _gdal_order(geobox)}),
    }


def _proj(crs: Crs, *, is_group: bool) -> Attributes:
    """Return the proj convention; an array with a code leaves the long WKT to its group."""
    code = {"proj:code": crs.code} if crs.code else {}
    return code if code and not is_group else {**code, "proj:wkt2": crs.wkt}


def _spatial(geobox: GeoBox) -> Attributes:
    transform: Transform = geobox.transform
    return {
        "spatial:registration": "pixel",
        "spatial:transform": [float(number) for number in transform],
        "spatial:shape": list(geobox.shape),
    }


def _gdal_order(geobox: GeoBox) -> list[float]:
    a, b, c, d, e, f = geobox.transform
    return [float(number) for number in (c, a, b, f, d, e)]


def _unit(band: Band) -> Attributes:
    """Return the unit; as declared in `unit` too, where `units` cannot say it so."""
    if band.unit is None:
        return {}
    spelled = numeric_unit(band.unit)
    return {
        **({} if spelled is None else {"units": spelled}),
        **({} if spelled == band.unit else {"unit": band.unit}),
    }


def _cf(cf: str, part: str) -> Attributes:
    return _parsed(cf).get(part, {})


@lru_cache(maxsize=16)
def _parsed(text: str) -> dict[str, Attributes]:
    parsed: dict[str, Attributes] = json.loads(text)
    return parsed
