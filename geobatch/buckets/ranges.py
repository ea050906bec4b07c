"""Ranges of an object's bytes: those that are close are brought by one request."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

GAP_BYTES = 256 << 10
"""Gap between two ranges up to which one request brings both."""
PIECE_BYTES = 8 << 20
"""Bytes from which several ranges are no longer brought by one request."""


def merge(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges that cover some others, in order: those that are close are one.

    Each of the others is inside one of them. Two may overlap where some of the others do.
    """
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(set(ranges)):
        is_close = merged and start <= merged[-1][1] + GAP_BYTES
        if is_close and max(stop, merged[-1][1]) - merged[-1][0] <= PIECE_BYTES:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        elif not merged or stop > merged[-1][1]:
            merged.append((start, stop))
    return merged


def cut(
    ranges: Sequence[tuple[int, int]],
    merged: Sequence[tuple[int, int]],
    parts: Sequence[bytes],
) -> list[bytes]:
    """Return the bytes of ranges, from those of the ranges that `merge` made of them."""
    stops = [stop for _, stop in merged]
    found = []
    for start, stop in ranges:
        number = bisect_left(stops, stop)
        low = start - merged[number][0]
        found.append(parts[number][low : low + stop - start])
    return found
