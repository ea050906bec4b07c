"""Ranges of objects on servers: the bytes of each, few requests, all at a time, of one state."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from range_server import Served, serving

from geobatch.buckets.ranges import GAP_BYTES, PIECE_BYTES, cut, merge
from geobatch.errors import SourceError
from geobatch.sources.naming import LostStateError
from geobatch.sources.remote.remote_file import open_remote

DATA = bytes(range(256)) * 16384
"""4 MiB."""


@pytest.fixture(name="served")
def served_fixture(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "a.bin").write_bytes(DATA)
    with serving(tmp_path) as served:
        yield served


SPOTS = st.tuples(st.integers(0, 3 * PIECE_BYTES), st.integers(1, PIECE_BYTES + 9)).map(
    lambda one: (one[0], one[0] + one[1])
)


@given(st.lists(SPOTS, max_size=20))
def test_merged_ranges_cover_all_and_stay_small(ranges: list[tuple[int, int]]) -> None:
    merged = merge(ranges)
    assert merged == sorted(merged)
    assert len(merged) <= len(set(ranges))
    for start, stop in merged:
        assert stop - start <= PIECE_BYTES or (start, stop) in ranges
    for start, stop in ranges:
        assert any(low <= start and stop <= high for low, high in merged)
    gaps = [high[0] - low[1] for low, high in itertools.pairwise(merged)]
    sizes = [high[1] - low[0] for low, high in itertools.pairwise(merged)]
    pairs = zip(gaps, sizes, strict=True)
    assert all(gap > GAP_BYTES or size > PIECE_BYTES or gap < 0 for gap, size in pairs)


@given(st.lists(st.tuples(st.integers(0, 999), st.integers(1, 500)), max_size=20))
def test_each_range_gets_its_bytes(found: list[tuple[int, int]]) -> None:
    ranges = [(start, start + length) for start, length in found]
    merged = merge(ranges)
    data = DATA[:256] * 8
    parts = [data[start:stop] for start, stop in merged]
    assert cut(ranges, merged, parts) == [data[start:stop] for start, stop in ranges]


def test_many_ranges_come_by_few_requests(served: Served) -> None:
    file = open_remote(f"{served.url}a.bin")
    assert file.fetch(0, 10) == DATA[:10]
    served.requests.clear()
    ranges = [
        (2_000_000, 2_000_100),
        (5, 25),
        (2_000_050, 2_100_000),
        (3_000_000, 3_000_001),
        (7, 7),
    ]
    assert file.fetch_many(ranges) == [DATA[start:stop] for start, stop in ranges]
    assert sorted(size for _, size in served.requests) == [1, 20, 100_000]
    assert file.fetch(len(DATA) - 3, len(DATA) + 100) == DATA[-3:], "cut at the end"
    assert file.fetch(len(DATA), len(DATA) + 100) == b""
    file.close()


def test_requests_are_sent_together(served: Served) -> None:
    """Ten ranges far apart take as long as one, where each answer takes 0.1 s."""
    served.delay = 0.1
    file = open_remote(f"{served.url}a.bin")
    file.ask()
    started = time.monotonic()
    ranges = [(n * 400_000, n * 400_000 + 10) for n in range(10)]
    assert file.fetch_many(ranges) == [DATA[start:stop] for start, stop in ranges]
    assert time.monotonic() - started < 0.6
    assert len(served.requests) == 11
    file.close()


def test_another_state_is_refused_by_every_way(served: Served) -> None:
    file = open_remote(f"{served.url}a.bin")
    state = file.ask()
    served.generation += 1
    for again in (file, open_remote(f"{served.url}a.bin", remote=state)):
        with pytest.raises(LostStateError):
            again.fetch(0, 10)
        with pytest.raises(LostStateError):
            again.fetch_many([(0, 10), (3_000_000, 3_000_001)])
    assert open_remote(f"{served.url}a.bin").ask() != state


def test_what_is_no_url_of_an_object() -> None:
    for url, words in (
        ("ftp://h/a.tif", "not the URL"),
        ("gs://", "names no bucket"),
        ("s3://user:secret@b/k", "passwords"),
        ("az://b/a\nb", "control character"),
    ):
        with pytest.raises(SourceError, match=words):
            open_remote(url)


def test_a_header_has_a_limit(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOBATCH_MAX_HEADER_BYTES", "100")
    file = open_remote(f"{served.url}a.bin", is_header=True)
    assert file.fetch(0, 60) == DATA[:60]
    with pytest.raises(SourceError, match="as its header"):
        file.fetch(60, 120)


def test_connections_that_wait_are_few(served: Served) -> None:
    """However many objects are open: each has a descriptor of this process."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    files = [open_remote(f"{served.url}a.bin", remote=None) for _ in range(150)]
    for file in files:
        file.ask()
        assert file.fetch(10, 20) == DATA[10:20]
        file.fetch_many([(0, 1), (2_000_000, 2_000_001)])
    # The server, in this process too, has one for each connection.
    assert len(list(Path("/proc/self/fd").iterdir())) - before < 2 * 80
    for file in files:
        file.close()
