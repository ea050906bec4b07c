"""Masks as weights from 0, masked, to 255, valid, whatever a file counts them in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.errors import SourceError

VALID = 255
"""Weight of a valid pixel."""


def weights(
    values: npt.NDArray[Any], *, valid_value: int, where: str = "the mask"
) -> npt.NDArray[np.uint8]:
    """Return the weights that the values of a mask stand for: 0 to 255 for 0 to `valid_value`.

    Rounded down, but what is above 0 stays above 0, as GDAL has it of alpha bands of 16 bits
    (`GDALRescaledAlphaBand`).

    Args:
        values: Integers.
        valid_value: The highest of them, which means valid.
        where: What messages call the mask.

    Raises:
        SourceError: A value is negative, or above the highest.
    """
    if valid_value == VALID and values.dtype == np.uint8:
        return values
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > valid_value:
        raise SourceError(
            f"{where}: expected values from `0` (masked) to `{valid_value}` (valid), got"
            f" `{low if low < 0 else high}`",
            hint="declare the value that means valid: `valid_value` in `mask_bands`",
        )
    scaled = values.astype(np.uint64) * np.uint64(VALID) // np.uint64(valid_value)
    found: npt.NDArray[np.uint8] = np.maximum(scaled, values > 0).astype(np.uint8)
    return found


def is_near(pixels: npt.NDArray[Any], nodata: float) -> npt.NDArray[np.bool_]:
    """Return which floats GDAL takes for a nodata value that is no NaN.

    They are an interval, so that two comparisons tell.
    """
    low, high = _interval(pixels.dtype.name, nodata)
    found: npt.NDArray[np.bool_] = (pixels >= low) & (pixels <= high)
    return found


@lru_cache(maxsize=256)
def _interval(dtype: str, nodata: float) -> tuple[Any, Any]:
    """Return the least and the greatest float that GDAL takes for a nodata value."""
    ends = [_furthest(np.dtype(dtype), nodata, sign) for sign in (-1, 1)]
    return ends[0], ends[1]


def _furthest(dtype: np.dtype[Any], nodata: float, sign: int) -> Any:
    """Return the last float that GDAL takes for a nodata value, up or down from it."""
    real = dtype.type
    value = real(nodata)
    if np.isinf(value):
        return value
    # Floats of one sign are ordered as their bits are.
    start, end = _rank(value), _rank(np.finfo(dtype).max) * sign
    while start != end:
        middle = end - (end - start) // 2 if sign > 0 else end + (start - end) // 2
        if _is_equal_for_gdal(_float(middle, dtype), value):
            start = middle
        else:
            end = middle - sign
    return _float(start, dtype)


def _is_equal_for_gdal(one: Any, other: Any) -> bool:
    """Return what GDAL's `ARE_REAL_EQUAL` does, computed in the type of the pixels.

    The tolerance is that of 32-bit floats for those of 64, too; and where the sum is too large for
    the type, all that is finite is within it. Source: GDAL 3.10 and 3.12, `gcore/gdal_priv.h`.
    """
    with np.errstate(all="ignore"):
        tolerance = type(one)(np.finfo(np.float32).eps) * abs(one + other) * type(one)(2)
        return bool(one == other or abs(one - other) < tolerance)


def _rank(value: Any) -> int:
    """Return the place of a finite float among all of its type, from 0.0."""
    bits = int(np.abs(value).view(f"u{value.itemsize}"))
    return -bits if np.signbit(value) else bits


def _float(rank: int, dtype: np.dtype[Any]) -> Any:
    bits = np.array(abs(rank), dtype=f"u{dtype.itemsize}")
    value = bits.view(dtype)[()]
    return -value if rank < 0 else value
