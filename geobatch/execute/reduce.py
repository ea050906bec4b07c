"""One level from the level below: 2x2 groups of masked pixels become one, by pyramiding policy.

The semantics are Earth Engine's pyramiding policies, with the open points decided in
docs/design.md: masks are weights, integer arithmetic is exact, and a result depends on the four
pixels of its group alone, never on what else the plane holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from geobatch.model.asset import Number, Policy

Values: TypeAlias = npt.NDArray[Any]
Mask: TypeAlias = npt.NDArray[np.uint8]


class Plane(NamedTuple):
    """Pixels with their weights."""

    values: Values
    """(height, width) pixels."""
    mask: Mask | None
    """(height, width) weights, 0 masked to 255 valid; None where all are valid."""


_SIGN_BIT = np.uint64(1 << 63)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF_BITS = np.uint64(32)


def reduce_plane(plane: Plane, *, policy: Policy, fill: Number) -> Plane:
    """Return the plane of the level above.

    Args:
        plane: (height, width) pixels; what stands under mask 0 does not matter.
        policy: How a group becomes a pixel.
        fill: Value of masked result pixels.

    Returns:
        Pixels of shape (ceil(height / 2), ceil(width / 2)) in the same dtype.

    Groups start at pixel (0, 0). Pixels beyond an odd edge do not exist: the groups there have two
    members or one.
    """
    values, mask = plane
    height, width = values.shape
    shape = ((height + 1) // 2, (width + 1) // 2)
    out = np.empty(shape, dtype=values.dtype)
    out_mask = None if mask is None else np.empty(shape, dtype=np.uint8)
    for rows, down in _halves(height):
        for cols, right in _halves(width):
            members = [(row, col) for row in down for col in right]
            result, result_mask = _reduce_members(
                [values[row, col] for row, col in members],
                None if mask is None else [mask[row, col] for row, col in members],
                plain=_plain(values, policy, down=down, right=right),
                policy=policy,
                fill=fill,
            )
            out[rows, cols] = result
            if out_mask is None and result_mask is not None:
                # Only infinities can do this: their mean may be NaN, which is always masked.
                out_mask = np.full(shape, 255, dtype=np.uint8)
            if out_mask is not None:
                out_mask[rows, cols] = 255 if result_mask is None else result_mask
    return Plane(out, out_mask)


def _halves(size: int) -> list[tuple[slice, list[slice]]]:
    """Return (result slice, member slices) for the paired part of an axis and for its odd end."""
    even = size - size % 2
    parts = [(slice(0, even // 2), [slice(0, even, 2), slice(1, even, 2)])] if even else []
    return [*parts, (slice(even // 2, None), [slice(even, None)])] if size % 2 else parts


def _plain(
    values: Values, policy: Policy, *, down: list[slice], right: list[slice]
) -> Callable[[list[Values]], Values]:
    """Return the function that reduces groups whose masks are equal, given their members."""
    if policy is Policy.MEAN and values.dtype.kind != "f" and values.dtype.itemsize < 8:
        across = slice(right[0].start, right[-1].stop)
        lines = [values[row, across] for row in down]
        return lambda _: _integer_mean(lines, columns=len(right))
    return _PLAIN[policy]


def _reduce_members(
    values: list[Values],
    masks: list[Mask] | None,
    *,
    plain: Callable[[list[Values]], Values],
    policy: Policy,
    fill: Number,
) -> tuple[Values, Mask | None]:
    """Reduce groups given as one plane per member, in row-major order of the group."""
    if policy is Policy.SAMPLE:
        if masks is None:
            return plain(values), None
        return np.where(masks[0] == 0, values[0].dtype.type(fill), plain(values)), masks[0]
    result = plain(values)
    if result.base is not None:
        result = result.copy()
    mask = None if masks is None else _mean_mask(masks)
    if masks is not None and mask is not None:
        uneven = np.zeros(result.shape, dtype=np.bool_)
        for other in masks[1:]:
            uneven |= other != masks[0]
        if uneven.any():
            group = np.stack([member[uneven] for member in values], axis=1)
            weights = np.stack([member[uneven] for member in masks], axis=1).astype(np.int64)
            result[uneven] = _WEIGHTED[policy](group, weights)
    if result.dtype.kind == "f" and policy in {Policy.MEAN, Policy.MEDIAN}:
        mask = _mask_nan(result, mask)
    if mask is not None:
        result[mask == 0] = fill
    return result, mask


def _mask_nan(values: Values, mask: Mask | None) -> Mask | None:
    invalid = np.isnan(values)
    if not invalid.any():
        return mask
    masked = np.full(values.shape, 255, dtype=np.uint8) if mask is None else mask
    masked[invalid] = 0
    return masked


def _mean_mask(masks: list[Mask]) -> Mask:
    """Return the mean of the masks, rounded half up, at least 1 where any of them is above 0."""
    count = len(masks)
    total = np.zeros(masks[0].shape, dtype=np.uint16)
    for mask in masks:
        total += mask
    mean: Mask = ((total + count // 2) // count).astype(np.uint8)
    mean[(mean == 0) & (total > 0)] = 1
    return mean


# --- all masks of a group equal: the weights drop out ------------------------------------------


def _plain_mean(members: list[Values]) -> Values:
    dtype, count = members[0].dtype, len(members)
    if count == 1:
        return members[0]
    shift = count.bit_length() - 1
    if dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            # In row-major order: sums of floats depend on it.
            total = np.add(members[0], members[1], dtype=np.float64)
            for member in members[2:]:
                total += member
            total *= 1.0 / count
            return total.astype(dtype)
    # The sum of 64-bit integers may overflow: add the quotients and the remainders apart.
    low = dtype.type(count - 1)
    high_sum = sum((member >> dtype.type(shift) for member in members), dtype.type(0))
    low_sum = sum((member & low for member in members), dtype.type(0))
    rounded: Values = high_sum + ((low_sum + dtype.type(count // 2)) >> dtype.type(shift))
    return rounded


def _integer_mean(lines: list[Values], *, columns: int) -> Values:
    """Return the mean of groups of integers of up to 32 bits; halves round up.

    Args:
        lines: One or two (rows, columns) planes: the upper lines of the groups, and the lower ones.
        columns: How many neighbours in a line make a group: 1 or 2.

    Lines are added whole first: on memory in one piece that is twice as fast as member by member.
    """
    dtype, count = lines[0].dtype, len(lines) * columns
    wide: type[np.signedinteger[Any]] = np.int64 if dtype.itemsize == 4 else np.int32
    sums: npt.NDArray[np.signedinteger[Any]] = lines[0].astype(wide)
    for line in lines[1:]:
        sums += line
    if columns == 2:
        sums = sums[:, 0::2] + sums[:, 1::2]
    sums += wide(count // 2)
    sums >>= wide(count.bit_length() - 1)
    return sums.astype(dtype)


def _plain_min(members: list[Values]) -> Values:
    result = members[0]
    for member in members[1:]:
        result = _lower(result, member)
    return result


def _plain_max(members: list[Values]) -> Values:
    result = members[0]
    for member in members[1:]:
        result = _higher(result, member)
    return result


def _lower(a: Values, b: Values) -> Values:
    # numpy's minimum of -0.0 and 0.0 depends on the machine: of equals, take the first.
    return np.where(b < a, b, a) if a.dtype.kind == "f" else np.minimum(a, b)


def _higher(a: Values, b: Values) -> Values:
    return np.where(b > a, b, a) if a.dtype.kind == "f" else np.maximum(a, b)


def _plain_mode(members: list[Values]) -> Values:
    if len(members) < 4:
        return members[0]
    a, b, c, d = members
    # The first of the most frequent, in row-major order: the upper-left one wins every tie.
    rest = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
    return np.where((a == b) | (a == c) | (a == d), a, rest)


def _plain_median(members: list[Values]) -> Values:
    if len(members) == 1:
        return members[0]
    if len(members) == 2:
        return _midpoint(members[0], members[1])
    a, b, c, d = members
    return _midpoint(_higher(_lower(a, b), _lower(c, d)), _lower(_higher(a, b), _higher(c, d)))


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


# --- masks that differ: groups as rows of (groups, members), weights as int64 -------------------


def _weighted_mean(group: Values, weights: npt.NDArray[np.int64]) -> Values:
    total = weights.sum(axis=1)
    if group.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            terms = np.where(weights > 0, group, 0).astype(np.float64) * weights
            summed = terms[:, 0]
            for member in range(1, terms.shape[1]):
                summed = summed + terms[:, member]
            means: Values = (summed / total).astype(group.dtype)
            return means
    if group.dtype.itemsize < 8:
        summed = (group.astype(np.int64) * weights).sum(axis=1)
        rounded: Values = ((2 * summed + total) // (2 * total)).astype(group.dtype)
        return rounded
    # 64-bit: shift signed values to unsigned, then divide in two halves of 32 bits.
    is_signed = group.dtype.kind == "i"
    shifted = group.view(np.uint64) ^ _SIGN_BIT if is_signed else group
    unsigned_weights = weights.astype(np.uint64)
    whole = total.astype(np.uint64)
    high = ((shifted >> _HALF_BITS) * unsigned_weights).sum(axis=1, dtype=np.uint64)
    low = ((shifted & _LOW_HALF) * unsigned_weights).sum(axis=1, dtype=np.uint64)
    quotient, remainder = np.divmod(high, whole)
    two = np.uint64(2)
    rest = (two * ((remainder << _HALF_BITS) + low) + whole) // (two * whole)
    mean: Values = (quotient << _HALF_BITS) + rest
    return (mean ^ _SIGN_BIT).view(np.int64) if is_signed else mean


def _weighted_min(group: Values, weights: npt.NDArray[np.int64]) -> Values:
    return _first_valid(group, weights, np.argsort(group, axis=1, kind="stable"))


def _weighted_max(group: Values, weights: npt.NDArray[np.int64]) -> Values:
    result = np.array(_first_valid(group, weights, np.argsort(group, axis=1, kind="stable")))
    for member in range(group.shape[1]):
        better = (weights[:, member] > 0) & (group[:, member] > result)
        result[better] = group[better, member]
    return result


def _first_valid(
    group: Values, weights: npt.NDArray[np.int64], order: npt.NDArray[np.intp]
) -> Values:
    """Return, per group, the first valid value in the given order of members."""
    valid = np.take_along_axis(weights, order, axis=1) > 0
    first = np.take_along_axis(order, valid.argmax(axis=1)[:, None], axis=1)
    return np.take_along_axis(group, first, axis=1)[:, 0]


def _weighted_mode(group: Values, weights: npt.NDArray[np.int64]) -> Values:
    equal = group[:, :, None] == group[:, None, :]
    score = (equal * weights[:, None, :]).sum(axis=2)
    score[weights == 0] = -1
    return np.take_along_axis(group, score.argmax(axis=1)[:, None], axis=1)[:, 0]


def _weighted_median(group: Values, weights: npt.NDArray[np.int64]) -> Values:
    order = np.argsort(group, axis=1, kind="stable")
    is_masked = np.take_along_axis(weights, order, axis=1) == 0
    order = np.take_along_axis(order, np.argsort(is_masked, axis=1, kind="stable"), axis=1)
    values = np.take_along_axis(group, order, axis=1)
    cumulative = np.take_along_axis(weights, order, axis=1).cumsum(axis=1)
    total = cumulative[:, -1:]
    middle = (2 * cumulative >= total).argmax(axis=1)[:, None]
    is_tied = (2 * np.take_along_axis(cumulative, middle, axis=1) == total)[:, 0]
    result: Values = np.take_along_axis(values, middle, axis=1)[:, 0]
    following = np.minimum(middle + 1, group.shape[1] - 1)
    upper = np.take_along_axis(values, following, axis=1)[:, 0]
    result[is_tied] = _midpoint(result[is_tied], upper[is_tied])
    return result


_PLAIN: dict[Policy, Callable[[list[Values]], Values]] = {
    Policy.MEAN: _plain_mean,
    Policy.SAMPLE: lambda members: members[0],
    Policy.MIN: _plain_min,
    Policy.MAX: _plain_max,
    Policy.MODE: _plain_mode,
    Policy.MEDIAN: _plain_median,
}

_WEIGHTED: dict[Policy, Callable[[Values, npt.NDArray[np.int64]], Values]] = {
    Policy.MEAN: _weighted_mean,
    Policy.MIN: _weighted_min,
    Policy.MAX: _weighted_max,
    Policy.MODE: _weighted_mode,
    Policy.MEDIAN: _weighted_median,
}
