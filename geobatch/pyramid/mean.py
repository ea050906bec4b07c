"""MEAN: the weighted mean; integers are computed exactly and round half up."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial, reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.pixels import Mask, Values, members_of
from geobatch.pyramid.reducer import Reducer

_SIGN_BIT = np.uint64(1 << 63)
_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF_BITS = np.uint64(32)


def _unweighted(values: Values, out: Values) -> None:
    if min(values.shape) > 1 and values.dtype.kind != "f" and values.itemsize < 8:
        _integer_mean(values, out)
    else:
        out[:] = _mean(members_of(values))


def _mean(members: list[Values]) -> Values:
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


def _integer_mean(values: Values, out: Values) -> None:
    """Take the mean of groups of 2 x 2 integers of up to 32 bits; halves round up, exactly.

    Neighbours in a line are taken for one integer twice as wide, whose halves are added: memory in
    one piece is read faster than every second pixel. Signed integers are shifted by their lowest,
    and so is their mean.
    """
    bits = 8 * values.itemsize
    narrow, wide = np.dtype(f"u{values.itemsize}"), np.dtype(f"u{2 * values.itemsize}").type
    half, low, two = wide(bits), wide((1 << bits) - 1), wide(2)
    sign = wide(0) if values.dtype.kind == "u" else wide(1 << (bits - 1))
    pairs = np.ascontiguousarray(values).view(wide)
    if sign:
        pairs = pairs ^ (sign << half | sign)
    sums = pairs >> half
    sums += pairs & low
    means = sums[0::2] + sums[1::2]
    means += two
    means >>= two
    if sign:
        means ^= sign
    out.view(narrow)[:] = means


def _weighted(members: list[Values], masks: list[Mask]) -> Values:
    dtype = members[0].dtype
    if dtype.itemsize == 8:
        return _weighted_longs(members, masks)
    # 4 x 255 x 65,535, doubled, is less than 2^31.
    wide: type[np.signedinteger[Any]] = np.int64 if dtype.itemsize == 4 else np.int32
    summed = np.zeros(members[0].shape, dtype=wide)
    for member, mask in zip(members, masks, strict=True):
        summed += member * mask.astype(wide)
    total = _total(masks, wide)
    mean: Values = ((2 * summed + total) // (2 * total)).astype(dtype)
    return mean


def _masked_floats(values: Values, mask: Mask, out: Values, weights: Mask) -> None:
    """Take the weighted mean of floats: sums of float64, in row-major order of the group."""
    clean = values.copy()
    # Minus zero changes no sum.
    np.copyto(clean, clean.dtype.type(-0.0), where=mask == 0)
    members, masks = members_of(clean), members_of(mask)
    with np.errstate(over="ignore", invalid="ignore"):
        if int((mask + np.uint8(1)).max()) <= 1:  # all are 0 or 255
            summed = _sum(members, np.float64)
            total = _sum((one & np.uint8(1) for one in masks), np.uint8)
        else:
            parts = _parts(masks, is_whole=values.itemsize < 8)
            weighted = map(partial(np.multiply, dtype=np.float64), members, parts)
            summed = _sum(weighted, np.float64)
            total = _sum(parts, np.uint16 if parts[0].dtype.kind == "u" else np.float64)
        is_masked = total == 0
        total[is_masked] = 1
        summed /= total
        out[:] = summed
    np.maximum(weights, ~is_masked, out=weights)


def _parts(masks: list[Mask], *, is_whole: bool) -> list[npt.NDArray[Any]]:
    """Return what pixels are multiplied by.

    Equal weights drop out, so that a lone value stays what it is: they are 1. Others stay whole
    numbers where no sum of float64 can overflow. Else they are parts of 256, which rounds nothing,
    and lets no sum overflow that the plain one would not.
    """
    heaviest = reduce(np.maximum, masks)
    is_even = np.ones(heaviest.shape, dtype=np.bool_)
    for mask in masks:
        is_even &= (mask == 0) | (mask == heaviest)
    most = np.where(is_even, np.uint8(1), np.uint8(255))
    weights = [np.minimum(mask, most) for mask in masks]
    if is_whole:
        return list(weights)
    part = np.where(is_even, 1.0, 1.0 / 256)
    return [weight * part for weight in weights]


def _sum(parts: Iterable[npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return a sum, from the first to the last."""
    left = iter(parts)
    total = next(left).astype(dtype)
    for part in left:
        total += part
    return total


def _weighted_longs(members: list[Values], masks: list[Mask]) -> Values:
    """Return the mean of 64-bit integers: as unsigned ones, divided in two halves of 32 bits."""
    is_signed = members[0].dtype.kind == "i"
    total = _total(masks, np.uint64)
    high, low = np.zeros_like(total), np.zeros_like(total)
    for member, mask in zip(members, masks, strict=True):
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


MEAN = Reducer(
    policy=Policy.MEAN,
    resampling="average",
    unweighted=_unweighted,
    weighted=_weighted,
    masked_floats=_masked_floats,
    makes_values=True,
    mixes_classes=True,
)
