"""Pyramiding policies over groups whose masks are equal: the weights drop out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from geobatch.model.assets.asset import Policy
from geobatch.pyramid.pixels import Values

_STRIP = 1 << 20
"""Pixels whose means are taken at a time, so that what is made in between stays in a cache."""


def plain_reduce(values: Values, policy: Policy, *, out: Values) -> None:
    """Make one pixel per group of a plane.

    Args:
        values: (rows, columns) pixels; of each there is an even number, or one beyond an odd edge.
        policy: How a group becomes a pixel.
        out: Takes the pixels, half as many rows and columns, in the dtype of the plane.
    """
    is_whole = min(values.shape) > 1
    if policy is Policy.MEAN and is_whole and values.dtype.kind != "f" and values.itemsize < 8:
        _integer_mean(values, out)
    else:
        out[:] = _REDUCERS[policy](members_of(values))


def members_of(pixels: Values) -> list[Values]:
    """Return the groups of such a plane, one plane per member, in row-major order of the group."""
    rows, cols = (range(min(size, 2)) for size in pixels.shape)
    return [pixels[row::2, col::2] for row in rows for col in cols]


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
    rows, cols = values.shape
    bits = 8 * values.itemsize
    narrow, wide = np.dtype(f"u{values.itemsize}"), np.dtype(f"u{2 * values.itemsize}").type
    half, low, two = wide(bits), wide((1 << bits) - 1), wide(2)
    sign = wide(0) if values.dtype.kind == "u" else wide(1 << (bits - 1))
    height = max(_STRIP // cols, 2) // 2 * 2
    for top in range(0, rows, height):
        pairs = np.ascontiguousarray(values[top : top + height]).view(wide)
        if sign:
            pairs = pairs ^ (sign << half | sign)
        sums = pairs >> half
        sums += pairs & low
        means = sums[0::2] + sums[1::2]
        means += two
        means >>= two
        if sign:
            means ^= sign
        out.view(narrow)[top // 2 : (top + height) // 2] = means


def _min(members: list[Values]) -> Values:
    result = members[0]
    for member in members[1:]:
        result = lower(result, member)
    return result


def _max(members: list[Values]) -> Values:
    result = members[0]
    for member in members[1:]:
        result = higher(result, member)
    return result


def lower(a: Values, b: Values) -> Values:
    """Return the lower of two, pixel by pixel; of equals the first."""
    # numpy's minimum of -0.0 and 0.0 depends on the machine: of equals, take the first.
    return np.where(b < a, b, a) if a.dtype.kind == "f" else np.minimum(a, b)


def higher(a: Values, b: Values) -> Values:
    """Return the higher of two, pixel by pixel; of equals the first."""
    return np.where(b > a, b, a) if a.dtype.kind == "f" else np.maximum(a, b)


def _mode(members: list[Values]) -> Values:
    if len(members) < 4:
        return members[0]
    a, b, c, d = members
    # The first of the most frequent, in row-major order: the upper-left one wins every tie.
    rest = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
    return np.where((a == b) | (a == c) | (a == d), a, rest)


def _median(members: list[Values]) -> Values:
    if len(members) == 1:
        return members[0]
    if len(members) == 2:
        return midpoint(members[0], members[1])
    a, b, c, d = members
    return midpoint(higher(lower(a, b), lower(c, d)), lower(higher(a, b), higher(c, d)))


def midpoint(a: Values, b: Values) -> Values:
    """Return the average of two; integers round half up, exactly."""
    if a.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            middle: Values = (np.add(a, b, dtype=np.float64) / 2).astype(a.dtype)
            # The sum of two large float64 may be infinite where their midpoint is not.
            return np.where(np.isinf(middle), a / 2 + b / 2, middle)
    one = a.dtype.type(1)
    mid: Values = (a >> one) + (b >> one) + (((a & one) + (b & one) + one) >> one)
    return mid


def _first(members: list[Values]) -> Values:
    return members[0]


_REDUCERS: dict[Policy, Callable[[list[Values]], Values]] = {
    Policy.MEAN: _mean,
    Policy.SAMPLE: _first,
    Policy.MIN: _min,
    Policy.MAX: _max,
    Policy.MODE: _mode,
    Policy.MEDIAN: _median,
}
