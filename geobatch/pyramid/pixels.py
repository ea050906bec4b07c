"""Pixels with their weights."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.uint8]
Places: TypeAlias = tuple[npt.NDArray[np.intp], ...]
"""Rows and columns of some pixels."""


class Plane(NamedTuple):
    """Pixels with their weights."""

    values: Values
    """(height, width) pixels."""
    mask: Mask | None
    """(height, width) weights, 0 masked to 255 valid; None where all are valid."""


def members_of(pixels: Values) -> list[Values]:
    """Return the groups of a plane, one plane per member, in row-major order of the group.

    Args:
        pixels: (rows, columns); of each there is an even number, or one beyond an odd edge.
    """
    rows, cols = (range(min(size, 2)) for size in pixels.shape)
    columns = [pixels] if len(cols) == 1 else _columns_of(pixels)
    return [column[row::2] for row in rows for column in columns]


def _columns_of(pixels: Values) -> list[Values]:
    """Return every second column of a plane, from the first and from the second one."""
    size = pixels.itemsize
    if size > 2:
        return [pixels[:, 0::2], pixels[:, 1::2]]
    # Neighbours in a line are taken for one integer twice as wide, and its halves for pixels:
    # numpy reads small pixels much faster if they are in one piece.
    half = np.dtype(f"u{size}")
    pairs = np.ascontiguousarray(pixels).view(f"u{2 * size}")
    halves = (pairs.astype(half), (pairs >> (8 * size)).astype(half))
    first, second = halves if sys.byteorder == "little" else halves[::-1]
    return [first.view(pixels.dtype), second.view(pixels.dtype)]


def members_at(pixels: Values, places: Places) -> list[Values]:
    """Return some groups of a plane, as `members_of` does: those of these rows and columns."""
    rows, cols = (2 * place for place in places)
    height, width = (min(size, 2) for size in pixels.shape)
    return [pixels[rows + down, cols + right] for down in range(height) for right in range(width)]


def places_of(chosen: npt.NDArray[np.bool_]) -> Places:
    """Return the rows and columns of the True elements; numpy's own `nonzero` takes much longer."""
    return np.divmod(chosen.reshape(-1).nonzero()[0], chosen.shape[1])
