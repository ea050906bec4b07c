"""How the pixels of two tiles differ: exact for integers, whatever their width."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.store.pixels import Values, Weights


class ValueDiff(Struct, frozen=True, kw_only=True):
    """How the pixels of one band differ at one level, from the first state to the second."""

    band: str
    """Band id."""
    level: int
    """Level."""
    tiles: int = 0
    """Tiles that were compared: those whose values or masks differ."""
    changed: int = 0
    """Pixels that are valid in both states, with different values."""
    masked: int = 0
    """Pixels that are valid in the first state only."""
    unmasked: int = 0
    """Pixels that are valid in the second state only."""
    reweighted: int = 0
    """Pixels that are valid in both, with different masks."""
    total: int | float = 0
    """Sum of the differences, second minus first, over the changed pixels; exact for integers."""
    smallest: int | float | None = None
    """Smallest difference over the changed pixels; None without any."""
    largest: int | float | None = None
    """Largest difference over the changed pixels; None without any."""

    @property
    def mean(self) -> float | None:
        """Mean difference over the changed pixels; None without any."""
        return self.total / self.changed if self.changed else None

    def __add__(self, other: ValueDiff) -> ValueDiff:
        smallest = _numbers(self.smallest, other.smallest)
        largest = _numbers(self.largest, other.largest)
        return ValueDiff(
            band=self.band,
            level=self.level,
            tiles=self.tiles + other.tiles,
            changed=self.changed + other.changed,
            masked=self.masked + other.masked,
            unmasked=self.unmasked + other.unmasked,
            reweighted=self.reweighted + other.reweighted,
            total=self.total + other.total,
            smallest=min(smallest) if smallest else None,
            largest=max(largest) if largest else None,
        )


def difference(
    before: tuple[Values, Weights], after: tuple[Values, Weights], *, band: str = "", level: int = 0
) -> ValueDiff:
    """Return how some pixels differ.

    Args:
        before: Values and masks of the first state, of one shape.
        after: Values and masks of the second, of the same shape.
        band: Band id, for the result.
        level: Level, for the result.
    """
    was, now = before[1] > 0, after[1] > 0
    both = was & now
    differs = both & (before[0] != after[0])
    if before[0].dtype.kind == after[0].dtype.kind == "f":
        differs &= ~(np.isnan(before[0]) & np.isnan(after[0]))
    total, smallest, largest = _spread(before[0][differs], after[0][differs])
    return ValueDiff(
        band=band,
        level=level,
        tiles=1,
        changed=int(np.count_nonzero(differs)),
        masked=int(np.count_nonzero(was & ~now)),
        unmasked=int(np.count_nonzero(now & ~was)),
        reweighted=int(np.count_nonzero(both & (before[1] != after[1]))),
        total=total,
        smallest=smallest,
        largest=largest,
    )


def spread(after: tuple[Values, Weights], *, band: str = "", level: int = 0) -> ValueDiff:
    """Return how the values of some pixels are spread, as if each valid one had changed from 0.

    Args:
        after: Values and masks, of one shape.
        band: Band id, for the result.
        level: Level, for the result.
    """
    is_valid = after[1] > 0
    values = after[0].ravel() if is_valid.all() else after[0][is_valid]
    if values.dtype.kind in "iu" and values.itemsize < 8 and len(values):
        ends: tuple[int | float | None, ...] = (int(values.min()), int(values.max()))
        total: int | float = int(values.sum(dtype=np.int64))
    else:
        total, *found = _spread(np.zeros_like(values), values)
        ends = tuple(found)
    return ValueDiff(
        band=band,
        level=level,
        tiles=1,
        changed=len(values),
        masked=int(is_valid.size) - len(values),
        reweighted=int(np.count_nonzero(is_valid & (after[1] < 255))),
        total=total,
        smallest=ends[0],
        largest=ends[1],
    )


def _spread(
    before: Values, after: Values
) -> tuple[int | float, int | float | None, int | float | None]:
    """Return sum, minimum and maximum of the differences of values."""
    if len(before) == 0:
        return 0, None, None
    if before.dtype.kind == "f" or after.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            apart = after.astype(np.float64) - before.astype(np.float64)
            low, high = np.fmin.reduce(apart), np.fmax.reduce(apart)
            return float(apart.sum()), float(low), float(high)
    if before.dtype.kind != after.dtype.kind and max(before.itemsize, after.itemsize) == 8:
        exact = after.astype(object) - before.astype(object)
        return int(exact.sum()), int(exact.min()), int(exact.max())
    # Modulo 2^64 the size of any difference is exact, and no 64-bit type could hold its sign too.
    wide = np.uint64 if before.dtype.kind == after.dtype.kind == "u" else np.int64
    was, now = before.astype(wide), after.astype(wide)
    rises = now > was
    size = np.where(rises, now, was).view(np.uint64) - np.where(rises, was, now).view(np.uint64)
    up, down = size[rises], size[~rises]
    ends = [*_ends(up), *(-end for end in _ends(down))]
    return _sum(up) - _sum(down), min(ends), max(ends)


def _numbers(*values: float | None) -> list[int | float]:
    """Return the values that are there; NaN, which no order holds, only where there is no other."""
    found = [value for value in values if value is not None]
    return [value for value in found if not math.isnan(value)] or found


def _ends(sizes: npt.NDArray[np.uint64]) -> tuple[int, ...]:
    return (int(sizes.min()), int(sizes.max())) if len(sizes) else ()


def _sum(sizes: npt.NDArray[np.uint64]) -> int:
    """Return the exact sum: halves of 32 bits of up to 2^32 numbers do not overflow 64."""
    low, high = sizes & np.uint64(0xFFFFFFFF), sizes >> np.uint64(32)
    return int(low.sum()) + (int(high.sum()) << 32)
