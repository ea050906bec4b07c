"""Sets of tiles of large planes: by squares and by rows, they say what boolean arrays say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.model import tiles
from geobatch.model.tile_squares import TileSquares
from geobatch.model.tiles import TileSet, parents_of

Mask = npt.NDArray[np.bool_]


@st.composite
def masks(draw: st.DrawFn) -> Mask:
    """Draw a plane: empty, full, dense, or with few tiles; of one square or several."""
    shape = (draw(st.integers(1, 200)), draw(st.integers(1, 200)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    mask: Mask = rng.random(shape) < draw(st.sampled_from([0, 0.0005, 0.5, 1]))
    return mask


@given(masks(), st.data())
def test_squares_are_read_as_an_array_is(mask: Mask, data: st.DataObject) -> None:
    found = TileSquares.of(TileSet.from_mask(mask))
    area = tuple(
        slice(*sorted((data.draw(st.integers(0, size)), data.draw(st.integers(0, size + 70)))))
        for size in mask.shape
    )
    assert np.array_equal(found[area[0], area[1]], mask[area[0], area[1]])
    assert np.array_equal(found[:, :], mask)
    assert found.count == mask.sum()
    assert found.shape == mask.shape
    above = found.parents()
    assert np.array_equal(above[:, :], parents_of(mask))
    other = np.roll(mask, 1)
    assert np.array_equal(found.intersect(other)[:, :], mask & other)
    both = found.intersect(TileSquares.of(TileSet.from_mask(other)))
    assert np.array_equal(both[:, :], mask & other)


@given(masks())
def test_parents_are_those_of_groups_of_four(mask: Mask) -> None:
    rows, cols = mask.shape
    expected = np.zeros(((rows + 1) // 2, (cols + 1) // 2), dtype=np.bool_)
    for row, col in np.argwhere(mask).tolist():
        expected[row // 2, col // 2] = True
    assert np.array_equal(parents_of(mask), expected)


@given(masks(), st.data())
def test_packed_sets_are_read_in_parts(mask: Mask, data: st.DataObject) -> None:
    packed = TileSet.from_mask(mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "_PART", 64)
        assert packed.parents() == TileSet.from_mask(parents_of(mask))
        assert packed.count == mask.sum()
    start, stop = sorted(data.draw(st.integers(0, mask.shape[0])) for _ in range(2))
    assert np.array_equal(packed.rows(start, stop), mask[start:stop])


@pytest.mark.parametrize("shape", [(1, 1), (1, 8), (3, 5), (64, 64), (65, 129)])
def test_whole_and_empty_planes_equal_those_of_arrays(shape: tuple[int, int]) -> None:
    assert TileSet.full(shape) == TileSet.from_mask(np.ones(shape, dtype=np.bool_))
    assert TileSet.empty(shape) == TileSet.from_mask(np.zeros(shape, dtype=np.bool_))


def test_a_whole_plane_takes_little_memory() -> None:
    """10^8 tiles; a boolean array would take 100 MB."""
    whole = TileSquares.of(TileSet.full((10_000, 10_000)))
    assert whole.count == 10**8
    assert len(whole._bitmaps) <= 5
    assert whole._numbers.nbytes < 200_000
