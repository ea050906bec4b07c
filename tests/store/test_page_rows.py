"""Lists of very many assets: what is left out without its row being decoded passes no filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.format.trees.page import SHAPE
from geobatch.format.trees.paged import PagedTree, in_pages
from geobatch.model.assets.documents.listed import Row, Spot
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Tree, TreeEntry
from geobatch.reading.filters import Filter, parse_test
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.caches.page_rows import ROWS, PageRows, columns_of

TIMES = st.one_of(
    st.none(),
    st.datetimes().map(lambda time: time.isoformat(timespec="seconds") + "Z"),
    st.datetimes().map(lambda time: time.isoformat(timespec="milliseconds") + "Z"),
    st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.5Z", "2024-01-02T00:00:00Z"]),
)
DEGREES = st.integers(-4, 4).map(lambda part: part * 45.0)
BOXES = st.tuples(DEGREES, DEGREES, DEGREES, DEGREES).map(
    lambda box: (box[0], min(box[1], box[3]), box[2], max(box[1], box[3]))
)
SPOTS = st.builds(
    Spot,
    crs=st.just("EPSG:4326"),
    bounds=st.just((0.0, 0.0, 1.0, 1.0)),
    lonlat=st.none()
    | BOXES
    | st.just((float("nan"),) * 4)
    | st.just((0.0, 0.0, float("inf"), 1.0)),
    shape=st.just((1, 1)),
)
VALUES = st.integers(-3, 3) | st.sampled_from([0.5, float("nan"), float("inf"), "a", "3", ""])
ROW = st.builds(
    Row,
    properties=st.dictionaries(st.sampled_from(["cloud", "tile"]), VALUES).map(
        lambda found: tuple(sorted(found.items()))
    ),
    start_time=TIMES,
    end_time=TIMES,
    spots=st.lists(SPOTS, max_size=2).map(tuple),
    bands=st.just(1),
)
TESTS = st.builds(
    lambda key, sign, value: parse_test(f"{key}{sign}{value}"),
    st.sampled_from(["cloud", "tile", "else"]),
    st.sampled_from(["=", "!=", "<", ">="]),
    st.sampled_from(["1", "0.5", "a", "3"]),
)
FILTERS = st.builds(
    Filter,
    since=TIMES,
    until=TIMES,
    tests=st.lists(TESTS, max_size=2).map(tuple),
    bounds=st.none() | BOXES,
)


@given(st.lists(ROW, min_size=1, max_size=12), FILTERS)
def test_every_row_that_passes_is_a_candidate(rows: list[Row], shown: Filter) -> None:
    data = columns_of(rows)
    wanted = shown.wanted
    if wanted is None or not data:
        return
    passing = {number for number, row in enumerate(rows) if shown.passes(row)}
    assert passing <= set(wanted.candidates(data))


def row(number: int) -> Row:
    west = float(number % 360 - 180)
    box = (west, 10.0, west + 0.5, 10.5)
    return Row(
        properties=(("cloud", number % 100), ("tile", f"T{number % 60:02}")),
        start_time=f"20{number % 30:02}-01-01T00:00:00Z",
        end_time=None,
        spots=(Spot(crs="EPSG:4326", bounds=box, lonlat=box, shape=(9, 9)),),
        bands=3,
    )


COUNT = SHAPE.most + 500


def entries(memo: str = "") -> list[TreeEntry]:
    return [
        TreeEntry(
            id=f"a{number:05}",
            kind="image",
            content=digest_bytes(f"c{number}".encode()),
            stored=digest_bytes(f"s{number}{memo if number == 7 else ''}".encode()),
            fingerprint=digest_bytes(b"f"),
        )
        for number in range(COUNT)
    ]


def tree_of(memo: str = "") -> PagedTree:
    found = in_pages(Tree(entries=entries(memo)))
    assert isinstance(found, PagedTree)
    return found


class Maker:
    """Makes rows by the number in the id, and notes for which assets it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, entry: TreeEntry) -> Row:
        self.asked.append(entry.id)
        return row(int(entry.id[1:]))


def keeping() -> tuple[MemoryBackend, PagedTree]:
    backend, tree = MemoryBackend(), tree_of()
    PageRows(backend).keep([tree], {}, Maker())
    return backend, tree


@pytest.fixture
def kept() -> tuple[MemoryBackend, PagedTree]:
    return keeping()


@pytest.fixture(scope="module")
def read_only() -> tuple[MemoryBackend, PagedTree]:
    return keeping()


SHOWN = [
    Filter(),
    Filter(since="2029-01-01T00:00:00Z"),
    Filter(until="2001-01-01T00:00:00Z"),
    Filter(tests=(parse_test("cloud<2"), parse_test("tile=T01"))),
    Filter(bounds=(-180.0, 0.0, -179.0, 20.0)),
    Filter(bounds=(179.9, 0.0, -179.9, 20.0)),
    Filter(bounds=(-200000.0, 0.0, 900000.0, 9e6), crs="EPSG:32631"),
]


def found_in(
    backend: MemoryBackend, tree: PagedTree, shown: Filter, make: Maker, prefix: str = ""
) -> Iterator[tuple[str, Row]]:
    for entry, one in PageRows(backend).rows(tree, prefix, shown.wanted, make):
        if shown.passes(one):
            yield entry.id, one


@pytest.mark.parametrize("shown", SHOWN)
@pytest.mark.parametrize("prefix", ["", "a01"])
def test_filters_find_what_all_rows_give(
    read_only: tuple[MemoryBackend, PagedTree], shown: Filter, prefix: str
) -> None:
    make = Maker()
    expected = [
        (f"a{n:05}", row(n))
        for n in range(COUNT)
        if shown.passes(row(n)) and f"a{n:05}".startswith(prefix)
    ]
    assert list(found_in(*read_only, shown, make, prefix)) == expected
    assert make.asked == []
    assert list(found_in(MemoryBackend(), read_only[1], shown, make, prefix)) == expected


def test_a_change_makes_one_row_and_forgets_the_old_page(
    kept: tuple[MemoryBackend, PagedTree],
) -> None:
    backend, old = kept
    before = set(backend.list(ROWS))
    make = Maker()
    new = tree_of("changed")
    PageRows(backend).keep([new], {}, make)
    assert make.asked == ["a00007"]
    assert len(before - set(backend.list(ROWS))) == len(set(backend.list(ROWS)) - before) == 2
    PageRows(backend).keep([old, new], {}, make)
    assert len(set(backend.list(ROWS)) - before) == 2


def test_a_damaged_page_of_the_cache_loses_rows_and_changes_none(
    kept: tuple[MemoryBackend, PagedTree],
) -> None:
    backend, tree = kept
    shown: Any = Filter(tests=(parse_test("cloud=7"),))
    expected = list(found_in(*kept, shown, Maker()))
    for name in list(backend.list(ROWS))[:4]:
        data = backend.get(name)
        for damaged in (b"", data[:40], bytes([data[0] ^ 1]) + data[1:], data[:-1]):
            backend.replace(name, damaged)
            assert list(found_in(backend, tree, shown, Maker())) == expected
        backend.replace(name, data)
