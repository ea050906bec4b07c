"""Rectangles of a plane: a window of its pixels, a box of its tiles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol, Self

from msgspec import Struct

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Extent(Protocol):
    """What lies on a plane as a rectangle does: a window, a box, a source on its canvas."""

    @property
    def row(self) -> int:
        """First row."""
        ...

    @property
    def col(self) -> int:
        """First column."""
        ...

    @property
    def height(self) -> int:
        """Rows."""
        ...

    @property
    def width(self) -> int:
        """Columns."""
        ...


class _Rectangle(Struct, frozen=True, kw_only=True):
    row: int
    """First row."""
    col: int
    """First column."""
    height: int
    """Rows."""
    width: int
    """Columns."""

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return (self.height, self.width)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Where it lies in an array of the whole plane, as (row, column) slices."""
        return (
            slice(self.row, self.row + self.height),
            slice(self.col, self.col + self.width),
        )

    def intersect(self, other: Extent) -> Self | None:
        """Return the part that another rectangle covers; None without one."""
        row, col = max(self.row, other.row), max(self.col, other.col)
        bottom = min(self.row + self.height, other.row + other.height)
        right = min(self.col + self.width, other.col + other.width)
        if bottom <= row or right <= col:
            return None
        return type(self)(row=row, col=col, height=bottom - row, width=right - col)

    def shift(self, *, rows: int, cols: int) -> Self:
        """Return it so many rows further down and columns further right."""
        return type(self)(
            row=self.row + rows, col=self.col + cols, height=self.height, width=self.width
        )

    def within(self, part: Self) -> tuple[slice, slice]:
        """Return where a part lies in an array of this rectangle, as (row, column) slices."""
        return part.shift(rows=-self.row, cols=-self.col).slices


class Window(_Rectangle, frozen=True, kw_only=True):
    """A rectangle of pixels of a plane."""

    def in_tiles(self, shape: tuple[int, int]) -> Box:
        """Return the tiles, or storage blocks, of `shape` (rows, columns) that it touches."""
        top, left = self.row // shape[0], self.col // shape[1]
        return Box(
            row=top,
            col=left,
            height=-(-(self.row + self.height) // shape[0]) - top,
            width=-(-(self.col + self.width) // shape[1]) - left,
        )

    def parts(self, shape: tuple[int, int]) -> Iterator[Window]:
        """Yield its parts of at most `shape` (rows, columns), by rows."""
        for row in range(0, self.height, shape[0]):
            for col in range(0, self.width, shape[1]):
                yield Window(
                    row=self.row + row,
                    col=self.col + col,
                    height=min(shape[0], self.height - row),
                    width=min(shape[1], self.width - col),
                )


class Box(_Rectangle, frozen=True, kw_only=True):
    """A rectangle of tiles of one level, or of storage blocks of a source."""

    @classmethod
    def of_tile(cls, row: int, col: int) -> Box:
        """Return the box of a single tile."""
        return cls(row=row, col=col, height=1, width=1)

    @classmethod
    def around(cls, tiles: npt.NDArray[np.bool_], *, row: int = 0, col: int = 0) -> Box:
        """Return the smallest box around the True tiles of a mask whose corner is (row, col)."""
        has_row: Any = tiles.any(axis=1)
        has_col: Any = tiles.any(axis=0)
        (rows,), (cols,) = has_row.nonzero(), has_col.nonzero()
        return cls(
            row=row + int(rows[0]),
            col=col + int(cols[0]),
            height=int(rows[-1] - rows[0]) + 1,
            width=int(cols[-1] - cols[0]) + 1,
        )

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield the (row, column) of each tile, by rows."""
        for row in range(self.row, self.row + self.height):
            for col in range(self.col, self.col + self.width):
                yield row, col

    def children(self, plane: tuple[int, int]) -> Box:
        """Return the box of the tiles below, cut to a level of `plane` (rows, columns) of tiles."""
        return Box(
            row=2 * self.row,
            col=2 * self.col,
            height=min(2 * self.height, plane[0] - 2 * self.row),
            width=min(2 * self.width, plane[1] - 2 * self.col),
        )

    def window(self, plane: tuple[int, int], *, tile: int) -> Window:
        """Return its pixels, cut to a level of `plane` (rows, columns) of pixels."""
        row, col = self.row * tile, self.col * tile
        return Window(
            row=row,
            col=col,
            height=min(self.height * tile, plane[0] - row),
            width=min(self.width * tile, plane[1] - col),
        )
