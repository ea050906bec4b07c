"""Pixels of a part of a published band, at the level that fits."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from geobatch.model.assets.grid import Grid
from geobatch.model.window import Window
from geobatch.store.pixels import BandPixels, Values, Weights

MOST_PIXELS = 512
"""Longest side of a picture."""
LEAST_PIXELS = 256
"""Shortest side of what a picture shows, if the image is as large: what is around a change."""


class View(Struct, frozen=True, kw_only=True):
    """What a picture shows."""

    level: int
    """Level of the pyramid."""
    window: Window
    """Pixels of the level."""


def view_of(grid: Grid, box: Window, *, lowest: int = 0) -> View:
    """Return the finest level at which a box fits a picture, and its pixels there.

    Args:
        grid: The planes.
        box: Pixels of level 0 that must be shown.
        lowest: Finest level that may be shown.
    """
    for level in range(min(lowest, grid.level_count - 1), grid.level_count):
        window = _around(box, grid.level(level).shape, level)
        if max(window.shape) <= MOST_PIXELS:
            break
    return View(level=level, window=window)


def _around(box: Window, shape: tuple[int, int], level: int) -> Window:
    """Return a box at a level, made larger up to `LEAST_PIXELS`, in the plane."""
    top, height = _side(box.row, box.height, shape[0], level)
    left, width = _side(box.col, box.width, shape[1], level)
    return Window(row=top, col=left, height=height, width=width)


def _side(start: int, length: int, most: int, level: int) -> tuple[int, int]:
    first, last = start >> level, -(-(start + length) >> level)
    missing = max(LEAST_PIXELS - (last - first), 0)
    first = max(first - missing // 2, 0)
    last = min(max(last, first + LEAST_PIXELS), most)
    first = max(min(first, last - LEAST_PIXELS), 0)
    return first, last - first


def read_window(pixels: BandPixels, window: Window) -> tuple[Values, Weights]:
    """Return the values and weights of a window of a band at a level.

    Raises:
        CorruptObjectError: A tile is damaged.
    """
    band, tile = pixels.band, pixels.record.image.tile
    values = np.full(window.shape, band.fill, dtype=band.dtype)
    weights = np.zeros(window.shape, np.uint8)
    for row in range(window.row // tile, -(-(window.row + window.height) // tile)):
        for col in range(window.col // tile, -(-(window.col + window.width) // tile)):
            found, mask = pixels.tile(row, col)
            height, width = found.shape
            whole = Window(row=row * tile, col=col * tile, height=height, width=width)
            if (part := window.intersect(whole)) is not None:
                here, there = whole.within(part), window.within(part)
                values[there], weights[there] = found[here], mask[here]
    return values, weights
