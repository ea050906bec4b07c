"""Counts the pixels of a tile that the checks of its band are about."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from geobatch.model.assets.asset import Band, Number
from geobatch.model.assets.image import Raster
from geobatch.model.checks.check import Check, CheckKind
from geobatch.model.checks.measure import Found, Measure, Measures
from geobatch.model.digest import Digest
from geobatch.pyramid.pixels import Mask, Plane, Values

Wrong: TypeAlias = "npt.NDArray[np.bool_] | None"
"""(rows, columns): which pixels do not pass, masked ones among them; None if all pass."""
_NONE = Measure()
_FEW_CLASSES = 64
"""So many comparisons are faster than a search of each pixel among the classes."""


class Counting:
    """Counts pixels of one band, tile by tile."""

    def __init__(self, checks: Collection[Check], band: Band) -> None:
        self._tests = {
            check.measure: _test(check, band.dtype)
            for check in checks
            if band.id in check.bands and check.kind in _COUNTED
        }
        self.found: Measures = dict.fromkeys(self._tests, _NONE)

    @classmethod
    def of(cls, asset: Raster, band: Band, names: Collection[Digest] | None = None) -> Counting:
        """Return what counts the pixels of a band, for its checks or some measures of them."""
        checks = [one for one in asset.checks if names is None or one.measure in names]
        return cls(checks, band)

    def add(self, plane: Plane, *, row: int, col: int) -> None:
        """Count the pixels of a tile whose first pixel is at a row and a column."""
        values, mask = plane
        if mask is not None and not mask.any():
            return
        for name, test in self._tests.items():
            known = self.found[name]
            if test is None:
                count = values.size if mask is None else int(np.count_nonzero(mask))
                self.found[name] = known + Measure(count=count)
                continue
            wrong = test(values)
            if wrong is None:
                continue
            if mask is not None:
                wrong &= mask != 0
            self.found[name] = known + _measure(wrong, values, row=row, col=col)


def names_of(asset: Raster, band_id: str) -> frozenset[Digest]:
    """Return the names of all measures that the checks of a band need."""
    checks = (one for one in asset.checks if band_id in one.bands and one.kind in _COUNTED)
    return frozenset(check.measure for check in checks)


def changed_pixels(plane: Plane, before: Plane, *, row: int, col: int) -> Measure:
    """Return how many pixels of a window differ in value or mask between two states."""
    values, old = plane.values, before.values
    if plane.mask is None and before.mask is None:
        return _measure(values != old, values, row=row, col=col)
    mask, was = (_whole_mask(one) for one in (plane, before))
    wrong = ((values != old) & (mask != 0) & (was != 0)) | (mask != was)
    return _measure(wrong, values, row=row, col=col)


def _whole_mask(plane: Plane) -> Mask:
    return np.full(plane.values.shape, 255, np.uint8) if plane.mask is None else plane.mask


def _measure(wrong: npt.NDArray[np.bool_], values: Values, *, row: int, col: int) -> Measure:
    count = int(np.count_nonzero(wrong))
    if not count:
        return _NONE
    down, right = divmod(int(wrong.argmax()), wrong.shape[1])
    first = Found(row=row + down, col=col + right, value=values[down, right].item())
    return Measure(count=count, first=first)


_COUNTED = (CheckKind.RANGE, CheckKind.CLASSES, CheckKind.MAX_MASKED)
"""Checks whose pixels are counted in one state."""


def _test(check: Check, dtype: str) -> Callable[[Values], Wrong] | None:
    """Return what finds the pixels that do not pass; None for a check that counts valid ones."""
    if check.kind is CheckKind.RANGE:
        low, high = check.values
        return _range_test(low, high, np.dtype(dtype))
    if check.kind is CheckKind.CLASSES:
        return _class_test(check.values, dtype)
    return None


def _range_test(low: Number, high: Number, dtype: np.dtype[Any]) -> Callable[[Values], Wrong]:
    """Return the test of a range; its ends are rounded as the pixels of a float band are."""
    if dtype.kind == "f":
        bounds = tuple(_rounded(value, dtype) for value in (low, high))
    else:
        bounds = _whole_bounds(low, high, dtype)
        if bounds[0] > bounds[1]:
            return lambda values: np.ones(values.shape, dtype=np.bool_)

    def test(values: Values) -> Wrong:
        # Two fast passes; of a tile with a pixel outside, or NaN, each pixel is compared.
        if bounds[0] <= values.min() and values.max() <= bounds[1]:
            return None
        wrong: npt.NDArray[np.bool_] = (values < bounds[0]) | (values > bounds[1])
        return wrong

    return test


def _rounded(value: Number, dtype: np.dtype[Any]) -> Any:
    """Return a number in a float type; a finite one stays finite."""
    if math.isinf(value):
        return dtype.type(value)
    most = float(np.finfo(dtype).max)
    return dtype.type(min(max(value, -most), most))


def _whole_bounds(low: Number, high: Number, dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the smallest and the largest integer of a type that are in a range."""
    info = np.iinfo(dtype)
    least = info.min if low < info.min else info.max + 1 if low > info.max else math.ceil(low)
    most = info.max if high > info.max else info.min - 1 if high < info.min else math.floor(high)
    return least, most


@lru_cache(maxsize=64)
def _class_test(classes: tuple[Number, ...], dtype: str) -> Callable[[Values], Wrong]:
    kind = np.dtype(dtype)
    if kind.kind == "f":
        allowed = np.array([_rounded(value, kind) for value in classes], dtype=kind)
    else:
        info = np.iinfo(kind)
        fitting = [one for one in classes if int(one) == one and info.min <= one <= info.max]
        allowed = np.array([int(one) for one in fitting], dtype=kind)
        if fitting and len(fitting) == max(fitting) - min(fitting) + 1:  # without a gap
            return _range_test(min(fitting), max(fitting), kind)
    if kind.itemsize > 2:
        return partial(_of_no_class, np.unique(allowed))
    # A table of all values of the type: one look-up per pixel.
    unsigned = np.dtype(f"u{kind.itemsize}")
    is_wrong = np.ones(1 << (8 * kind.itemsize), dtype=np.bool_)
    is_wrong[allowed.view(unsigned)] = False
    if kind.itemsize == 1:
        return partial(_of_no_class_byte, allowed.tobytes(), is_wrong)
    return lambda values: _or_none(is_wrong.take(np.ascontiguousarray(values).view(unsigned)))


def _of_no_class_byte(
    allowed: bytes, is_wrong: npt.NDArray[np.bool_], values: Values
) -> npt.NDArray[np.bool_] | None:
    # Most tiles are right, which this shows three times as fast as a look-up of each pixel.
    if not values.tobytes().translate(None, allowed):
        return None
    wrong: npt.NDArray[np.bool_] = is_wrong.take(np.ascontiguousarray(values).view(np.uint8))
    return wrong


def _of_no_class(allowed: Values, values: Values) -> npt.NDArray[np.bool_] | None:
    if len(allowed) <= _FEW_CLASSES:
        wrong = np.ones(values.shape, dtype=np.bool_)
        for value in allowed:
            wrong &= values != value
        return _or_none(wrong)
    at = np.minimum(np.searchsorted(allowed, values), len(allowed) - 1)
    return _or_none(allowed[at] != values)


def _or_none(wrong: npt.NDArray[np.bool_]) -> Wrong:
    return wrong if wrong.any() else None
