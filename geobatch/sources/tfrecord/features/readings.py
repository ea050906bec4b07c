"""The ways to read a feature's values as a patch: with a margin, several per pixel."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from msgspec import Struct


class Reading(Struct, frozen=True):
    """One way to read a number of values as a patch; the margin determines the depth."""

    depth: int
    """Values per pixel."""
    margin: tuple[int, int]
    """(rows, columns) by which the patch is larger."""

    def __str__(self) -> str:
        values = "1 value" if self.depth == 1 else f"{self.depth} values"
        rows, cols = self.margin
        margin = f"a margin of {cols} x {rows}" if rows or cols else "no margin"
        return f"{values} per pixel and {margin}"


def readings(
    values: int, *, patch: tuple[int, int], margin: tuple[int, int]
) -> tuple[Reading, ...]:
    """Return every way to read a number of values as a patch: first with the margin, then without.

    Two ways never have the same depth. The order of several values per pixel is not told by their
    number.

    Args:
        values: How many there are.
        patch: (rows, columns) of a patch without its margin.
        margin: (rows, columns) that patches may be larger by.
    """
    found = []
    for rows, cols in dict.fromkeys((margin, (0, 0))):
        pixels = (patch[0] + rows) * (patch[1] + cols)
        if values and values % pixels == 0:
            found.append(Reading(values // pixels, (rows, cols)))
    return tuple(found)


def reaching(fits: Sequence[tuple[Reading, ...]], *, channels: int) -> list[tuple[Reading, ...]]:
    """Return, per feature, the readings with which all features together have enough channels.

    If none has, all are returned.

    Args:
        fits: Readings of each feature of a tileset.
        channels: How many channels the bands of the spec need.
    """
    most = sum(max(one.depth for one in found) for found in fits)
    narrowed = []
    for found in fits:
        others = most - max(one.depth for one in found)
        narrowed.append(tuple(one for one in found if others + one.depth >= channels) or found)
    return narrowed


def guessed_kernel(values: int, patch: tuple[int, int]) -> int | None:
    """Return the side of the square kernel that makes a patch of one value per pixel so large."""
    rows, cols = patch
    # (rows + k) (cols + k) = values, solved for k.
    square = (rows - cols) ** 2 + 4 * values
    twice = isqrt(square) - rows - cols
    is_whole = isqrt(square) ** 2 == square and twice > 0 and twice % 2 == 0
    return twice // 2 if is_whole else None
