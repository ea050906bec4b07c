"""Shares, values and boxes as reviewers read them."""

from __future__ import annotations

import math

from geobatch.model.geobox import Bounds


def share_text(part: int, whole: int) -> str:
    """Return a share: `12.5 %`; what is more than nothing is not `0 %`."""
    if not whole or not part:
        return "0 %"
    share = 100 * part / whole
    if share < 0.01:
        return "< 0.01 %"
    if part < whole and share > 99.99:
        return "> 99.99 %"
    return f"{share:.2f} %" if share < 10 else f"{share:.1f} %"


def value_text(value: float | None) -> str:
    """Return a value with up to six digits."""
    if value is None or not math.isfinite(value):
        return "-" if value is None else str(value)
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.6g}"


def bounds_text(bounds: Bounds) -> str:
    """Return a box of longitudes and latitudes: `12.3 E to 12.5 E, 47.1 N to 47.2 N`."""
    left, bottom, right, top = bounds
    digits = max(2, min(6, 1 - math.floor(math.log10(max(abs(top - bottom), 1e-6)))))
    west, east = (_angle(one, "EW", digits) for one in (left, right))
    south, north = (_angle(one, "NS", digits) for one in (bottom, top))
    return f"{west} to {east}, {south} to {north}"


def _angle(degrees: float, signs: str, digits: int) -> str:
    return f"{abs(degrees):.{digits}f}° {signs[degrees < 0]}"
