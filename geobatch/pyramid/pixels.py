"""Pixels with their weights."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.uint8]


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
    return [pixels[row::2, col::2] for row in rows for col in cols]
