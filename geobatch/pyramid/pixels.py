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
