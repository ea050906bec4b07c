"""Pyramiding policies over groups whose masks are equal: the weights drop out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from geobatch.execute.pixels import Values
from geobatch.model.asset import Policy


def plain_reducer(
    values: Values, policy: Policy, *, down: list[slice], right: list[slice]
) -> Callable[[list[Values]], Values]:
    """Return the function that reduces groups of a plane, given one plane per member.

    Args:
        values: (height, width) pixels.
        policy: How a group becomes a pixel.
        down: Rows of the members of a group: one slice or two.
        right: Columns of the members of a group: one slice or two.
    """
    if policy is Policy.MEAN and values.dtype.kind != "f" and values.dtype.itemsize < 8:
        across = slice(right[0].start, right[-1].stop)
        lines = [values[row, across] for row in down]
        return lambda _: _integer_mean(lines, columns=len(right))
    return _REDUCERS[policy]


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
