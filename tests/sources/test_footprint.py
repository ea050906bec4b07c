"""Footprints against plain geometry: a pixel is in where its square meets the polygon."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geobatch.sources.masks.footprint import footprint_mask

Point = tuple[float, float]
Exact = tuple[Fraction, Fraction]


def clipped(ring: list[Exact], axis: int, limit: int, sign: int) -> list[Exact]:
    """Return the part of a ring on one side of an axis-parallel line (Sutherland and Hodgman)."""
    kept: list[Exact] = []
    for start, end in zip(ring, ring[1:] + ring[:1], strict=True):
        near, far = sign * (start[axis] - limit), sign * (end[axis] - limit)
        if near >= 0:
            kept.append(start)
        if near * far < 0:
            share = near / (near - far)
            kept.append(
                (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            )
    return kept


def meeting(ring: list[Point], *, row: int, col: int) -> Fraction | None:
    """Return twice the area that a pixel shares with a polygon; None where they are apart.

    0 means that they touch at a line or a point.
    """
    left: list[Exact] = [(Fraction(x), Fraction(y)) for x, y in ring[:-1]]
    for axis, limit, sign in ((0, col, 1), (0, col + 1, -1), (1, row, 1), (1, row + 1, -1)):
        left = clipped(left, axis, limit, sign)
    if not left:
        return None
    pairs = zip(left, left[1:] + left[:1], strict=True)
    return abs(sum((a[0] * b[1] - b[0] * a[1] for a, b in pairs), Fraction(0)))


@st.composite
def stars(draw: st.DrawFn) -> list[Point]:
    """Draw a simple polygon: corners around a centre, in the order of their angles."""
    count = draw(st.integers(3, 9))
    x, y = draw(st.floats(-3, 15)), draw(st.floats(-3, 13))
    angles = sorted(
        draw(st.lists(st.integers(0, 719), min_size=count, max_size=count, unique=True))
    )
    radii = draw(st.lists(st.floats(0.05, 12), min_size=count, max_size=count))
    corners = [
        (x + r * math.cos(math.radians(a / 2)), y + r * math.sin(math.radians(a / 2)))
        for a, r in zip(angles, radii, strict=True)
    ]
    return [*corners, corners[0]]


@given(ring=stars())
def test_pixels_that_share_area_are_in_and_pixels_apart_are_out(ring: list[Point]) -> None:
    height, width = 10, 12
    mask = footprint_mask(ring, row=0, col=0, height=height, width=width)
    assert set(np.unique(mask)) <= {0, 255}
    for row in range(height):
        for col in range(width):
            shared = meeting(ring, row=row, col=col)
            if shared is None:
                assert not mask[row, col], (row, col)
            elif shared > 1e-6:
                assert mask[row, col], (row, col, float(shared))


@given(ring=stars(), row=st.integers(0, 9), col=st.integers(0, 11))
def test_a_window_is_cut_from_the_whole(ring: list[Point], row: int, col: int) -> None:
    whole = footprint_mask(ring, row=0, col=0, height=10, width=12)
    window = footprint_mask(ring, row=row, col=col, height=10 - row, width=12 - col)
    assert (window == whole[row:, col:]).all()
