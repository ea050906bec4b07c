"""How the tiles of a region are cut: all that is wanted, once, and little at a time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from msgspec.structs import replace
from zarr_workbench import asset as any_asset
from zarr_workbench import band as any_band

from geobatch.execute.tasks.batches import pieces
from geobatch.model.assets.asset import AnyImage, Source, Tileset

Wanted = npt.NDArray[np.bool_]

_MASKS = hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(np.any)
_SEVERAL = hnp.array_shapes(min_dims=2, max_dims=2, max_side=5).flatmap(
    lambda shape: st.lists(hnp.arrays(np.bool_, shape).filter(np.any), min_size=1, max_size=3)
)


def _asset(*, tile: int, row: int = 0, block: tuple[int, int] | None = None) -> AnyImage:
    """Return an asset of two sources, one upon the other, stored in such blocks."""
    blocks = ((tile // 2, tile), block or (tile, tile // 4))
    sources = tuple(
        Source(uri="", digest="", row=start, col=tile, height=9, width=9, block=one)
        for start, one in zip((0, row), blocks, strict=True)
    )
    tileset = Tileset(id="", grid="main", dtypes=("uint8",), sources=sources)
    return replace(any_asset("some", tile=tile), tilesets=(tileset,))


@given(
    tile=st.sampled_from([128, 512, 1024, 4096]),
    dtype=st.sampled_from(["uint8", "float64"]),
    mask=_MASKS,
    count=st.integers(1, 4),
)
def test_pieces_cover_what_is_wanted_and_no_more(
    tile: int, dtype: str, mask: Wanted, count: int
) -> None:
    found = list(pieces([(any_band(dtype=dtype), mask)] * count, _asset(tile=tile)))

    covered = Counter((box.row + row, box.col) for box in found for row in range(box.height))
    assert covered == Counter(map(tuple, np.argwhere(mask).tolist()))
    tile_bytes = tile * tile * np.dtype(dtype).itemsize * count
    for box in found:
        assert box.width == 1
        assert box.height == 1 or box.height * tile_bytes <= 8 << 20


def test_tiles_one_above_the_other_make_one_piece() -> None:
    mask = np.ones((4, 2), dtype=np.bool_)
    found = list(pieces([(any_band(dtype="uint16"), mask)] * 4, _asset(tile=512)))
    assert [(box.row, box.col, box.height) for box in found] == [(0, 0, 4), (0, 1, 4)]


@given(masks=_SEVERAL)
def test_bands_that_want_different_tiles_are_read_tile_by_tile(masks: list[Wanted]) -> None:
    found = list(pieces([(any_band(), mask) for mask in masks], _asset(tile=256)))

    joint = np.logical_or.reduce(masks)
    assert sum(box.height for box in found) == joint.sum()
    if any(not np.array_equal(mask, joint) for mask in masks):
        assert {box.height for box in found} == {1}


@pytest.mark.parametrize(("row", "block"), [(1, (256, 256)), (0, (256, 300)), (256, (512, 256))])
@given(mask=_MASKS)
def test_blocks_that_straddle_tiles_are_read_in_one_piece(
    row: int, block: tuple[int, int], mask: Wanted
) -> None:
    (box,) = pieces([(any_band(), mask)], _asset(tile=256, row=row, block=block))

    rows, cols = np.nonzero(mask)
    assert (box.row, box.row + box.height - 1) == (rows.min(), rows.max())
    assert (box.col, box.col + box.width - 1) == (cols.min(), cols.max())


def test_nothing_wanted_is_no_piece() -> None:
    assert not list(pieces([], _asset(tile=256)))
