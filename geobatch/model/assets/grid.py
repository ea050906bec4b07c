"""Grids: the pixel planes of an asset, and what of them is valid."""

from __future__ import annotations

from msgspec import Struct

from geobatch.model.geobox import GeoBox


class Grid(Struct, frozen=True, kw_only=True):
    """The pixel planes that some bands of an asset share."""

    name: str
    """Its name in the asset."""
    geobox: GeoBox
    """Level 0."""
    shapes: tuple[tuple[int, int], ...] | None = None
    """(rows, columns) per level, as COGs have them, of an external image; None for halves."""

    @property
    def level_count(self) -> int:
        """How many levels there are, from level 0."""
        return self.geobox.level_count if self.shapes is None else len(self.shapes)

    def level(self, level: int) -> GeoBox:
        """Return the plane of a level; if it is not a half, it still covers the area of level 0."""
        plane = self.geobox.level(level)
        if self.shapes is None or self.shapes[level] == plane.shape:
            return plane
        height, width = self.shapes[level]
        down, right = self.geobox.height / height, self.geobox.width / width
        a, b, c, d, e, f = self.geobox.transform
        return GeoBox(
            crs=plane.crs,
            transform=(a * right, b * down, c, d * right, e * down, f),
            height=height,
            width=width,
        )

    def scale(self, level: int) -> tuple[float, float]:
        """Return how many (rows, columns) of the level below make one of a level."""
        if level == 0:
            return (1.0, 1.0)
        if self.shapes is None:
            return (2.0, 2.0)
        (down, right), (below_down, below_right) = self._factors(level), self._factors(level - 1)
        return (down / below_down, right / below_right)

    def _factors(self, level: int) -> tuple[float, float]:
        plane, full = self.level(level), self.geobox
        if plane == full.level(level):
            return (float(1 << level), float(1 << level))
        return (full.height / plane.height, full.width / plane.width)

    def tile_shape(self, *, tile: int, level: int) -> tuple[int, int]:
        """Return how many (rows, columns) of tiles cover a level."""
        return self.level(level).tile_shape(tile=tile)


class Footprint(Struct, frozen=True, kw_only=True):
    """A polygon in pixel coordinates of one grid; pixels that it does not touch are masked."""

    grid: str
    """Grid of the band that the footprint refers to."""
    points: tuple[tuple[float, float], ...]
    """(x, y) pixel coordinates of the closed ring."""
