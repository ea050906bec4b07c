"""Pyramiding policies over groups whose masks differ: every pixel counts by its mask.

Every function takes one array of pixels and one of masks per member of the groups, in row-major
order of the group, and of any shape; what stands under mask 0 does not matter. What comes out of a
group without a valid pixel has no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.model.assets.asset import Policy
from geobatch.pyramid.pixels import Mask, Values
from geobatch.pyramid.unweighted import higher, lower, midpoint

_SIGN_BIT = np.uint64(1 << 63)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF_BITS = np.uint64(32)


def _mean(members: list[Values], masks: list[Mask]) -> Values:
    dtype = members[0].dtype
    if dtype.kind == "f":
        return _float_mean(members, masks)
    if dtype.itemsize == 8:
        return _long_mean(members, masks)
    # 4 x 255 x 65,535, doubled, is less than 2^31.
    wide: type[np.signedinteger[Any]] = np.int64 if dtype.itemsize == 4 else np.int32
    summed = np.zeros(members[0].shape, dtype=wide)
    for member, mask in _pairs(members, masks):
        summed += member * mask.astype(wide)
    total = _total(masks, wide)
    mean: Values = ((2 * summed + total) // (2 * total)).astype(dtype)
    return mean


def _float_mean(members: list[Values], masks: list[Mask]) -> Values:
    heaviest = masks[0]
    for mask in masks[1:]:
        heaviest = np.maximum(heaviest, mask)
    is_even = np.ones(heaviest.shape, dtype=np.bool_)
    for mask in masks:
        is_even &= (mask == 0) | (mask == heaviest)
    # Equal weights drop out, so that a lone value stays what it is; others are taken as parts of
    # 256, which rounds nothing and lets no sum overflow that the plain one would not.
    weights = [np.where(is_even, mask > 0, mask / 256.0) for mask in masks]
    with np.errstate(over="ignore", invalid="ignore"):
        # In row-major order: sums of floats depend on it. Minus zero changes no sum.
        terms = (
            np.where(weight > 0, member, -0.0).astype(np.float64) * weight
            for member, weight in zip(members, weights, strict=True)
        )
        summed, total = next(terms), weights[0]
        for term, weight in zip(terms, weights[1:], strict=True):
            summed += term
            total = total + weight
        mean: Values = (summed / np.where(total > 0, total, 1)).astype(members[0].dtype)
        return mean


def _long_mean(members: list[Values], masks: list[Mask]) -> Values:
    """Return the mean of 64-bit integers: as unsigned ones, divided in two halves of 32 bits."""
    is_signed = members[0].dtype.kind == "i"
    total = _total(masks, np.uint64)
    high, low = np.zeros_like(total), np.zeros_like(total)
    for member, mask in _pairs(members, masks):
        shifted = member.view(np.uint64) ^ _SIGN_BIT if is_signed else member
        high += (shifted >> _HALF_BITS) * mask
        low += (shifted & _LOW_HALF) * mask
    quotient, remainder = np.divmod(high, total)
    two = np.uint64(2)
    rest = (two * ((remainder << _HALF_BITS) + low) + total) // (two * total)
    mean: Values = (quotient << _HALF_BITS) + rest
    return (mean ^ _SIGN_BIT).view(np.int64) if is_signed else mean


def _total(masks: list[Mask], wide: type[np.integer[Any]]) -> npt.NDArray[Any]:
    """Return the sum of the masks, 1 where that is 0."""
    total = np.zeros(masks[0].shape, dtype=wide)
    for mask in masks:
        total += mask
    return np.maximum(total, wide(1))


def _min(members: list[Values], masks: list[Mask]) -> Values:
    dtype = members[0].dtype
    highest = np.inf if dtype.kind == "f" else np.iinfo(dtype).max
    return _extreme(members, masks, neutral=highest, better=lower)


def _max(members: list[Values], masks: list[Mask]) -> Values:
    dtype = members[0].dtype
    lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    return _extreme(members, masks, neutral=lowest, better=higher)


def _extreme(
    members: list[Values],
    masks: list[Mask],
    *,
    neutral: float,
    better: Callable[[Values, Values], Values],
) -> Values:
    candidates = (
        np.where(mask > 0, member, member.dtype.type(neutral))
        for member, mask in _pairs(members, masks)
    )
    result = next(candidates)
    for candidate in candidates:
        result = better(result, candidate)
    return result


def _mode(members: list[Values], masks: list[Mask]) -> Values:
    scores = [mask.astype(np.int16) for mask in masks]
    for one in range(len(members)):
        for other in range(one):
            is_equal = members[one] == members[other]
            scores[one] += is_equal * masks[other]
            scores[other] += is_equal * masks[one]
    for score, mask in zip(scores, masks, strict=True):
        score[mask == 0] = -1
    result, best = members[0], scores[0]
    for member, score in zip(members[1:], scores[1:], strict=True):
        # Strictly: of equals the first one stays.
        result = np.where(score > best, member, result)
        best = np.maximum(best, score)
    return result


def _median(members: list[Values], masks: list[Mask]) -> Values:
    ordered = _sorted(members, masks)
    reached = np.zeros(masks[0].shape, dtype=np.int16)
    sums = [reached := reached + mask for _, mask in ordered]
    total = sums[-1]
    result = upper = ordered[-1][0]
    is_tied = np.zeros(result.shape, dtype=np.bool_)
    # From the last to the first, so that the first whose sum reaches the middle is what stays.
    below = zip(pairwise(ordered), sums[:-1], strict=True)
    for ((value, _), (following, _)), reached in reversed(list(below)):
        is_middle = 2 * reached >= total
        result = np.where(is_middle, value, result)
        upper = np.where(is_middle, following, upper)
        is_tied = np.where(is_middle, 2 * reached == total, is_tied)
    return np.where(is_tied, midpoint(result, upper), result)


def _sorted(members: list[Values], masks: list[Mask]) -> list[tuple[Values, Mask]]:
    """Return values with their masks in ascending order, masked ones last.

    Neighbours trade places only where they must, so that equal values keep their order.
    """
    ordered = list(_pairs(members, masks))
    for end in range(len(ordered) - 1, 0, -1):
        for place in range(end):
            (value, mask), (following, next_mask) = ordered[place], ordered[place + 1]
            swap = (next_mask > 0) & ((mask == 0) | (value > following))
            ordered[place : place + 2] = [
                (np.where(swap, following, value), np.where(swap, next_mask, mask)),
                (np.where(swap, value, following), np.where(swap, mask, next_mask)),
            ]
    return ordered


def _pairs(members: list[Values], masks: list[Mask]) -> zip[tuple[Values, Mask]]:
    return zip(members, masks, strict=True)


WEIGHTED: dict[Policy, Callable[[list[Values], list[Mask]], Values]] = {
    Policy.MEAN: _mean,
    Policy.MIN: _min,
    Policy.MAX: _max,
    Policy.MODE: _mode,
    Policy.MEDIAN: _median,
}
"""How groups are reduced, by policy; SAMPLE weighs nothing."""
