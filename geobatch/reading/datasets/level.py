"""One level of an asset as a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import xarray as xr
import zarr
from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.format.zarr_layout.paths import array_names, array_path, level_path
from geobatch.model.assets.asset import Band, Grid
from geobatch.model.assets.cubes import nanoseconds
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import GeoBox
from geobatch.model.published import ArrayKey, Head
from geobatch.model.text.suggest import suggestion
from geobatch.reading.datasets.lazy import LazyArray, lazy_variable
from geobatch.reading.datasets.values import BandValues
from geobatch.views.zarr.attributes import (
    CF_VERSION,
    GRID_MAPPING,
    TIME,
    time_coordinate,
    title_of,
)

MASK = "_mask"
"""What follows a band's name in that of the coordinate that holds its mask."""
_LONGEST = 1 << 63
_DECODED = ("_FillValue", "scale_factor", "add_offset", "mask", "coordinates")
"""Attributes that a dataset with masks and scales applied no longer has."""


class Level(Struct, frozen=True, kw_only=True, eq=False):
    """Bands of an asset at one level, all on one grid."""

    raster: Raster
    """The asset."""
    head: Head
    """The commit."""
    number: int
    """Number of the level."""
    grid: Grid
    """The grid of the bands."""
    bands: tuple[BandValues, ...]
    """The bands, in the order asked for."""
    group: zarr.Group
    """The level's group, with coordinates and CRS."""

    @property
    def geobox(self) -> GeoBox:
        """Where its pixels are."""
        return self.grid.level(self.number)

    @property
    def chunks(self) -> dict[str, int]:
        """What one read decodes."""
        return {"y": self.raster.tile, "x": self.raster.tile}


def select_level(
    raster: Raster,
    group: zarr.Group,
    head: Head,
    *,
    level: int,
    bands: Sequence[str] | None,
    grid: str | None,
    is_masked: bool,
) -> Level:
    """Return a level of an asset; no pixel is read.

    Args:
        raster: The asset.
        group: The asset's group.
        head: The commit.
        level: Number of the level, 0 the finest.
        bands: Ids of bands; all of the grid if None.
        grid: Name of the grid; None if there is one, or if the bands tell.
        is_masked: Whether masks, scale and offset are applied.

    Raises:
        NotFoundError: There is no such band, grid or level.
        ValueError: The bands are on several grids.
    """
    chosen = _bands(raster, bands, grid)
    plane = raster.grid(chosen[0].grid)
    if not 0 <= level < plane.level_count:
        raise NotFoundError(
            f"`{raster.id}` has no level {level}",
            hint=f"its levels are 0 to {plane.level_count - 1}",
        )
    found = []
    for band in chosen:
        values = ArrayKey(level=level, band=band.id, is_mask=False)
        mask = ArrayKey(level=level, band=band.id, is_mask=True)
        found.append(
            BandValues(
                band=band,
                values=_array(group, array_path(raster, values)),
                mask=_array(group, array_path(raster, mask)) if band.has_mask(level) else None,
                is_masked=is_masked,
            )
        )
    path = level_path(raster, plane.name, level)
    return Level(
        raster=raster,
        head=head,
        number=level,
        grid=plane,
        bands=tuple(found),
        group=cast("zarr.Group", group[path]),
    )


def level_dataset(level: Level) -> xr.Dataset:
    """Return a level as a dataset: variables (y, x), coordinates, CRS, masks, time."""
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = coordinates_of(level)
    names = array_names(level.raster)
    for one in level.bands:
        name = names[one.band.id]
        array = LazyArray(one.shape, one.dtype, one.read)
        variables[name] = lazy_variable(("y", "x"), array, attributes_of(one), level.chunks)
        if one.is_masked and one.mask is not None:
            weights = LazyArray(one.shape, np.float32, one.weights)
            about = {"long_name": f"share of {one.band.id} that is valid, 0 to 1", "units": "1"}
            coordinates[_mask_name(name, names)] = lazy_variable(
                ("y", "x"), weights, about, level.chunks
            )
    time = level.raster.start_time
    if time is not None:
        coordinates[TIME] = xr.Variable((), moments([time])[0], time_attributes())
    return xr.Dataset(variables, coordinates, facts_of(level.raster, level.head, level.number))


def _mask_name(name: str, names: dict[str, str]) -> str:
    """Return the name of a band's mask, longer if a band is called so."""
    mask = name + MASK
    while mask in names.values():
        mask += "_"
    return mask


def coordinates_of(level: Level) -> dict[str, Any]:
    """Return x, y (of axis-aligned grids) and the CRS, as CF has them."""
    found: dict[str, Any] = {}
    for name in ("y", "x"):
        if name in level.group:
            array = _array(level.group, name)
            found[name] = xr.Variable((name,), np.asarray(array[...]), dict(array.attrs))
    crs = _array(level.group, GRID_MAPPING)
    found[GRID_MAPPING] = xr.Variable((), np.int64(0), dict(crs.attrs))
    return found


def attributes_of(one: BandValues) -> dict[str, Any]:
    """Return the attributes of a band's values, without those that were applied."""
    found: dict[str, Any] = dict(one.values.attrs)
    if one.is_masked:
        for name in _DECODED:
            found.pop(name, None)
    if "flag_values" in found:  # CF: of the type of the values
        found["flag_values"] = np.asarray(found["flag_values"], dtype=one.dtype)
    return found


def facts_of(raster: Raster, head: Head, level: int) -> dict[str, Any]:
    """Return the attributes of a dataset: which asset, at which commit, with its properties."""
    return {
        **dict(raster.properties),
        "Conventions": CF_VERSION,
        "title": title_of(raster),
        "geobatch_asset": raster.id,
        "geobatch_commit": head.digest or "",
        "geobatch_level": level,
    }


def time_attributes() -> dict[str, Any]:
    """Return the attributes of times, without those that xarray chooses when it writes."""
    found = time_coordinate()
    return {name: found[name] for name in found.keys() - {"units", "calendar"}}


def moments(times: Sequence[str]) -> npt.NDArray[np.datetime64]:
    """Return times in RFC 3339, in UTC, as xarray has them.

    They count nanoseconds; if one is before 1678 or after 2261, which these cannot hold, all count
    microseconds.
    """
    is_far = any(abs(nanoseconds(time)) >= _LONGEST for time in times)
    unit = "datetime64[us]" if is_far else "datetime64[ns]"
    return np.array([np.datetime64(time.removesuffix("Z")).astype(unit) for time in times], unit)


def _bands(raster: Raster, names: Sequence[str] | None, grid: str | None) -> tuple[Band, ...]:
    if grid is not None and all(grid != one.name for one in raster.grids):
        grids = [one.name for one in raster.grids]
        hint = suggestion(grid, grids) or f"its grids are {', '.join(f'`{one}`' for one in grids)}"
        raise NotFoundError(f"`{raster.id}` has no grid `{grid}`", hint=hint)
    if names is None:
        chosen = raster.bands if grid is None else raster.bands_of(grid)
    else:
        chosen = tuple(_band(raster, name) for name in names)
    grids = list(dict.fromkeys(band.grid for band in chosen))
    if not chosen:
        raise ValueError("no band was asked for: `bands` is empty")
    if len(grids) > 1 or (grid is not None and grids != [grid]):
        each = "; ".join(
            f"`{one}`: {', '.join(f'`{band.id}`' for band in raster.bands_of(one))}"
            for one in (one.name for one in raster.grids)
        )
        raise ValueError(
            f"the bands of `{raster.id}` are on several grids, which no dataset can hold at once: "
            f"name `grid` or `bands` of one ({each})"
        )
    return chosen


def _band(raster: Raster, name: str) -> Band:
    ids = [band.id for band in raster.bands]
    if name not in ids:
        hint = suggestion(name, ids) or f"its bands are {', '.join(f'`{one}`' for one in ids)}"
        raise NotFoundError(f"`{raster.id}` has no band `{name}`", hint=hint)
    return raster.band(name)


def _array(group: zarr.Group, path: str) -> zarr.Array[Any]:
    return cast("zarr.Array[Any]", group[path])
