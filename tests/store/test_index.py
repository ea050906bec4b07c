"""The index against a plain dictionary, for any history of writes and removals."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import digest_bytes
from geobatch.model.published import TILE_ENTRY, PageRef
from geobatch.model.tile import StoredTile
from geobatch.model.tiles import TileSet
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.index import Index
from geobatch.store.objects import Objects
from geobatch.store.pages.places import Places, height_of
from geobatch.store.pages.writing import put_single

Place: TypeAlias = tuple[int, int]
Tiles: TypeAlias = dict[Place, int]
"""Place to a number that stands for the tile's pixels."""
Step: TypeAlias = tuple[Tiles, set[Place]]


def entries(tiles: Tiles, *, codec: str = "") -> npt.NDArray[np.void]:
    found = np.zeros(len(tiles), dtype=TILE_ENTRY)
    for at, ((row, col), pixels) in enumerate(tiles.items()):
        content = bytes.fromhex(digest_bytes(b"%d" % pixels))
        stored = bytes.fromhex(digest_bytes(codec.encode() + b"%d" % pixels))
        found[at] = (row, col, list(content), list(stored), pixels)
    return found


def positions(places: set[Place]) -> Places:
    return np.array(sorted(places), dtype=np.uint32).reshape(-1, 2)


def tile_set(shape: Place, places: set[Place]) -> TileSet:
    mask = np.zeros(shape, dtype=np.bool_)
    for place in places:
        mask[place] = True
    return TileSet.from_mask(mask)


def new_index() -> Index:
    return Index(Objects(MemoryBackend()))


@st.composite
def planes(draw: st.DrawFn) -> Place:
    side = st.one_of(st.integers(1, 5), st.sampled_from([63, 64, 65, 200]))
    return draw(side), draw(st.one_of(side, st.just(4097)))


def places(shape: Place) -> st.SearchStrategy[Place]:
    rows, cols = shape
    return st.tuples(
        st.one_of(st.integers(0, rows - 1), st.just(rows - 1)),
        st.one_of(st.integers(0, cols - 1), st.just(cols - 1)),
    )


def tiles(shape: Place) -> st.SearchStrategy[Tiles]:
    return st.dictionaries(places(shape), st.integers(0, 3), max_size=12)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Place, list[Step]]:
    shape = draw(planes())
    step = st.tuples(tiles(shape), st.sets(places(shape), max_size=12))
    return shape, draw(st.lists(step, max_size=5))


def replay(index: Index, shape: Place, steps: list[Step]) -> tuple[PageRef | None, Tiles]:
    root, oracle = None, dict[Place, int]()
    for put, removed in steps:
        root = index.write(shape, base=root, entries=entries(put), remove=positions(removed))
        oracle = {place: pixels for place, pixels in oracle.items() if place not in removed} | put
    return root, oracle


@settings(max_examples=examples(20, 60))
@given(histories())
def test_any_history_equals_a_dictionary(history: tuple[Place, list[Step]]) -> None:
    shape, steps = history
    index = new_index()
    root, oracle = replay(index, shape, steps)
    expected = entries(dict(sorted(oracle.items())))
    assert np.array_equal(index.entries(shape, root), expected)
    assert (root is None) == (not oracle)
    assert root is None or root.tiles == len(oracle)
    touched = {place for put, removed in steps for place in {*put, *removed}}
    for row, col in touched:
        entry = index.lookup(shape, root, row=row, col=col)
        assert (entry is None) == ((row, col) not in oracle)
        expected = entries({(row, col): oracle.get((row, col), 0)})[0]
        assert entry is None or entry == (
            row, col, expected["content"].tobytes(), expected["stored"].tobytes(), expected["size"]
        )  # fmt: skip


@settings(max_examples=examples(20, 60))
@given(histories())
def test_the_root_depends_on_the_tiles_alone(history: tuple[Place, list[Step]]) -> None:
    shape, steps = history
    index = new_index()
    root, oracle = replay(index, shape, steps)
    assert root == new_index().write(shape, entries=entries(oracle)[::-1])
    one_by_one = None
    for place, pixels in oracle.items():
        one_by_one = index.write(shape, base=one_by_one, entries=entries({place: pixels}))
    assert one_by_one == root


@settings(max_examples=examples(20, 60))
@given(st.data())
def test_diff_equals_the_diff_of_dictionaries(data: st.DataObject) -> None:
    shape = data.draw(planes())
    before, after = data.draw(tiles(shape)), data.draw(tiles(shape))
    shared = data.draw(tiles(shape))
    before, after = shared | before, shared | after
    index = new_index()
    a = index.write(shape, entries=entries(before))
    b = index.write(shape, entries=entries(after, codec="another"))
    added, changed, removed = (list(map(tuple, part.tolist())) for part in index.diff(shape, a, b))
    assert added == sorted(after.keys() - before.keys())
    assert removed == sorted(before.keys() - after.keys())
    assert changed == sorted(p for p in before.keys() & after.keys() if before[p] != after[p])


@settings(max_examples=examples(20, 60))
@given(st.data())
def test_select_equals_a_filtered_dictionary(data: st.DataObject) -> None:
    shape = data.draw(planes())
    kept, wanted = data.draw(tiles(shape)), data.draw(st.sets(places(shape), max_size=12))
    index = new_index()
    root = index.write(shape, entries=entries(kept))
    expected = entries({place: kept[place] for place in sorted(kept.keys() & wanted)})
    assert np.array_equal(index.select(shape, root, tile_set(shape, wanted)), expected)


@settings(max_examples=examples(20, 60))
@given(histories())
def test_the_content_hash_forgets_how_tiles_are_encoded(
    history: tuple[Place, list[Step]],
) -> None:
    shape, steps = history
    index = new_index()
    root, oracle = replay(index, shape, steps)
    again = index.write(shape, entries=entries(oracle, codec="another"))
    assert (root and root.content) == (again and again.content)
    assert root is None or again is None or root.stored != again.stored


def test_equal_subtrees_are_not_read() -> None:
    shape = (1000, 1000)
    backend = MemoryBackend()
    index = Index(Objects(backend))
    before = {(row, col): row for row in range(0, 1000, 31) for col in range(0, 1000, 31)}
    a = index.write(shape, entries=entries(before))
    b = index.write(shape, base=a, entries=entries({(0, 0): 7}))
    assert a is not None
    assert b is not None
    touched = {*_path(index, shape, a), *_path(index, shape, b)}
    for digest in {*index.pages(shape, a), *index.pages(shape, b)} - touched:
        backend.delete(Objects.path(digest))
    found = Index(Objects(backend)).diff(shape, a, b)
    assert found.changed.tolist() == [[0, 0]]
    assert len(touched) == 2 * height_of(shape)


def _path(index: Index, shape: Place, root: PageRef) -> list[str]:
    pages = list(index.pages(shape, root))
    return pages[: height_of(shape)]  # parents first, and the first leaf holds tile (0, 0)


def test_height_follows_from_the_plane() -> None:
    assert [height_of((1, side)) for side in (1, 64, 65, 4096, 4097)] == [1, 1, 2, 2, 3]


def test_a_page_of_another_height_is_refused() -> None:
    index = new_index()
    root = index.write((1, 1), entries=entries({(0, 0): 1}))
    with pytest.raises(CorruptObjectError, match="height"):
        index.entries((65, 65), root)


def test_what_cannot_be_is_refused() -> None:
    index = new_index()
    with pytest.raises(ValueError, match="outside"):
        index.write((2, 2), entries=entries({(2, 0): 1}))
    with pytest.raises(ValueError, match="twice"):
        index.write((2, 2), entries=np.concatenate([entries({(1, 0): 1})] * 2))


@settings(max_examples=examples(20, 60))
@given(st.data())
def test_equal_content_hashes_are_equal_places_and_pixels(data: st.DataObject) -> None:
    shape = data.draw(planes())
    one, other = data.draw(tiles(shape)), data.draw(tiles(shape))
    values = sorted(one.values())
    moved = dict(zip(data.draw(st.permutations([*other, *one])), values, strict=False))
    roots = [new_index().write(shape, entries=entries(found)) for found in (one, moved)]
    contents = [root and root.content for root in roots]
    assert (contents[0] == contents[1]) == (one == moved)


def test_an_index_does_not_differ_from_itself() -> None:
    backend = MemoryBackend()
    index = Index(Objects(backend))
    root = index.write((100, 100), entries=entries({(0, 0): 1, (99, 99): 2}))
    for name in list(backend.list("")):
        backend.delete(name)
    found = Index(Objects(backend)).diff((100, 100), root, root)
    assert [len(part) for part in found] == [0, 0, 0]


@given(shape=planes(), data=st.data())
def test_the_page_of_a_single_tile_is_the_one_that_an_index_writes(
    shape: Place, data: st.DataObject
) -> None:
    place = data.draw(places(shape))
    (row,) = entries({place: 7})
    tile = StoredTile(*place, row["content"].tobytes(), row["stored"].tobytes(), int(row["size"]))
    index = new_index()
    found = put_single(index, shape, tile)
    if max(shape) > 64:
        assert found is None
        return
    other = new_index()
    assert found == other.write(shape, entries=entries({place: 7}))
    assert found is not None
    assert index.objects.get(found.stored) == other.objects.get(found.stored)
    for outside in ((shape[0], 0), (0, shape[1])):
        with pytest.raises(ValueError, match="outside"):
            put_single(index, shape, tile._replace(row=outside[0], col=outside[1]))
