"""The cache: gives back what was put, and may be lost, damaged or locked without harm."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geobatch.model.assets.asset import FileStat
from geobatch.model.digest import digest_bytes
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.cached_probe import CachedProbe
from geobatch.store.caches import cache_file
from geobatch.store.caches.cache import CACHE_NAME, SourceCache
from geobatch.store.tilestore import TileStore

UNSIGNED, SIGNED = st.integers(0, (1 << 64) - 1), st.integers(-(1 << 63), (1 << 63) - 1)
STATS = st.builds(
    FileStat, device=UNSIGNED, inode=UNSIGNED, size=UNSIGNED, mtime_ns=SIGNED, ctime_ns=SIGNED
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
PROBES = st.builds(
    CachedProbe,
    stat=STATS,
    time_ns=SIGNED,
    digest=st.binary(min_size=32, max_size=32).map(bytes.hex),
    header=TEXTS,
    crs=TEXTS,
    is_linked=st.booleans(),
    maker=TEXTS,
    tags=st.none() | st.binary(min_size=32, max_size=32).map(bytes.hex),
)
# Names of files are bytes without zero, of any encoding.
PATHS = st.binary(min_size=1, max_size=20).filter(lambda name: b"\0" not in name).map(os.fsdecode)
TABLE = BlockTable(
    height=9, width=9, block=(3, 9), planes=1, decoding="ab" * 32, digests=bytes(range(96))
)


def probe(number: int = 0) -> CachedProbe:
    stat = FileStat(device=1, inode=number, size=2, mtime_ns=3, ctime_ns=4)
    digest = digest_bytes(b"%d" % number)
    return CachedProbe(
        stat=stat, time_ns=5, digest=digest, header="{}", crs="C", is_linked=False, maker="m"
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    TileStore.create(tmp_path / "store").close()
    return tmp_path / "store"


def fill(store: Path) -> None:
    with SourceCache(store) as cache:
        cache.put_probes({"/a": probe(1), "/b": probe(2)})
        cache.put_table(TABLE.identity, TABLE)
        cache.put_crs("EPSG:1", "one")
        cache.put_bands({"ee" * 32: "[1]"})


def is_full(store: Path) -> bool:
    """Return whether a new cache knows all; it must know all or nothing."""
    with SourceCache(store) as cache:
        known = [
            cache.get_probes(["/a", "/b", "/c"]) == {"/a": probe(1), "/b": probe(2)},
            cache.get_table(TABLE.identity) == TABLE,
            cache.get_crs("EPSG:1") == "one",
            cache.get_bands(["ee" * 32, "dd" * 32]) == {"ee" * 32: "[1]"},
        ]
        empty = [
            cache.get_probes(["/a", "/b", "/c"]) == {},
            cache.get_table(TABLE.identity) is None,
            cache.get_crs("EPSG:1") is None,
            cache.get_bands(["ee" * 32]) == {},
        ]
    assert all(known) or all(empty)
    return all(known)


def test_what_was_put_is_there_in_the_next_run(store: Path) -> None:
    assert not is_full(store)
    fill(store)
    assert is_full(store)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(PATHS, PROBES, max_size=5), st.dictionaries(PATHS, PROBES, max_size=5))
def test_any_probe_comes_back_as_it_was(
    store: Path, first: dict[str, CachedProbe], second: dict[str, CachedProbe]
) -> None:
    (store / CACHE_NAME).unlink(missing_ok=True)
    for probes in (first, second):
        with SourceCache(store) as cache:
            cache.put_probes(probes)
            assert cache.get_probes(probes) == probes
    with SourceCache(store) as cache:
        assert cache.get_probes([*first, *second, "/none"]) == first | second


def test_without_a_store_all_is_kept_in_memory(tmp_path: Path) -> None:
    cache = SourceCache(tmp_path / "none")
    cache.put_probes({"/a": probe(1)})
    cache.save()
    assert not (tmp_path / "none").exists()
    assert cache.get_probes(["/a"]) == {"/a": probe(1)}
    TileStore.create(tmp_path / "none").close()
    cache.close()
    with SourceCache(tmp_path / "none") as again:
        assert again.get_probes(["/a"]) == {"/a": probe(1)}
    memory = SourceCache.memory()
    memory.put_table(TABLE.identity, TABLE)
    memory.save()
    assert memory.get_table(TABLE.identity) == TABLE


def test_nothing_is_written_to_a_store_of_a_newer_format(store: Path) -> None:
    identity = store / "geobatch.json"
    identity.chmod(0o644)
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"format": 99}))
    fill(store)
    assert not (store / "cache").exists()


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: rewrite(path, lambda data: data[: len(data) // 2]),
    "a byte": lambda path: path.write_bytes(b"\0"),
    "text": lambda path: path.write_text("my notes" * 1000),
    "zeros": lambda path: rewrite(path, lambda data: bytes(len(data))),
    "header": lambda path: rewrite(path, lambda data: data[:100] + bytes(2000) + data[2100:]),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_an_empty_one_and_is_made_anew(store: Path, name: str) -> None:
    fill(store)
    DAMAGES[name](store / CACHE_NAME)
    assert not is_full(store)
    fill(store)
    assert is_full(store)


def test_any_byte_that_is_flipped_loses_entries_and_changes_none(store: Path) -> None:
    fill(store)
    path = store / CACHE_NAME
    content = path.read_bytes()
    wanted = {"/a": probe(1), "/b": probe(2)}
    lost = 0
    for place in range(0, len(content), 11):
        damaged = bytearray(content)
        damaged[place] ^= 0x11
        path.write_bytes(damaged)
        with SourceCache(store) as cache:
            found = cache.get_probes(wanted)
            lost += found != wanted
            assert found.items() <= wanted.items()
            assert cache.get_table(TABLE.identity) in (None, TABLE)
            assert cache.get_crs("EPSG:1") in (None, "one")
            assert cache.get_bands(["ee" * 32]).items() <= {"ee" * 32: "[1]"}.items()
    assert lost


STRANGE = {
    "another version": ["PRAGMA user_version = 77"],
    "version 0": ["PRAGMA user_version = 0"],
    "no table": ["DROP TABLE entries"],
    "another table": ["DROP TABLE entries", "CREATE TABLE entries (thesis TEXT)"],
    "texts": ["UPDATE entries SET value = 'text'"],
    "nulls": ["UPDATE entries SET value = NULL"],
    "swapped": ["UPDATE entries SET value = (SELECT max(value) FROM entries)"],
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_file_that_holds_other_things_is_an_empty_one(store: Path, name: str) -> None:
    fill(store)
    connection = sqlite3.connect(store / CACHE_NAME)
    for statement in STRANGE[name]:
        connection.execute(statement)
    connection.commit()
    connection.close()
    with SourceCache(store) as cache:
        found = cache.get_probes(["/a", "/b"])
        assert found.items() <= {"/a": probe(1), "/b": probe(2)}.items()
        assert name == "swapped" or not found
    fill(store)
    assert is_full(store)


def test_a_folder_in_its_place_is_an_empty_one(store: Path) -> None:
    (store / CACHE_NAME).mkdir(parents=True)
    fill(store)
    assert not is_full(store)


def test_a_file_in_the_place_of_its_folder_is_an_empty_one(store: Path) -> None:
    (store / "cache").write_text("not a folder")
    fill(store)
    assert not is_full(store)


def test_another_process_that_holds_the_lock_is_not_waited_for_long(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache_file, "_PATIENCE", 0.05)
    fill(store)
    other = sqlite3.connect(store / CACHE_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert not is_full(store)
    cache = SourceCache(store)
    cache.put_probes({"/c": probe(3)})
    cache.save()
    assert cache.get_probes(["/c"]) == {"/c": probe(3)}
    other.execute("ROLLBACK")
    other.close()
    assert is_full(store)
    cache.close()
    with SourceCache(store) as again:
        assert again.get_probes(["/c"]) == {"/c": probe(3)}


def test_a_locked_file_is_waited_for_once(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each wait is shorter than the one before: a run that asks a hundred times goes on."""
    monkeypatch.setattr(cache_file, "_PATIENCE", 0.2)
    fill(store)
    other = sqlite3.connect(store / CACHE_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    waits: list[float] = []
    connect = cache_file._connect

    def noted(path: Path, mode: str, patience: float) -> sqlite3.Connection:
        waits.append(patience)
        return connect(path, mode, patience)

    monkeypatch.setattr(cache_file, "_connect", noted)
    cache = SourceCache(store)
    for number in range(20):
        cache.put_probes({"/c": probe(number)})
        assert cache.get_probes(["/a", "/c"]) == {"/c": probe(number)}
        cache.save()
    assert waits[0] == 0.2
    assert sum(waits[1:]) <= 0.2
    assert waits[-1] == 0
    other.execute("ROLLBACK")
    other.close()
    assert set(cache.get_probes(["/a", "/c"])) == {"/a", "/c"}
    cache.close()


def test_a_store_that_cannot_be_written_is_read(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)

    def refused(path: Path, mode: str, patience: float) -> sqlite3.Connection:
        if mode != "ro":
            raise PermissionError(13, "Permission denied")
        return connect(path, mode, patience)

    # Permissions do not bind the superuser, who may run this.
    connect = cache_file._connect
    monkeypatch.setattr(cache_file, "_connect", refused)
    with SourceCache(store) as cache:
        cache.put_probes({"/c": probe(3)})
        cache.save()
        assert len(cache.get_probes(["/a", "/b", "/c"])) == 3
    assert is_full(store)


def test_threads_may_share_one(store: Path) -> None:
    with SourceCache(store) as cache:

        def work(first: int) -> None:
            for number in range(first, first + 50):
                cache.put_probes({f"/{number}": probe(number)})
                assert cache.get_probes([f"/{number}"]) == {f"/{number}": probe(number)}
                cache.save()

        threads = [threading.Thread(target=work, args=(50 * n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(cache.get_probes([f"/{number}" for number in range(200)])) == 200
    with SourceCache(store) as cache:
        assert len(cache.get_probes([f"/{number}" for number in range(200)])) == 200


def test_processes_may_share_one(store: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from geobatch.store.caches.cache import SourceCache\n"
        "first = int(sys.argv[2])\n"
        "for number in range(first, first + 20):\n"
        "    with SourceCache(Path(sys.argv[1])) as cache:\n"
        "        cache.put_crs(str(number), 'x')\n"
    )
    argv = [sys.executable, "-c", code, str(store)]
    running = [subprocess.Popen([*argv, str(20 * number)]) for number in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    with SourceCache(store) as cache:
        assert [number for number in range(60) if cache.get_crs(str(number)) is None] == []


def test_much_is_saved_before_the_end(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_file, "_SAVE_BYTES", 1000)
    cache = SourceCache(store)
    cache.put_probes({f"/{number}": probe(number) for number in range(100)})
    with SourceCache(store) as other:
        assert len(other.get_probes([f"/{number}" for number in range(100)])) > 50
    cache.close()


def test_a_cache_is_no_file_until_there_is_something_to_keep(store: Path) -> None:
    with SourceCache(store) as cache:
        assert cache.get_probes(["/a"]) == {}
    assert not (store / CACHE_NAME).exists()
