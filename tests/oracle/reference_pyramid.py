"""Reference for levels and the six policies: one Python loop over 2x2 groups, written for reading.

It follows the text of the format alone and shares no code and no idea with the package: integers
are Python integers, so nothing can overflow, and floats are Python floats, which are IEEE doubles.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[Any]
Masks: TypeAlias = npt.NDArray[np.uint8]

POLICIES = ("MEAN", "SAMPLE", "MIN", "MAX", "MODE", "MEDIAN")


class Pixel(NamedTuple):
    """One pixel that exists."""

    value: int | float
    mask: int


def round_half_up(x: Fraction) -> int:
    """Round to the nearest integer, halves toward plus infinity."""
    return math.floor(x + Fraction(1, 2))


def mean_of_integers(group: list[Pixel | None]) -> int:
    valid = [pixel for pixel in group if pixel is not None and pixel.mask > 0]
    weight = sum(pixel.mask for pixel in valid)
    return round_half_up(Fraction(sum(int(p.value) * p.mask for p in valid), weight))


def mean_of_floats(group: list[Pixel | None]) -> float:
    """Add in row-major order, in doubles; weights are parts of 256 unless they are all equal."""
    valid = [pixel for pixel in group if pixel is not None and pixel.mask > 0]
    if len({pixel.mask for pixel in valid}) == 1:
        shares = [1.0 for _ in valid]
    else:
        shares = [pixel.mask / 256.0 for pixel in valid]
    first, *others = (
        float(pixel.value) * share for pixel, share in zip(valid, shares, strict=True)
    )
    for term in others:
        first += term
    return first / sum(shares)


def mode(valid: list[Pixel]) -> int | float:
    """Return the value of most weight; of several, the one that comes first in row-major order."""
    best = valid[0].value
    best_weight = -1
    for candidate in valid:
        weight = sum(pixel.mask for pixel in valid if pixel.value == candidate.value)
        if weight > best_weight:
            best, best_weight = candidate.value, weight
    return best


def median(valid: list[Pixel], *, is_float: bool) -> int | float:
    total = sum(pixel.mask for pixel in valid)
    values = sorted({pixel.value for pixel in valid})
    cumulative = 0
    for position, value in enumerate(values):
        cumulative += sum(pixel.mask for pixel in valid if pixel.value == value)
        if 2 * cumulative > total:
            return value
        if 2 * cumulative == total:
            larger = values[position + 1]
            if is_float:
                midpoint = (float(value) + float(larger)) / 2.0
                return midpoint if math.isfinite(midpoint) else float(value) / 2 + float(larger) / 2
            return round_half_up(Fraction(int(value) + int(larger), 2))
    raise AssertionError("half of the weight is always reached")


def reduced_mask(group: list[Pixel | None], policy: str) -> int:
    if policy == "SAMPLE":
        assert group[0] is not None
        return group[0].mask
    masks = [pixel.mask for pixel in group if pixel is not None]
    if not any(masks):
        return 0
    return max(1, round_half_up(Fraction(sum(masks), len(masks))))


def reduced_value(group: list[Pixel | None], policy: str, *, is_float: bool) -> int | float:
    """Return the value of a group that holds a valid pixel (under SAMPLE: the upper left one)."""
    valid = [pixel for pixel in group if pixel is not None and pixel.mask > 0]
    if policy == "MEAN":
        return mean_of_floats(group) if is_float else mean_of_integers(group)
    if policy == "SAMPLE":
        assert group[0] is not None
        return group[0].value
    if policy == "MIN":
        return min(pixel.value for pixel in valid)
    if policy == "MAX":
        return max(pixel.value for pixel in valid)
    if policy == "MODE":
        return mode(valid)
    assert policy == "MEDIAN"
    return median(valid, is_float=is_float)


def reduce_plane(values: Values, masks: Masks, *, policy: str, fill: float) -> tuple[Values, Masks]:
    """Return the next level's values and masks, (ceil(rows / 2), ceil(cols / 2)) each."""
    height, width = values.shape
    is_float = values.dtype.kind == "f"
    value_at: list[list[int | float]] = values.tolist()
    mask_at: list[list[int]] = masks.tolist()

    def pixel(row: int, col: int) -> Pixel | None:
        if row >= height or col >= width:
            return None
        return Pixel(value_at[row][col], mask_at[row][col])

    shape = (math.ceil(height / 2), math.ceil(width / 2))
    above = np.empty(shape, dtype=values.dtype)
    above_masks = np.empty(shape, dtype=np.uint8)
    for row in range(shape[0]):
        for col in range(shape[1]):
            group = [pixel(2 * row + y, 2 * col + x) for y in (0, 1) for x in (0, 1)]
            mask = reduced_mask(group, policy)
            above_masks[row, col] = mask
            above[row, col] = reduced_value(group, policy, is_float=is_float) if mask > 0 else fill
    return above, above_masks


def level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    """Return the shape of every level: halved, rounded up, until 256 x 256 pixels hold it."""
    shapes = [(height, width)]
    while shapes[-1][0] > 256 or shapes[-1][1] > 256:
        rows, cols = shapes[-1]
        shapes.append((math.ceil(rows / 2), math.ceil(cols / 2)))
    return shapes


def pyramid(
    values: Values, masks: Masks, *, policy: str, fill: float
) -> list[tuple[Values, Masks]]:
    """Return (values, masks) of every level, level 0 first, each built from the one below it."""
    levels = [(values, masks)]
    while len(levels) < len(level_shapes(*values.shape)):
        levels.append(reduce_plane(*levels[-1], policy=policy, fill=fill))
    return levels
