"""Rectangles of a plane, against a painted array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from geobatch.exports.pieces import pieces
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.window import Box, Window

SIDE = 24
WINDOWS = st.builds(
    lambda row, col, height, width: Window(
        row=row, col=col, height=min(height, SIDE - row), width=min(width, SIDE - col)
    ),
    st.integers(0, SIDE - 1),
    st.integers(0, SIDE - 1),
    st.integers(1, SIDE),
    st.integers(1, SIDE),
)


def painted(window: Window) -> npt.NDArray[np.bool_]:
    plane = np.zeros((SIDE, SIDE), dtype=np.bool_)
    for row in range(window.height):
        for col in range(window.width):
            plane[window.row + row, window.col + col] = True
    return plane


@given(WINDOWS, WINDOWS)
def test_two_windows_intersect_where_both_have_pixels(one: Window, other: Window) -> None:
    both = painted(one) & painted(other)
    common = one.intersect(other)
    assert common == other.intersect(one)
    if common is None:
        assert not both.any()
        return
    assert np.array_equal(painted(common), both)
    numbers = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    assert np.array_equal(numbers[one.slices][one.within(common)], numbers[common.slices])
    assert common.shape == numbers[common.slices].shape


@given(WINDOWS, st.tuples(st.integers(1, 9), st.integers(1, 9)))
def test_the_tiles_of_a_window_are_those_that_hold_its_pixels(
    window: Window, shape: tuple[int, int]
) -> None:
    pixels = np.argwhere(painted(window)).tolist()
    touched = {(row // shape[0], col // shape[1]) for row, col in pixels}
    assert list(window.in_tiles(shape)) == sorted(touched)


@given(WINDOWS, st.integers(1, 9))
def test_the_pieces_of_tiles_put_a_window_together(window: Window, tile: int) -> None:
    plane = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    made = np.full(window.shape, -1)
    for piece in pieces(window, tile=tile):
        square = Box.of_tile(piece.row, piece.col).window(plane.shape, tile=tile)
        assert (made[piece.target] == -1).all()
        made[piece.target] = plane[square.slices][piece.source]
    assert np.array_equal(made, plane[window.slices])


@given(WINDOWS, st.integers(-5, 5), st.integers(-5, 5))
def test_a_box_around_tiles_is_the_smallest(window: Window, rows: int, cols: int) -> None:
    box = Box.around(painted(window), row=rows, col=cols)
    moved = window.shift(rows=rows, cols=cols)
    assert (box.row, box.col, *box.shape) == (moved.row, moved.col, *moved.shape)


@given(WINDOWS, st.integers(1, 40), st.integers(1, 40))
def test_a_part_of_a_plane_lies_where_its_pixels_lie(window: Window, x: int, y: int) -> None:
    crs = Crs(code="EPSG:32618", wkt="")
    plane = GeoBox(crs=crs, transform=(x, 1.0, 7.0, 0.5, -y, 9.0), height=SIDE, width=SIDE)
    part = plane.crop(window)
    assert part.window.shape == window.shape
    assert part.xy(col=0, row=0) == plane.xy(col=window.col, row=window.row)
    ends = (window.row + window.height, window.col + window.width)
    assert part.xy(row=window.height, col=window.width) == plane.xy(row=ends[0], col=ends[1])


@given(WINDOWS, st.integers(1, 30), st.integers(1, 30))
def test_parts_cover_a_window_once_and_by_rows(window: Window, rows: int, cols: int) -> None:
    parts = list(window.parts((rows, cols)))
    covered = sum(painted(part).astype(int) for part in parts)
    assert np.array_equal(covered, painted(window).astype(int))
    assert all(part.height <= rows and part.width <= cols for part in parts)
    assert parts == sorted(parts, key=lambda part: (part.row, part.col))
    assert len(parts) == -(-window.height // rows) * -(-window.width // cols)


def test_pixels_and_tiles_are_never_equal() -> None:
    pixel: object = Window(row=0, col=0, height=1, width=1)
    assert pixel != Box.of_tile(0, 0)
