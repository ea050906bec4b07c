"""Placed pixel planes: CRS, affine transform and shape, their levels and their tiles."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.window import Window

Transform: TypeAlias = tuple[float, float, float, float, float, float]
"""(a, b, c, d, e, f): x = a*col + b*row + c, y = d*col + e*row + f, at pixel corners."""

Bounds: TypeAlias = tuple[float, float, float, float]
"""(left, bottom, right, top), the box around the four corners, in CRS units."""

TOP_LEVEL_PIXELS = 256
"""Levels end with the first that fits a square of this side."""


def ceil_div(value: int, divisor: int) -> int:
    """Return the quotient of two integers, rounded up."""
    return -(-value // divisor)


class Crs(Struct, frozen=True, kw_only=True):
    """A coordinate reference system, by authority code where it has one."""

    code: str | None
    """Authority code such as `EPSG:32618`, or None where the file gives none."""
    wkt: str
    """WKT2:2019 text; the identity where there is no code."""
    cf: str = "{}"
    """What CF readers need, as JSON: `{"grid_mapping": {...}, "x": {...}, "y": {...}}`, attributes
    of the grid mapping variable and of the coordinate variables. Derived, not identity."""

    @property
    def identity(self) -> str:
        """The text that decides equality: the code if there is one, else the WKT."""
        return self.code or self.wkt

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Crs) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash(self.identity)

    def __str__(self) -> str:
        return self.identity


class GeoBox(Struct, frozen=True, kw_only=True):
    """A placed pixel plane (odc-geo's word): CRS, affine transform and shape."""

    crs: Crs
    """Coordinate reference system."""
    transform: Transform
    """Pixel corner (col, row) to CRS coordinates (x, y)."""
    height: int
    """Rows."""
    width: int
    """Columns."""

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"a geobox needs pixels, got {self.height} x {self.width}")
        a, b, _, d, e, _ = self.transform
        if a * e - b * d == 0:
            raise ValueError(f"the transform {self.transform} has no area")

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return (self.height, self.width)

    @property
    def is_axis_aligned(self) -> bool:
        """Whether rows and columns run along the axes of the CRS (no rotation, no shear)."""
        return self.transform[1] == 0 and self.transform[3] == 0

    @property
    def bounds(self) -> Bounds:
        """The box around the four corners, in CRS units."""
        corners = [self.xy(col=col, row=row) for col in (0, self.width) for row in (0, self.height)]
        xs, ys = zip(*corners, strict=True)
        return (min(xs), min(ys), max(xs), max(ys))

    def xy(self, *, col: float, row: float) -> tuple[float, float]:
        """Return the CRS coordinates of a pixel corner position."""
        a, b, c, d, e, f = self.transform
        return (a * col + b * row + c, d * col + e * row + f)

    def col_row(self, *, x: float, y: float) -> tuple[float, float]:
        """Return the fractional pixel position of CRS coordinates."""
        a, b, c, d, e, f = self.transform
        determinant = a * e - b * d
        dx, dy = x - c, y - f
        return ((e * dx - b * dy) / determinant, (a * dy - d * dx) / determinant)

    def level(self, level: int) -> GeoBox:
        """Return the plane of a level: `ceil(size / 2^level)` pixels, each 2^level as large."""
        if level == 0:
            return self
        factor = 1 << level
        a, b, c, d, e, f = self.transform
        return replace(
            self,
            transform=(a * factor, b * factor, c, d * factor, e * factor, f),
            height=ceil_div(self.height, factor),
            width=ceil_div(self.width, factor),
        )

    @property
    def window(self) -> Window:
        """All its pixels."""
        return Window(row=0, col=0, height=self.height, width=self.width)

    def crop(self, window: Window) -> GeoBox:
        """Return the part in a window, which must lie in it."""
        a, b, _, d, e, _ = self.transform
        x, y = self.xy(col=window.col, row=window.row)
        return replace(self, transform=(a, b, x, d, e, y), height=window.height, width=window.width)

    @property
    def level_count(self) -> int:
        """How many levels there are, from level 0 to the first that fits 256 x 256 pixels."""
        level = 0
        while max(ceil_div(self.height, 1 << level), ceil_div(self.width, 1 << level)) > (
            TOP_LEVEL_PIXELS
        ):
            level += 1
        return level + 1

    def tile_shape(self, *, tile: int, level: int = 0) -> tuple[int, int]:
        """Return how many (rows, columns) of tiles cover a level."""
        plane = self.level(level)
        return (ceil_div(plane.height, tile), ceil_div(plane.width, tile))
