"""A histogram of values whose range is not known before: exact counts, in bounded memory.

All bins have the same width, a power of two, and their edges are multiples of it. If the range
grows, the width is doubled and neighbours are joined, which is exact. So the result depends on the
values alone, and not on their order or on how they are cut into tiles.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_BINS = 32
"""Bins of a histogram, at most."""
_DIGITS = 40
"""The narrowest bin of floats: this many powers of two below the largest value."""
_LEAST = -1074
"""The exponent of the smallest float above 0."""
_USUAL = 1000
"""Powers of two that are floats, and their inverses, too."""

Numbers = npt.NDArray[Any]
"""Values of int64 or float64."""


class Histogram:
    """Counts values; those that are not finite are left out."""

    def __init__(self) -> None:
        self._exponent = 0
        self._counts: Counter[int] = Counter()
        self._ends: tuple[float, float] | None = None
        self._is_integer = True

    def add(self, values: Numbers) -> None:
        """Count values, all integers or all floats."""
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if not len(values):
            return
        self._is_integer &= values.dtype.kind != "f"
        self._widen(values.min().item(), values.max().item())
        bins = _bins(values, self._exponent)
        first = int(bins.min())
        for number, count in enumerate(np.bincount(bins - first).tolist(), start=first):
            if count:
                self._counts[number] += count

    def merge(self, other: Histogram) -> None:
        """Count what another histogram has counted."""
        if other._ends is None:
            return
        self._is_integer &= other._is_integer
        self._widen(*other._ends)
        shift = self._exponent - other._exponent
        for number, count in other._counts.items():
            self._counts[number >> shift] += count

    @property
    def edges(self) -> tuple[int | float, ...]:
        """The edges of the bins, one more than bins; none if nothing was counted."""
        if not self._counts:
            return ()
        return tuple(self._edge(n) for n in range(min(self._counts), max(self._counts) + 2))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many values are in each bin, from its lower edge to below its upper edge."""
        if not self._counts:
            return ()
        return tuple(self._counts[n] for n in range(min(self._counts), max(self._counts) + 1))

    def _edge(self, number: int) -> int | float:
        if self._is_integer:
            return number << self._exponent
        with np.errstate(over="ignore"):
            edge = float(np.ldexp(float(number), self._exponent))
        return edge if math.isfinite(edge) else math.copysign(np.finfo(np.float64).max, edge)

    def _widen(self, low: float, high: float) -> None:
        """Make the bins wide enough for a range."""
        if self._ends is not None:
            low, high = min(low, self._ends[0]), max(high, self._ends[1])
        exponent = 0
        if not self._is_integer:
            largest = max(abs(low), abs(high))
            exponent = max(math.frexp(largest)[1] - _DIGITS, _LEAST) if largest else _LEAST
        if self._ends is not None:
            exponent = max(exponent, self._exponent)
        while _bin(high, exponent) - _bin(low, exponent) >= MOST_BINS:
            exponent += 1
        shift = exponent - self._exponent
        if self._counts and shift:
            joined: Counter[int] = Counter()
            for number, count in self._counts.items():
                joined[number >> shift] += count
            self._counts = joined
        self._exponent, self._ends = exponent, (low, high)


def _bin(value: float, exponent: int) -> int:
    if isinstance(value, int):
        return value >> exponent
    scaled = math.ldexp(value, -exponent)
    return -1 if value < 0 and not scaled else math.floor(scaled)  # it may be too small for a float


def _bins(values: Numbers, exponent: int) -> npt.NDArray[np.int64]:
    if values.dtype.kind != "f":
        found: npt.NDArray[np.int64] = values >> exponent
        return found
    # Both are exact; a product is ten times as fast.
    is_usual = abs(exponent) <= _USUAL
    scaled = values * 2.0**-exponent if is_usual else np.ldexp(values, -exponent)
    scaled[(values < 0) & (scaled == 0)] = -1  # too small for a float
    return np.floor(scaled).astype(np.int64)
