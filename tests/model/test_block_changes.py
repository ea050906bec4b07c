"""Block changes: what differs, and the tiles that it overlaps, against counting pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.model.sources.blocks import BlockChanges, BlockTable, compare
from geobatch.model.tiles import TileSet

DECODING = "ab" * 32


@st.composite
def tables(draw: st.DrawFn, *, has_mask: bool | None = None) -> BlockTable:
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    block = draw(st.integers(1, 45)), draw(st.integers(1, 45))
    planes = draw(st.integers(1, 3))
    mask = None
    if draw(st.booleans()) if has_mask is None else has_mask:
        rows, cols = draw(st.integers(1, 45)), draw(st.integers(1, 45))
        mask = table(height, width, (rows, cols), 1, draw(st.integers(0, 9)))
    return replace(table(height, width, block, planes, draw(st.integers(0, 9))), mask=mask)


def table(height: int, width: int, block: tuple[int, int], planes: int, seed: int) -> BlockTable:
    total = planes * -(-height // block[0]) * -(-width // block[1])
    return BlockTable(
        height=height,
        width=width,
        block=block,
        planes=planes,
        decoding=DECODING,
        digests=np.random.default_rng(seed).bytes(32 * total),
    )


def edited(before: BlockTable, draw: st.DataObject) -> tuple[BlockTable, np.ndarray]:
    """Return the table with one byte of some digests changed, and which, by (plane, row, col)."""
    is_changed = np.zeros((before.planes, *before.shape), dtype=bool)
    digests = before.array.copy()
    indexes = st.tuples(*(st.integers(0, size - 1) for size in is_changed.shape))
    for index in draw.draw(st.sets(indexes, max_size=6)):
        is_changed[index] = True
        digests[index][draw.draw(st.integers(0, 31))] ^= 1
    return replace(before, digests=digests.tobytes()), is_changed


@given(tables())
def test_bytes_and_back(one: BlockTable) -> None:
    assert BlockTable.from_bytes(one.to_bytes()) == one
    assert len(one.identity) == 64


@given(tables(), st.data())
def test_bytes_that_are_cut_or_longer_are_refused(one: BlockTable, data: st.DataObject) -> None:
    whole = one.to_bytes()
    for wrong in (whole[: data.draw(st.integers(0, len(whole) - 1))], whole + b"\0", b""):
        with pytest.raises(ValueError, match="block table"):
            BlockTable.from_bytes(wrong)


@given(tables(), st.data())
def test_what_differs_is_found_and_nothing_else(before: BlockTable, data: st.DataObject) -> None:
    after, is_changed = edited(before, data)
    mask_changed = None
    if before.mask is not None:
        mask, mask_changed = edited(before.mask, data)
        after = replace(after, mask=mask)
    changes = compare(before, after)
    assert changes is not None
    assert np.array_equal([plane.mask for plane in changes.planes], is_changed)
    assert (changes.mask is None) == (mask_changed is None)
    if changes.mask is not None and mask_changed is not None:
        assert np.array_equal(changes.mask.mask, mask_changed[0])
    count = is_changed.sum() + (mask_changed.sum() if mask_changed is not None else 0)
    assert changes.count == count
    assert bool(changes) == bool(count)
    assert (before.identity == after.identity) == (count == 0)


@given(tables(), tables())
def test_other_structures_are_not_compared(one: BlockTable, two: BlockTable) -> None:
    def structure(of: BlockTable | None) -> object:
        return of and (of.height, of.width, of.block, of.planes)

    is_same = structure(one) == structure(two) and structure(one.mask) == structure(two.mask)
    assert (compare(one, two) is not None) == is_same
    assert compare(one, replace(one, decoding="cd" * 32)) is None
    if one.mask is not None:
        other = replace(one, mask=replace(one.mask, decoding="cd" * 32))
        assert compare(one, other) is None
        assert one.identity != other.identity


@given(tables(), st.data(), st.integers(1, 20), st.booleans())
def test_tiles_are_those_that_changed_pixels_fall_into(
    before: BlockTable, data: st.DataObject, tile: int, with_mask: bool
) -> None:
    row, col = (data.draw(st.integers(-50, 50)) for _ in "yx")
    canvas = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    after, is_changed = edited(before, data)
    index = data.draw(st.integers(-before.planes, before.planes - 1))
    layers = [(before.block, is_changed[index])]
    if before.mask is not None:
        mask, mask_changed = edited(before.mask, data)
        after = replace(after, mask=mask)
        if with_mask:
            layers.append((before.mask.block, mask_changed[0]))
    expected = set()
    for block, changed in layers:
        for y in range(before.height):
            for x in range(before.width):
                is_inside = 0 <= y + row < canvas[0] and 0 <= x + col < canvas[1]
                if is_inside and changed[y // block[0], x // block[1]]:
                    expected.add(((y + row) // tile, (x + col) // tile))
    changes = compare(before, after)
    assert changes is not None
    found = changes.tiles(
        row=row, col=col, canvas=canvas, tile=tile, index=index, with_mask=with_mask
    )
    assert found.shape == (-(-canvas[0] // tile), -(-canvas[1] // tile))
    assert set(found) == expected


def test_a_block_that_holds_all_bands_changes_every_band() -> None:
    changes = BlockChanges(height=10, width=10, block=(10, 10), planes=(TileSet.full((1, 1)),))
    for index in (0, 5, -1):
        found = changes.tiles(row=0, col=0, canvas=(10, 10), tile=10, index=index, with_mask=True)
        assert found.count == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"height": 0}, "pixels"), ({"digests": b"short"}, "bytes of digests"),
     ({"decoding": "abc"}, "digest"), ({"planes": 2}, "bytes of digests")],
)  # fmt: skip
def test_what_is_no_table(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(table(9, 9, (3, 3), 1, 0), **wrong)


def test_a_mask_has_no_planes_nor_mask() -> None:
    one = table(9, 9, (3, 3), 1, 0)
    for mask in (table(9, 9, (3, 3), 2, 0), replace(one, mask=one)):
        with pytest.raises(ValueError, match="one plane"):
            replace(one, mask=mask)
