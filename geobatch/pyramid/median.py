"""MEDIAN: the weighted median; on a tie, the mean of the middle two."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.extremes import higher, lower
from geobatch.pyramid.pixels import Mask, Values
from geobatch.pyramid.reducer import Reducer, by_members


def _unweighted(members: list[Values]) -> Values:
    if len(members) == 1:
        return members[0]
    if len(members) == 2:
        return _midpoint(members[0], members[1])
    a, b, c, d = members
    return _midpoint(higher(lower(a, b), lower(c, d)), lower(higher(a, b), higher(c, d)))


def _weighted(members: list[Values], masks: list[Mask]) -> Values:
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
    return np.where(is_tied, _midpoint(result, upper), result)


def _sorted(members: list[Values], masks: list[Mask]) -> list[tuple[Values, Mask]]:
    """Return values with their masks in ascending order, masked ones last.

    Neighbours trade places only where they must, so that equal values keep their order.
    """
    ordered = list(zip(members, masks, strict=True))
    for end in range(len(ordered) - 1, 0, -1):
        for place in range(end):
            (value, mask), (following, next_mask) = ordered[place], ordered[place + 1]
            swap = (next_mask > 0) & ((mask == 0) | (value > following))
            ordered[place : place + 2] = [
                (np.where(swap, following, value), np.where(swap, next_mask, mask)),
                (np.where(swap, value, following), np.where(swap, mask, next_mask)),
            ]
    return ordered


def _midpoint(a: Values, b: Values) -> Values:
    """Return the average of two; integers round half up, exactly."""
    if a.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            middle: Values = (np.add(a, b, dtype=np.float64) / 2).astype(a.dtype)
            # The sum of two large float64 may be infinite where their midpoint is not.
            return np.where(np.isinf(middle), a / 2 + b / 2, middle)
    one = a.dtype.type(1)
    mid: Values = (a >> one) + (b >> one) + (((a & one) + (b & one) + one) >> one)
    return mid


MEDIAN = Reducer(
    policy=Policy.MEDIAN,
    resampling="med",
    unweighted=by_members(_unweighted),
    weighted=_weighted,
    makes_values=True,
)
