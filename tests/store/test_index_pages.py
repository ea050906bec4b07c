"""Pages of an index that are put one by one, whole or in parts: the index is the same."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.model.published import PAGE_ENTRY, TILE_ENTRY, PageRef
from geobatch.model.window import Box
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.index import Index
from geobatch.store.objects import Objects
from geobatch.store.pages.places import height_of, page_ref
from geobatch.store.pages.writing import join_parts, put_changed

PAGE = 64

Place: TypeAlias = tuple[int, int]
Array: TypeAlias = npt.NDArray[np.void]


@st.composite
def changes(draw: st.DrawFn) -> tuple[Place, list[tuple[dict[Place, int], set[Place]]], int]:
    """Draw a plane, changes of its tiles one after the other, and the side of squares."""
    shape = draw(st.sampled_from([(1, 1), (64, 64), (65, 130), (200, 70), (70, 4100)]))
    # Most tiles are near corners of pages.
    near = (0, 1, 31, 32, 63, 64, 65, 100, 127, 128, 4095, 4096)
    row, col = (st.sampled_from([at for at in near if at < size]) for size in shape)
    place = st.tuples(row, col)
    step = st.tuples(
        st.dictionaries(place, st.integers(1, 3), max_size=10), st.sets(place, max_size=10)
    )
    side = draw(st.sampled_from([1, 2, 16, 32, 64, 128]))
    return shape, draw(st.lists(step, min_size=1, max_size=3)), side


@settings(max_examples=examples(60, 300))
@given(changes())
def test_squares_make_the_index_that_one_change_makes(
    drawn: tuple[Place, list[tuple[dict[Place, int], set[Place]]], int],
) -> None:
    shape, steps, side = drawn
    objects = Objects(MemoryBackend())
    index = Index(objects)
    root = expected = None
    for put, gone in steps:
        removed = np.array(sorted(gone - put.keys()), dtype=np.uint32).reshape(-1, 2)
        entries = entries_of(put)
        expected = index.write(shape, base=expected, entries=entries, remove=removed)
        root = by_squares(objects, shape, root, (entries, removed), side)
        assert root == expected
        joined = [*index.parts(shape, root)]
        assert all(len(part) <= PAGE * shape[1] for part in joined)
        found = np.concatenate([entries_of({}), *joined])
        if shape[1] > PAGE**2:
            found = found[np.lexsort((found["col"], found["row"]))]
        assert np.array_equal(found, index.entries(shape, root))


def by_squares(
    objects: Objects,
    shape: Place,
    root: PageRef | None,
    change: tuple[Array, npt.NDArray[np.uint32]],
    side: int,
) -> PageRef | None:
    """Put the pages of each square of a side in which a tile changes; join those of small ones."""
    index, (entries, removed) = Index(objects), change
    whole, parts = [], dict[Place, list[tuple[Box, str]]]()
    places = [*zip(entries["row"].tolist(), entries["col"].tolist(), strict=True)]
    for row, col in sorted({(r // side, c // side) for r, c in [*places, *removed.tolist()]}):
        box = Box(
            row=row * side,
            col=col * side,
            height=min(side, shape[0] - row * side),
            width=min(side, shape[1] - col * side),
        )
        inside = (entries["row"] // side == row) & (entries["col"] // side == col)
        is_gone = (removed // side == (row, col)).all(axis=1)
        pages = put_changed(
            index, objects, shape, root, box=box, entries=entries[inside], removed=removed[is_gone]
        )
        if side >= PAGE:
            whole.append(pages)
            continue
        (page,) = pages
        ref = page_ref(page)
        digest = "" if ref is None else ref.stored
        above = (row * side // PAGE, col * side // PAGE)
        parts.setdefault(above, []).append((box, digest))
    for (row, col), found in parts.items():
        before = index.find_page(shape, root, row=row, col=col)
        whole.append(join_parts(index, objects, before, row=row, col=col, parts=found))
    if not whole:
        return root
    return index.write_pages(shape, base=root, pages=np.concatenate(whole))


def test_pages_are_found_by_their_position() -> None:
    shape = (70, 4100)
    index = Index(Objects(MemoryBackend()))
    tiles = {(0, 0): 1, (69, 4099): 2}
    root = index.write(shape, base=None, entries=entries_of(tiles))
    assert height_of(shape) == 3
    found = {
        (row, col): page.tiles
        for row in range(2)
        for col in range(65)
        if (page := index.find_page(shape, root, row=row, col=col)) is not None
    }
    assert found == {(0, 0): 1, (1, 64): 1}
    assert index.find_page(shape, None, row=0, col=0) is None
    gone = np.zeros(2, dtype=PAGE_ENTRY)
    gone["row"], gone["col"] = [0, 1], [0, 64]
    assert index.write_pages(shape, base=root, pages=gone) is None


def entries_of(tiles: dict[Place, int]) -> Array:
    entries: Array = np.zeros(len(tiles), dtype=TILE_ENTRY)
    for at, ((row, col), number) in enumerate(sorted(tiles.items())):
        entries["row"][at], entries["col"][at], entries["size"][at] = row, col, 10 + number
        entries["content"][at], entries["stored"][at] = number, number + 100
    return entries
