"""The tiles that a plan changes, by asset, band and level."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import PlanError
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.plans.plan_document import GridDocument, TileDocument
from geobatch.model.tiles import TileSet
from geobatch.model.window import Window

Row: TypeAlias = Mapping[str, Any]
"""A tile as a saved plan lists it."""
_MOST_TILES = 1 << 24
"""Tiles of a level that are kept as a mask."""


def checked(rows: Iterable[Row]) -> Iterator[TileDocument]:
    """Yield the tiles of a plan.

    Raises:
        PlanError: One of them is not valid.
    """
    for number, row in enumerate(rows, start=1):
        try:
            yield msgspec.convert(row, TileDocument)
        except msgspec.ValidationError as error:
            raise PlanError(
                f"tile {number:,} of the plan is not valid: {error}",
                hint="make the plan again with `geobatch plan -o`",
            ) from None


def geobox_of(grid: GridDocument) -> GeoBox | None:
    """Return the plane of a grid; None if its transform has no area."""
    crs = Crs(code=None, wkt=grid.crs)
    try:
        return GeoBox(crs=crs, transform=grid.transform, height=grid.height, width=grid.width)
    except ValueError:
        return None


class ChangedTiles(Struct, frozen=True, kw_only=True, eq=False):
    """The tiles of one asset that change."""

    masks: dict[tuple[str, int], npt.NDArray[np.bool_]]
    """(rows, columns) of tiles by band and level."""

    def bands(self) -> tuple[str, ...]:
        """Return the bands with tiles, in the order of the plan."""
        return tuple(dict.fromkeys(band for band, _ in self.masks))

    def lowest(self, bands: Collection[str]) -> int:
        """Return the finest level at which tiles of some bands change; 0 without any."""
        return min((level for band, level in self.masks if band in bands), default=0)

    def of(self, bands: Collection[str], level: int) -> TileSet | None:
        """Return the tiles of some bands of one grid at a level; None without any."""
        found = [mask for (band, at), mask in self.masks.items() if band in bands and at == level]
        return TileSet.from_mask(np.logical_or.reduce(found)) if found else None

    def box(self, grid: GridDocument) -> Window | None:
        """Return the box of pixels of level 0 around the tiles of a grid; None without any."""
        level = self.lowest(grid.bands)
        tiles = self.of(grid.bands, level)
        if tiles is None or not tiles:
            return None
        rows, cols = np.nonzero(tiles.mask)
        side = grid.tile << level
        top, left = int(rows.min()) * side, int(cols.min()) * side
        bottom = min((int(rows.max()) + 1) * side, grid.height)
        right = min((int(cols.max()) + 1) * side, grid.width)
        return Window(row=top, col=left, height=bottom - top, width=right - left)


def changed_tiles(
    rows: Iterable[Row], grids: Mapping[str, Iterable[GridDocument]]
) -> dict[str, ChangedTiles]:
    """Return the tiles of some assets.

    Args:
        rows: The tiles of a plan; those of other assets are skipped.
        grids: Planes of the assets, by asset id.
    """
    planes = {
        (asset, band): grid for asset, found in grids.items() for grid in found
        for band in grid.bands
    }  # fmt: skip
    masks: dict[str, dict[tuple[str, int], npt.NDArray[np.bool_]]] = {one: {} for one in grids}
    for one in checked(rows):
        grid = planes.get((one.asset, one.band))
        if grid is None:
            continue
        mask = masks[one.asset].get((one.band, one.level))
        if mask is None:
            mask = np.zeros(_shape(grid, one.level), bool)
            masks[one.asset][one.band, one.level] = mask
        if one.row < mask.shape[0] and one.col < mask.shape[1]:
            mask[one.row, one.col] = True
    return {asset: ChangedTiles(masks=found) for asset, found in masks.items()}


def _shape(grid: GridDocument, level: int) -> tuple[int, int]:
    """Return (rows, columns) of tiles of a level; none if they are too many for a mask."""
    side = grid.tile << level
    shape = (-(-grid.height // side), -(-grid.width // side))
    return shape if shape[0] * shape[1] <= _MOST_TILES else (0, 0)
