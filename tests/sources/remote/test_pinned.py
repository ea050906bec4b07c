"""Objects that are streamed in one state: all bytes in order, few requests ahead of the reader."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fake_s3 import FakeBucket, fake_buckets
from range_server import serving

from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.pin import Remote
from geobatch.sources.naming import LostStateError, UnnamedError
from geobatch.sources.remote import pinned
from geobatch.sources.remote.pinned import pieces_of, pin, read_whole
from geobatch.sources.small_files import read_small

SIZES = (0, 1, pinned.FIRST, pinned.FIRST + 1, pinned.FIRST + pinned.CHUNK, 11 << 20)
WHAT = "the TFRecord file"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeBucket]:
    with fake_buckets(monkeypatch, "streams") as [made]:
        yield made


def source(url: str, state: Remote | None = None) -> DeclaredSource:
    return DeclaredSource(uri=url, path=Path("key"), source=0, url=url, state=state)


def content(size: int) -> bytes:
    return np.random.default_rng(size).bytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_all_bytes_come_in_order(bucket: FakeBucket, size: int) -> None:
    bucket.put("x", content(size))
    found = list(pieces_of(pin(source(f"{bucket.url}x")), what=WHAT))
    assert b"".join(found) == content(size)
    assert all(0 < len(one) <= pinned.PIECE for one in found)


def test_a_server_is_streamed_as_well(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content(9 << 20))
    with serving(tmp_path) as served:
        found = pin(source(f"{served.url}x"))
        assert b"".join(pieces_of(found, what=WHAT)) == content(9 << 20)
        served.generation += 1
        with pytest.raises(LostStateError):
            list(pieces_of(found, what=WHAT))


def test_who_needs_the_beginning_reads_the_beginning(bucket: FakeBucket) -> None:
    bucket.put("x", content(8 << 20))
    stream = pieces_of(pin(source(f"{bucket.url}x")), what=WHAT)
    assert next(stream) == content(8 << 20)[: pinned.PIECE]
    assert bucket.counted() == {"head": 1, "get": 1}
    del stream


def test_requests_ahead_are_bounded(bucket: FakeBucket) -> None:
    """However slowly somebody reads: memory has a few chunks of the object."""
    bucket.put("x", content(28 << 20))
    stream = pieces_of(pin(source(f"{bucket.url}x")), what=WHAT)
    pieces = pinned.FIRST // pinned.PIECE
    for _ in itertools.islice(stream, pieces + 1):
        pass
    time.sleep(0.5)
    assert bucket.counted()["get"] <= 1 + pinned.AHEAD
    stream.close()  # type: ignore[attr-defined]


def test_a_change_at_any_request_is_noticed(bucket: FakeBucket) -> None:
    """Not one byte of the other state is yielded behind it."""
    old, new = content(12 << 20), content(12 << 20)[::-1]
    for number in range(1, 4):
        bucket.put("x", old)
        seen = itertools.count(1)

        def swap(key: str, number: int = number, seen: Iterator[int] = seen) -> None:
            if next(seen) == number:
                bucket.put(key, new)

        found = pin(source(f"{bucket.url}x"))
        bucket.on_get, got = swap, bytearray()
        with pytest.raises(LostStateError) as caught:
            list(map(got.extend, pieces_of(found, what=WHAT)))
        bucket.on_get = None
        assert got == old[: len(got)]
        named = caught.value.named(f"{bucket.url}x")
        assert f"`{bucket.url}x#{found.state.generation}`" in named.message
        assert WHAT in named.message


def test_an_object_that_is_gone_is_in_no_state(bucket: FakeBucket) -> None:
    bucket.put("x", b"123")
    found = pin(source(f"{bucket.url}x"))
    del bucket.objects["x"]
    for read in (lambda: read_whole(found), lambda: list(pieces_of(found, what=WHAT))):
        with pytest.raises(LostStateError):
            read()
    with pytest.raises(UnnamedError, match="no such"):
        pin(source(f"{bucket.url}x"))


def test_a_small_file_has_few_bytes(bucket: FakeBucket, tmp_path: Path) -> None:
    """The rest of a large one is not read."""
    bucket.put("x", b"123")
    assert read_small(source(f"{bucket.url}x"), most=3) == b"123"
    bucket.counted()
    with pytest.raises(UnnamedError, match="more than 2 bytes"):
        read_small(source(f"{bucket.url}x"), most=2)
    assert bucket.counted() == {"head": 1}
    (tmp_path / "x").write_bytes(b"123")
    local = DeclaredSource(uri="x", path=tmp_path / "x", source=0)
    assert read_small(local, most=3) == b"123"
    with pytest.raises(UnnamedError, match="more than 2 bytes"):
        read_small(local, most=2)
    with serving(tmp_path) as served:
        assert read_small(source(f"{served.url}x"), most=3) == b"123"
        with pytest.raises(UnnamedError, match="more than 2 bytes"):
            read_small(source(f"{served.url}x"), most=2)
