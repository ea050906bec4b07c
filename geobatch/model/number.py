"""Numbers of pixels, and how canonical JSON spells them."""

from __future__ import annotations

import math
from typing import TypeAlias

from geobatch.model.digest import Json

Number: TypeAlias = int | float
"""The value of a pixel."""


def number_to_json(value: Number) -> Json:
    """Return a number as canonical JSON: non-finite floats as Zarr v3 spells them, -0.0 kept."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def number_from_json(value: Json) -> Number:
    """Invert `number_to_json`."""
    if isinstance(value, str):
        return {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"not a number: {value!r}")
    return value
