"""How a window is put together from the tiles under it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from geobatch.model.window import Box, Window


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


def pieces(window: Window, *, tile: int) -> Iterator[Piece]:
    """Yield the tiles of a plane that a window meets, by rows.

    Args:
        window: Pixels of the plane.
        tile: Side of a tile in pixels.
    """
    end = (window.row + window.height, window.col + window.width)
    for row, col in window.in_tiles((tile, tile)):
        square = Box.of_tile(row, col).window(end, tile=tile)
        part = square.intersect(window)
        if part is not None:
            yield Piece(row, col, source=square.within(part), target=window.within(part))
