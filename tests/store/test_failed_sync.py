"""A disk that fails: what the system may have dropped is written again before it is relied upon."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from workbench import Workbench, image, write_tiff

from geobatch.errors import NotDurableError, StoreError
from geobatch.store.backends import durability, local
from geobatch.store.backends.local import UNSYNCED
from geobatch.store.maintenance.check import READ_ALL, Checker, StateLeaves
from geobatch.store.tilestore import TileStore


def bench_of(folder: Path) -> Workbench:
    values = np.random.default_rng(5).integers(1, 200, (150, 140)).astype(np.uint8)
    write_tiff(folder / "a.tif", [values])
    write_tiff(folder / "b.tif", [values[::-1].copy()])
    return Workbench(folder=folder)


def files(store: Path) -> dict[Path, tuple[int, int]]:
    """Return what tells whether a file of the store's own was written again."""
    found = [path for room in ("objects", "refs") for path in (store / room).rglob("*")]
    return {path: (path.stat().st_ino, path.stat().st_size) for path in found if path.is_file()}


@contextmanager
def failing_sync(patch: pytest.MonkeyPatch, *, at: int, is_for_all: bool) -> Iterator[None]:
    """Let the n-th sync from now on fail as a disk does; all others are left alone."""
    count = 0

    def fails() -> bool:
        nonlocal count
        count += 1
        return count == at

    sync_all, sync_file = durability._SYNCFS, durability._fsync

    def syncfs(descriptor: int) -> int:
        if not fails():
            return int(sync_all(descriptor)) if sync_all is not None else 0
        ctypes.set_errno(errno.EIO)
        return -1

    def fsync(path: Path) -> None:
        if fails():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync_file(path)

    with patch.context() as patched:
        if is_for_all:
            patched.setattr(durability, "_SYNCFS", syncfs)
        else:
            patched.setattr(durability, "_SYNCFS", None)
            patched.setattr(durability, "_fsync", fsync)
        yield


def lose(written: dict[Path, tuple[int, int]], store: Path) -> None:
    """Lose the power: what was dropped, and not written again since, is empty."""
    now = files(store)
    for path, identity in written.items():
        if now.get(path) == identity:
            path.chmod(0o644)
            path.write_bytes(b"")


def assert_whole(store: Path, *, number: int) -> None:
    opened = TileStore.open(store)
    head = opened.head()
    assert head.number == number
    checker = Checker(opened.objects, StateLeaves(opened.objects, read_from=READ_ALL))
    assert [str(found) for entry in head.tree.entries for found in checker.asset(entry)] == []
    opened.close()


@pytest.mark.parametrize("is_for_all", [True, False])
@pytest.mark.parametrize("at", [1, 2])
def test_what_a_failed_sync_may_have_dropped_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, is_for_all: bool
) -> None:
    bench = bench_of(tmp_path)
    bench.apply(image("one", "a.tif"))
    durable_files = files(bench.store)
    with (
        failing_sync(monkeypatch, at=at, is_for_all=is_for_all),
        pytest.raises(StoreError, match="cannot sync"),
    ):
        bench.apply(image("one", "a.tif"), image("two", "b.tif"))
    assert (bench.store / UNSYNCED).exists()
    assert_whole(bench.store, number=1)
    dropped = {k: v for k, v in files(bench.store).items() if k not in durable_files}
    assert len(dropped) > 10
    # Another spec goes first: what it does not put may be lost all the same.
    bench.apply(image("one", "a.tif", properties={"n": 1}))
    bench.apply(image("one", "a.tif", properties={"n": 1}), image("two", "b.tif"))
    assert not (bench.store / UNSYNCED).exists()
    lose(dropped, bench.store)
    assert_whole(bench.store, number=3)
    now = files(bench.store)
    again = [path for path, identity in durable_files.items() if now[path] != identity]
    # Its ref and its commit, and what the clock of the disk cannot tell from that.
    assert len(again) < len(durable_files) / 2, "what was durable is left alone"


def test_nothing_is_published_while_a_mark_is_there(tmp_path: Path) -> None:
    """As when the sync of another run fails during this one."""
    bench = bench_of(tmp_path)
    bench.apply(image("one", "a.tif"))
    store = TileStore.open(bench.store)
    (bench.store / UNSYNCED).touch()
    with pytest.raises(StoreError, match=r"a sync of .* failed"):
        store.publish(base=store.head(), changes={"one": None}, message="", tools={})
    assert store.head().number == 1
    store.close()


def test_a_commit_whose_folder_cannot_be_synced_is_said_to_be_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(tmp_path)
    bench.apply(image("one", "a.tif"))
    sync_folder = durability.sync_folder

    def fails(folder: Path) -> None:
        if folder.name == "main":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync_folder(folder)

    with monkeypatch.context() as patch:
        patch.setattr(local, "sync_folder", fails)
        with pytest.raises(NotDurableError, match=r"commit 2 .* is published, but a loss of power"):
            bench.apply(image("one", "a.tif"), image("two", "b.tif"))
    assert_whole(bench.store, number=2)
    ref = bench.store / "refs" / "main" / f"{2:016x}"
    before = (ref.read_bytes(), ref.stat().st_mtime_ns, ref.stat().st_ino)
    assert bench.apply(image("one", "a.tif"), image("two", "b.tif")).commit is None
    assert (ref.read_bytes(), ref.stat().st_mtime_ns) == before[:2]
    assert ref.stat().st_ino != before[2], "its name is written again, to be made durable"
    assert not (bench.store / UNSYNCED).exists()
    assert bench.array("two/0/b1").shape == (150, 140)


def test_a_failed_sync_of_the_tree_says_that_the_commit_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(tmp_path)
    with (
        failing_sync(monkeypatch, at=3, is_for_all=True),
        pytest.raises(StoreError, match=r"commit 1 .* is published, but the Zarr tree"),
    ):
        bench.apply(image("one", "a.tif"))
    assert_whole(bench.store, number=1)
    assert bench.apply(image("one", "a.tif")).commit is None
    assert bench.array("one/0/b1").shape == (150, 140)


def test_names_wait_for_a_sync_that_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each file is synced by itself, a failure must not forget which they are."""
    with failing_sync(monkeypatch, at=1, is_for_all=False):
        noted = durability.Durability(tmp_path)
        (tmp_path / "a").touch()
        noted.note("a")
        with pytest.raises(OSError, match="Input/output"):
            noted.sync()
        synced: list[Path] = []
        monkeypatch.setattr(durability, "_fsync", synced.append)
        noted.sync()
        assert tmp_path / "a" in synced


@pytest.mark.parametrize(("code", "is_full"), [(errno.ENOSPC, True), (errno.EIO, False)])
def test_a_full_disk_has_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, *, is_full: bool
) -> None:
    bench = bench_of(tmp_path)
    TileStore.create(bench.store).close()

    def write(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "writev", write)
    with pytest.raises(StoreError) as caught:
        bench.apply(image("a", "a.tif"))
    assert ("free some space" in (caught.value.hint or "")) is is_full
