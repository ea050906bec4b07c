"""The contract that every backend passes: subclass it in a test and give it a `backend` fixture."""
# ruff: noqa: S101 -- a contract is made of assertions

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

from geobatch.errors import NotFoundError, StoreError
from geobatch.store.backends.protocol import Backend, Data

_THREADS = 8


class BackendContract:
    """What a store relies on. The fixture `backend` gives a new, empty backend."""

    races: ClassVar[int] = 20
    """How many names are raced for; fewer suit a service on which a race takes seconds."""

    def test_what_was_put_is_there(self, backend: Backend) -> None:
        """Bytes come back as they went in, whatever their length or type."""
        long = bytes(range(256)) * 5000
        parts: list[Data] = [b"", b"x", long, bytearray(long), memoryview(long)[3:]]
        for at, data in enumerate(parts):
            assert backend.put(f"objects/a{at}", data)
            assert backend.get(f"objects/a{at}") == bytes(data)
            assert backend.size(f"objects/a{at}") == len(data)

    def test_what_is_not_there_is_not_found(self, backend: Backend) -> None:
        """A missing name, and a name that only other names start with, are no names."""
        backend.put("folder/name", b"x")
        for name in ("nothing", "folder", "folder/name/below", "folder/nam"):
            with pytest.raises(NotFoundError, match=name):
                backend.get(name)
            assert backend.size(name) is None
            backend.delete(name)
        assert backend.get("folder/name") == b"x"

    def test_a_state_is_size_and_age(self, backend: Backend) -> None:
        """What is written later is not older, and a missing name has no state."""
        assert backend.state("objects/a") is None
        ages = []
        for name, data in (("objects/a", b"one"), ("refs/a", b"three"), ("cache/a", b"")):
            write = {"o": backend.put, "r": backend.create, "c": backend.replace}[name[0]]
            write(name, data)
            state = backend.state(name)
            assert state is not None
            assert state.size == len(data) == backend.size(name)
            ages.append(state.modified_ns)
        assert ages == sorted(ages)
        backend.delete("objects/a")
        assert backend.state("objects/a") is None

    def test_it_says_where_it_is(self, backend: Backend) -> None:
        """A message can name it, and only what is on a local disk has paths."""
        assert backend.location
        backend.put("objects/a", b"x")
        if backend.local is not None:
            assert backend.local.path("objects/a").read_bytes() == b"x"
            assert backend.local.path("objects/a").is_relative_to(backend.local.root)
            assert not backend.local.is_unsynced

    def test_a_range_is_a_slice(self, backend: Backend) -> None:
        """Any range gives the bytes that a slice gives, also at and behind the end."""
        data = bytes(range(256)) * 400
        backend.put("objects/a", data)
        backend.put("objects/empty", b"")
        ends = [0, 1, 255, 4096, len(data) - 1, len(data), len(data) + 1, 10 * len(data)]
        for start in ends:
            assert backend.get("objects/a", start=start) == data[start:]
            assert backend.get("objects/empty", start=start, length=1) == b""
            for length in ends:
                found = backend.get("objects/a", start=start, length=length)
                assert found == data[start : start + length]

    def test_a_range_that_cannot_be_is_refused(self, backend: Backend) -> None:
        """A negative offset does not count from the end; a missing name has no range."""
        backend.put("objects/a", b"abc")
        for start, length in ((-1, None), (-1, 1), (0, -1), (1, -1)):
            with pytest.raises(ValueError, match="range"):
                backend.get("objects/a", start=start, length=length)
        for start, length in ((0, 0), (5, 1)):
            with pytest.raises(NotFoundError, match="objects/b"):
                backend.get("objects/b", start=start, length=length)

    def test_put_keeps_what_is_there(self, backend: Backend) -> None:
        """A second put of as many bytes changes nothing, and says so."""
        assert backend.put("objects/a", b"one")
        assert not backend.put("objects/a", b"one")
        assert backend.get("objects/a") == b"one"

    @pytest.mark.parametrize("there", [b"", b"who", b"whale", b"wholesome"])
    def test_put_mends_other_bytes(self, backend: Backend, there: bytes) -> None:
        """Existence is not trusted: what is torn or damaged is written again."""
        backend.replace("objects/a", there)
        assert backend.put("objects/a", b"whole")
        assert backend.get("objects/a") == b"whole"
        assert not backend.put("objects/a", memoryview(b"whole"))

    def test_create_takes_a_name_once(self, backend: Backend) -> None:
        """The second caller gets False, and the first one's bytes stay."""
        assert backend.create("refs/main/1", b"first")
        assert not backend.create("refs/main/1", b"second")
        assert not backend.create("refs/main/1", b"first")
        assert backend.get("refs/main/1") == b"first"

    def test_one_of_racing_creates_wins(self, backend: Backend) -> None:
        """Of threads that create one name at once exactly one wins, and its bytes are there."""
        with ThreadPoolExecutor(_THREADS) as pool:
            for name in (f"refs/main/{number}" for number in range(self.races)):
                start = threading.Barrier(_THREADS)

                def race(
                    racer: int, name: str = name, start: threading.Barrier = start
                ) -> bytes | None:
                    data = b"racer %d" % racer
                    start.wait()
                    return data if backend.create(name, data) else None

                winners = [data for data in pool.map(race, range(_THREADS)) if data]
                assert winners == [backend.get(name)]

    def test_one_of_racing_puts_is_new(self, backend: Backend) -> None:
        """Of threads that put the same bytes at once exactly one learns that they are new."""
        data = bytes(100_000)
        with ThreadPoolExecutor(_THREADS) as pool:
            for name in (f"objects/{number}" for number in range(self.races)):
                start = threading.Barrier(_THREADS)

                def race(_: int, name: str = name, start: threading.Barrier = start) -> bool:
                    start.wait()
                    return backend.put(name, data)

                assert sum(pool.map(race, range(_THREADS))) == 1
                assert backend.get(name) == data

    def test_readers_see_whole_values(self, backend: Backend) -> None:
        """While a name is replaced over and over, a reader gets one of the values, whole."""
        values = [bytes([value]) * 50_000 for value in range(4)]
        backend.replace("cache/a", values[0])

        def write() -> None:
            for turn in range(100):
                backend.replace("cache/a", values[turn % len(values)])

        with ThreadPoolExecutor(1) as pool:
            done = pool.submit(write)
            while not done.done():
                assert backend.get("cache/a") in values
            done.result()

    def test_replace_changes_a_name(self, backend: Backend) -> None:
        """The last value is kept."""
        for data in (b"one", b"two", b"three"):
            backend.replace("cache/a", data)
            assert backend.get("cache/a") == data

    def test_delete_forgets_a_name(self, backend: Backend) -> None:
        """A deleted name is gone, may be deleted again, and may come back."""
        backend.put("objects/a", b"x")
        backend.create("refs/a", b"x")
        for name in ("objects/a", "refs/a"):
            backend.delete(name)
            backend.delete(name)
            assert backend.size(name) is None
        assert backend.put("objects/a", b"y")
        assert backend.create("refs/a", b"y")

    def test_list_gives_names_in_order(self, backend: Backend) -> None:
        """Every name under a prefix, once, by code points, folders or not."""
        names = ["a-b", "a.b", "a/b", "a/b0", "a/c/d", "a/c0", "a0", "b/c", "ä"]
        for name in reversed(names):
            backend.put(name, b"x")
        assert list(backend.list("")) == names
        assert list(backend.list("a/")) == ["a/b", "a/b0", "a/c/d", "a/c0"]
        assert list(backend.list("a/c")) == ["a/c/d", "a/c0"]
        assert list(backend.list("a/b")) == ["a/b", "a/b0"]
        assert list(backend.list("nothing/")) == []

    def test_list_leaves_runs_out(self, backend: Backend) -> None:
        """What runs keep is listed only when asked for."""
        backend.put("runs/mine/journal", b"x")
        backend.put("objects/a", b"x")
        assert list(backend.list("")) == ["objects/a"]
        assert list(backend.list("runs/mine/j")) == ["runs/mine/journal"]

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/..",
            "./a",
            "a\\b",
            "a\0",
            "a\n",
        ],
    )
    def test_a_name_cannot_escape(self, backend: Backend, name: str) -> None:
        """What is no name is refused, everywhere."""
        with pytest.raises(StoreError, match="not a valid name"):
            backend.put(name, b"x")
        with pytest.raises(StoreError, match="not a valid name"):
            backend.create(name, b"x")
        with pytest.raises(StoreError, match="not a valid name"):
            backend.replace(name, b"x")
        with pytest.raises(StoreError, match="not a valid name"):
            backend.get(name)
        with pytest.raises(StoreError, match="not a valid name"):
            backend.size(name)
        with pytest.raises(StoreError, match="not a valid name"):
            backend.state(name)
        with pytest.raises(StoreError, match="not a valid name"):
            backend.delete(name)
        assert list(backend.list("")) == []

    def test_sync_may_be_called_at_any_time(self, backend: Backend) -> None:
        """Before the first put, after it, and twice."""
        backend.sync()
        backend.put("objects/a", b"x")
        backend.sync()
        backend.sync()
        assert backend.get("objects/a") == b"x"
