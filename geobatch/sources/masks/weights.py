"""Masks as weights from 0 (masked) to 255 (valid), for any range in the file."""

from __future__ import annotations

from collections.abc import Callable
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
    """Return the weights of the values of a mask: 0 to 255 for 0 to `valid_value`.

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
    """Return which floats GDAL treats as a nodata value other than NaN.

    They are one interval, or two, so that comparisons tell.
    """
    found: npt.NDArray[np.bool_] = np.zeros(pixels.shape, dtype=np.bool_)
    for low, high in _intervals(pixels.dtype.name, nodata):
        found |= (pixels >= low) & (pixels <= high)
    return found


@lru_cache(maxsize=256)
def _intervals(dtype: str, nodata: float) -> tuple[tuple[Any, Any], ...]:
    """Return the intervals, each with both ends, of the floats that GDAL treats as a nodata value.

    It compares the difference with a part of the sum (`ARE_REAL_EQUAL`), in the type of the pixels
    and with the tolerance of 32-bit floats for those of 64, too. Where the sum is too large for the
    type, all that is finite is within it: that may be an interval of its own.
    Source: GDAL 3.10 and 3.12, `gcore/gdal_priv.h`.
    """
    real = np.dtype(dtype).type
    value = real(nodata)
    if np.isinf(value):
        return ((value, value),)
    most = np.finfo(real).max
    found = [(_last(_is_within, value, -most, value), _last(_is_within, value, most, value))]
    far = most if value > 0 else -most
    if _is_beyond(far, value):
        edge = _last(_is_beyond, far, real(0), value)
        found.append((min(edge, far), max(edge, far)))
    return tuple(found)


def _last(is_so: Callable[[Any, Any], bool], start: Any, end: Any, value: Any) -> Any:
    """Return the last float between two for which a condition holds, starting at the first."""
    dtype = np.dtype(type(start))
    # Floats of one sign are ordered as their bits are.
    low, high = _rank(start), _rank(end)
    step = 1 if high > low else -1
    while low != high:
        middle = high - step * (abs(high - low) // 2)
        if is_so(_float(middle, dtype), value):
            low = middle
        else:
            high = middle - step
    return _float(low, dtype)


def _is_within(one: Any, value: Any) -> bool:
    """Return whether a float is within the tolerance, the sum being one that the type holds."""
    with np.errstate(all="ignore"):
        total = abs(one + value)
        tolerance = type(one)(np.finfo(np.float32).eps) * total * type(one)(2)
        return bool(one == value or (np.isfinite(total) and abs(one - value) < tolerance))


def _is_beyond(one: Any, value: Any) -> bool:
    """Return whether the sum of two finite floats is too large for their type."""
    with np.errstate(all="ignore"):
        return bool(np.isinf(one + value))


def _rank(value: Any) -> int:
    """Return the rank of a finite float among all of its type, from 0.0."""
    bits = int(np.abs(value).view(f"u{value.itemsize}"))
    return -bits if np.signbit(value) else bits


def _float(rank: int, dtype: np.dtype[Any]) -> Any:
    bits = np.array(abs(rank), dtype=f"u{dtype.itemsize}")
    value = bits.view(dtype)[()]
    return -value if rank < 0 else value
