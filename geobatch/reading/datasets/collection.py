"""The images of a folder as one dataset along time, on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from msgspec import Struct

from geobatch.errors import PlanError
from geobatch.format.zarr_layout.paths import array_names
from geobatch.model.assets.cubes import nanoseconds
from geobatch.model.geobox import Bounds, GeoBox
from geobatch.model.window import Window
from geobatch.reading.datasets.lazy import LazyArray, lazy_variable
from geobatch.reading.datasets.level import (
    Level,
    attributes_of,
    coordinates_of,
    moments,
    time_attributes,
)
from geobatch.reading.datasets.values import BandValues
from geobatch.views.zarr.attributes import CF_VERSION, GRID_MAPPING, coordinate

NEAR = 1e-6
"""Share of a pixel by which grids may differ and still be one."""


class Placed(Struct, frozen=True, kw_only=True, eq=False):
    """A level of an image on the canvas of a collection."""

    level: Level
    """The level."""
    window: Window
    """Where it is, in pixels of the canvas; parts may be outside."""


class BandStack(Struct, frozen=True, kw_only=True, eq=False):
    """One band of a collection: (time, y, x). It pickles where the store's backend does."""

    steps: tuple[tuple[tuple[BandValues, Window], ...], ...]
    """Per time, the images in order of their ids: of two that overlap, the last valid one wins."""
    shape: tuple[int, int, int]
    """(times, rows, columns)."""
    dtype: np.dtype[Any]
    """What holds the values of all images, and NaN where no image is."""

    def read(self, where: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Return the values of some times in a window."""
        times, rows, cols = where
        wanted = Window(
            row=rows.start, col=cols.start,
            height=rows.stop - rows.start, width=cols.stop - cols.start,
        )  # fmt: skip
        steps = self.steps[times]
        found = np.full((len(steps), *wanted.shape), np.nan, dtype=self.dtype)
        for plane, step in zip(found, steps, strict=True):
            for values, window in step:
                _lay(plane, wanted, values, window)
        return found


def _lay(plane: npt.NDArray[Any], wanted: Window, values: BandValues, window: Window) -> None:
    """Copy what is valid of an image into the part of the canvas that is read."""
    part = wanted.intersect(window)
    if part is None:
        return
    row, col = part.row - window.row, part.col - window.col
    pixels = values.read((slice(row, row + part.height), slice(col, col + part.width)))
    top, left = part.row - wanted.row, part.col - wanted.col
    target = plane[top : top + part.height, left : left + part.width]
    np.copyto(target, pixels.astype(plane.dtype), where=~np.isnan(pixels))


def collection_dataset(levels: Sequence[Level], bounds: Bounds | None) -> xr.Dataset:
    """Return images as one dataset (time, y, x), with the id of each image.

    Images of one time are one mosaic; of two that are valid at a pixel, the one whose id sorts last
    wins. Pixels without an image are NaN.

    Args:
        levels: A level of each image, with bands of the same ids, masks applied; at least one.
        bounds: Box to cut to, in the CRS of the images; None for all.

    Raises:
        PlanError: The images are not on one grid, or one has no time.
        ValueError: The box meets no image.
    """
    times = [_time(level) for level in levels]
    canvas = _canvas(levels, bounds)
    placed = [Placed(level=level, window=_window(canvas, level)) for level in levels]
    days = sorted(set(times), key=nanoseconds)
    steps = [
        sorted(
            (one for one, time in zip(placed, times, strict=True) if time == when),
            key=lambda one: one.level.raster.id,
        )
        for when in days
    ]
    first = levels[0]
    chunks = {"time": 1, **first.chunks}
    names = array_names(first.raster)
    variables = {
        names[values.band.id]: _band(steps, number, values, canvas, chunks)
        for number, values in enumerate(first.bands)
    }
    ids = [", ".join(one.level.raster.id for one in step) for step in steps]
    asset = "asset"
    while asset in variables:  # a band may be called so, too
        asset += "_"
    coordinates = {
        "time": xr.Variable(("time",), moments(days), time_attributes()),
        asset: xr.Variable(("time",), np.array(ids, dtype=object).astype(str)),
        **_axes(canvas),
        GRID_MAPPING: coordinates_of(first)[GRID_MAPPING],
    }
    coordinates[GRID_MAPPING].attrs["GeoTransform"] = _geotransform(canvas)
    facts = {"Conventions": CF_VERSION, "geobatch_commit": first.head.digest or ""}
    return xr.Dataset(variables, coordinates, {**facts, "geobatch_level": first.number})


def _band(
    steps: Sequence[Sequence[Placed]],
    number: int,
    first: BandValues,
    canvas: GeoBox,
    chunks: dict[str, int],
) -> xr.Variable:
    stacked = tuple(tuple((one.level.bands[number], one.window) for one in step) for step in steps)
    types = [values.dtype for step in stacked for values, _ in step]
    # Integers become floats: where there is no image, there is NaN.
    is_small = all(one.itemsize <= 2 or one == np.float32 for one in types)
    smallest = np.float32 if is_small else np.float64
    stack = BandStack(steps=stacked, shape=(len(steps), *canvas.shape), dtype=np.dtype(smallest))
    attributes = attributes_of(first)
    for name in [name for name in attributes if name.startswith(("spatial:", "gdal:"))]:
        del attributes[name]  # they are of one image
    array = LazyArray(stack.shape, stack.dtype, stack.read)
    return lazy_variable(("time", "y", "x"), array, attributes, chunks)


def _time(level: Level) -> str:
    time = level.raster.start_time
    if time is None:
        raise PlanError(
            f"`{level.raster.id}` has no `start_time`, by which images are ordered",
            hint="declare it in the spec, or open the image alone: `Store.dataset`",
        )
    return time


def _canvas(levels: Sequence[Level], bounds: Bounds | None) -> GeoBox:
    """Return the grid that covers all images, cut to a box; check that they share one.

    Raises:
        PlanError: Two of them do not.
        ValueError: The box meets none.
    """
    first = levels[0]
    windows = [_window(first.geobox, level, first) for level in levels]
    top, left = min(one.row for one in windows), min(one.col for one in windows)
    bottom = max(one.row + one.height for one in windows)
    right = max(one.col + one.width for one in windows)
    if bounds is not None:
        box = _rows_and_cols(first.geobox, bounds)
        top, left = max(top, box[0]), max(left, box[1])
        bottom, right = min(bottom, box[2]), min(right, box[3])
        if top >= bottom or left >= right:
            crs = first.geobox.crs.identity
            raise ValueError(f"`bounds` {bounds} meets no image; expected numbers in {crs}")
    a, b, c, d, e, f = first.geobox.transform
    return GeoBox(
        crs=first.geobox.crs,
        transform=(a, b, c + a * left + b * top, d, e, f + d * left + e * top),
        height=bottom - top,
        width=right - left,
    )


def _window(canvas: GeoBox, level: Level, first: Level | None = None) -> Window:
    """Return where a level is on a canvas, in pixels.

    Raises:
        PlanError: It is on another grid.
    """
    box = level.geobox
    a, b, c, d, e, f = canvas.transform
    other = box.transform
    size = max(abs(a), abs(b))
    pair = f"`{level.raster.id}` and `{(first or level).raster.id}` are not on one grid: "
    hint = "name a smaller folder, or bands or a level that are on one grid"
    if box.crs.identity != canvas.crs.identity:
        raise PlanError(f"{pair}{box.crs.identity} and {canvas.crs.identity}", hint=hint)
    sides = zip((*other[0:2], *other[3:5]), (a, b, d, e), strict=True)
    if any(abs(one - two) > NEAR * size for one, two in sides):
        raise PlanError(f"{pair}pixels of {other[0]:g} and of {a:g}", hint=hint)
    determinant = a * e - b * d
    right, down = other[2] - c, other[5] - f
    col, row = (e * right - b * down) / determinant, (a * down - d * right) / determinant
    if max(abs(col - round(col)), abs(row - round(row))) > 1e-3:
        shift = f"({col - round(col):.3f}, {row - round(row):.3f})"
        what = f"they are shifted by {shift} pixels of level {level.number}"
        raise PlanError(f"{pair}{what}", hint=hint)
    return Window(row=round(row), col=round(col), height=box.height, width=box.width)


def _rows_and_cols(canvas: GeoBox, bounds: Bounds) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right) of the pixels whose centres or parts are in a box."""
    a, b, c, d, e, f = canvas.transform
    determinant = a * e - b * d
    left, bottom, right, top = bounds
    corners = [(x - c, y - f) for x in (left, right) for y in (bottom, top)]
    cols = [(e * x - b * y) / determinant for x, y in corners]
    rows = [(a * y - d * x) / determinant for x, y in corners]
    return (
        int(np.floor(min(rows) + NEAR)), int(np.floor(min(cols) + NEAR)),
        int(np.ceil(max(rows) - NEAR)), int(np.ceil(max(cols) - NEAR)),
    )  # fmt: skip


def _axes(canvas: GeoBox) -> dict[str, Any]:
    """Return the centres of pixels; none of a rotated grid."""
    a, b, c, d, e, f = canvas.transform
    if b or d:
        return {}
    cf = canvas.crs.cf
    return {
        "y": xr.Variable(("y",), f + e * (np.arange(canvas.height) + 0.5), coordinate(cf, "y")),
        "x": xr.Variable(("x",), c + a * (np.arange(canvas.width) + 0.5), coordinate(cf, "x")),
    }


def _geotransform(canvas: GeoBox) -> str:
    a, b, c, d, e, f = canvas.transform
    return " ".join(repr(float(number)) for number in (c, a, b, f, d, e))
