"""Which pixels of an image are under the pixels of a tile of a map, in any CRS.

Positions are transformed exactly at every 16th pixel, and interpolated between, if that is exact
to a sixteenth of a pixel of the map; else each is transformed.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.assets.grid import Grid
from geobatch.model.geobox import GeoBox
from geobatch.serve.tiles.png import SIDE
from geobatch.sources.projections.bounds import transform_arrays
from geobatch.sources.projections.crs import turn

WEB_MERCATOR = "EPSG:3857"
HALF = math.pi * 6378137.0
"""Half the side of the square that Web Mercator maps the Earth to, in metres."""
MOST_ZOOM = 28
"""Finest zoom: a pixel is below a millimetre."""
_STEP = 16
_SLACK = 1 / 16
"""Pixels of the map by which an interpolated position may be wrong."""

Floats: TypeAlias = npt.NDArray[np.float64]


class MapTile(Struct, frozen=True, kw_only=True):
    """A tile of the XYZ scheme: (0, 0) is north-west."""

    zoom: int
    """0 is one tile for the whole Earth."""
    x: int
    """Column."""
    y: int
    """Row."""

    @property
    def is_on_the_map(self) -> bool:
        """Whether there is such a tile."""
        count = 1 << max(self.zoom, 0)
        return 0 <= self.zoom <= MOST_ZOOM and 0 <= self.x < count and 0 <= self.y < count

    @property
    def size(self) -> float:
        """Side of a pixel in metres of Web Mercator."""
        return 2 * HALF / (SIDE << self.zoom)

    def xy(self, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
        """Return Web Mercator coordinates of positions in the tile, in pixels from its corner."""
        left, top = self.x * SIDE * self.size - HALF, HALF - self.y * SIDE * self.size
        return left + cols * self.size, top - rows * self.size


class Positions(Struct, frozen=True, kw_only=True, eq=False):
    """Positions in level 0 of an image, one for each pixel of a map's tile."""

    cols: Floats
    """(256, 256) column of the centre of each pixel of the map; infinite where there is none."""
    rows: Floats
    """Row of it."""
    step: float
    """Pixels of level 0 from one pixel of the map to the next."""

    def level(self, grid: Grid) -> int:
        """Return the level whose pixels are nearest in size to those of the map."""
        if not math.isfinite(self.step) or self.step <= 0:
            return grid.level_count - 1
        sizes = [_factor(grid, level) for level in range(grid.level_count)]
        return min(
            range(grid.level_count), key=lambda level: abs(math.log2(self.step / sizes[level]))
        )

    def at(self, grid: Grid, level: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return (rows, columns) of pixels of a level; -1 where there is none."""
        plane, full = grid.level(level), grid.geobox
        down, right = _factors(full, plane)
        return _whole(self.rows / down), _whole(self.cols / right)


def _whole(numbers: Floats) -> npt.NDArray[np.int64]:
    is_near = np.isfinite(numbers) & (np.abs(numbers) < 2**40)
    return np.floor(np.where(is_near, numbers, -1)).astype(np.int64)


def _factors(full: GeoBox, plane: GeoBox) -> tuple[float, float]:
    a, b, _, d, e, _ = full.transform
    p, q, _, r, s, _ = plane.transform
    return math.hypot(q, s) / math.hypot(b, e), math.hypot(p, r) / math.hypot(a, d)


def _factor(grid: Grid, level: int) -> float:
    down, right = _factors(grid.geobox, grid.level(level))
    return math.sqrt(down * right)


def positions_of(tile: MapTile, geobox: GeoBox) -> Positions:
    """Return where the pixels of a tile of the map are in an image.

    Raises:
        ValueError: The CRS of the image is not one.
    """
    edges = np.arange(0, SIDE + 1, _STEP, dtype=np.float64)
    cols, rows = np.meshgrid(edges, edges)
    xs, ys = _image_xy(tile, geobox, cols, rows)
    centres = np.arange(SIDE) + 0.5
    if _is_smooth(xs, ys) and _error(tile, geobox, xs, ys) <= _SLACK * _spacing(xs, ys):
        found = [_between(xs), _between(ys)]
    else:
        centres = np.arange(SIDE) + 0.5
        found = list(_image_xy(tile, geobox, *np.meshgrid(centres, centres)))
    return _positions(found[0], found[1], geobox)


def _image_xy(tile: MapTile, geobox: GeoBox, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
    return transform_arrays(*tile.xy(cols, rows), WEB_MERCATOR, geobox.crs.identity)


def _between(edges: Floats) -> Floats:
    """Return what is linearly between every 16th edge at the centres of pixels, (256, 256)."""
    share = ((np.arange(_STEP) + 0.5) / _STEP)[:, None]
    down = edges[:-1, None] * (1 - share) + edges[1:, None] * share
    turned = down.reshape(SIDE, -1).T
    across = turned[:-1, None] * (1 - share) + turned[1:, None] * share
    return np.ascontiguousarray(across.reshape(SIDE, SIDE).T)


def _is_smooth(xs: Floats, ys: Floats) -> bool:
    return bool(np.isfinite(xs).all() and np.isfinite(ys).all())


def _error(tile: MapTile, geobox: GeoBox, xs: Floats, ys: Floats) -> float:
    """Return how wrong what is between the exact positions is, in the image's CRS.

    It is asked in the middle of the sides of each cell. In the middle of a cell, the errors along
    rows and columns cancel each other in conformal projections.
    """
    edges = np.arange(0, SIDE + 1, _STEP, dtype=np.float64)
    middles = edges[:-1] + _STEP / 2
    across = _image_xy(tile, geobox, *np.meshgrid(middles, edges))
    down = _image_xy(tile, geobox, *np.meshgrid(edges, middles))
    errors = [
        (xs[:, :-1] + xs[:, 1:]) / 2 - across[0],
        (ys[:, :-1] + ys[:, 1:]) / 2 - across[1],
        (xs[:-1] + xs[1:]) / 2 - down[0],
        (ys[:-1] + ys[1:]) / 2 - down[1],
    ]
    return max(float(np.abs(one).max()) for one in errors)


def _spacing(xs: Floats, ys: Floats) -> float:
    """Return the least distance in the image's CRS from one pixel of the map to the next."""
    across = np.hypot(np.diff(xs, axis=1), np.diff(ys, axis=1)).min()
    down = np.hypot(np.diff(xs, axis=0), np.diff(ys, axis=0)).min()
    return float(min(across, down)) / _STEP


def _positions(xs: Floats, ys: Floats, geobox: GeoBox) -> Positions:
    a, b, c, d, e, f = geobox.transform
    around = turn(geobox.crs)
    if around is not None:
        # Past the antimeridian, x of the image goes on; a map starts again.
        left = geobox.bounds[0]
        with np.errstate(invalid="ignore"):
            xs = left + np.mod(xs - left, around)
    determinant = a * e - b * d
    with np.errstate(invalid="ignore", over="ignore"):
        right, down = xs - c, ys - f
        cols, rows = (e * right - b * down) / determinant, (a * down - d * right) / determinant
        few = slice(None, None, _STEP)
        steps = np.hypot(np.diff(cols[few], axis=1), np.diff(rows[few], axis=1))
    steps = steps[np.isfinite(steps)]
    step = float(np.median(steps)) if steps.size else math.inf
    return Positions(cols=cols, rows=rows, step=step)
