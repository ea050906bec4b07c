"""Rectangles of a pixel plane, and the tiles that lie under them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from geobatch.model.geobox import ceil_div


class Window(Struct, frozen=True, kw_only=True):
    """A rectangle of a pixel plane."""

    row: int
    """First row."""
    col: int
    """First column."""
    height: int
    """Rows."""
    width: int
    """Columns."""

    def pieces(self, *, tile: int) -> Iterator[Piece]:
        """Yield the tiles of the plane that the window meets, by rows.

        Args:
            tile: Side of a tile in pixels.
        """
        for row in range(self.row // tile, ceil_div(self.row + self.height, tile)):
            rows = (max(self.row, row * tile), min(self.row + self.height, (row + 1) * tile))
            for col in range(self.col // tile, ceil_div(self.col + self.width, tile)):
                cols = (max(self.col, col * tile), min(self.col + self.width, (col + 1) * tile))
                yield Piece(
                    row=row,
                    col=col,
                    source=(_shift(rows, row * tile), _shift(cols, col * tile)),
                    target=(_shift(rows, self.row), _shift(cols, self.col)),
                )


class Piece(NamedTuple):
    """What a window and a tile have in common."""

    row: int
    """Row of the tile."""
    col: int
    """Column of the tile."""
    source: tuple[slice, slice]
    """(rows, columns) of the tile."""
    target: tuple[slice, slice]
    """(rows, columns) of the window."""


def _shift(span: tuple[int, int], by: int) -> slice:
    return slice(span[0] - by, span[1] - by)
