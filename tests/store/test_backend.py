"""Every backend passes one contract; the local one keeps its promises to the file system."""

from __future__ import annotations

import fcntl
import os
import pickle
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from geobatch.errors import NotFoundError, StoreError
from geobatch.store.backends import durability
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.testing.backend import BackendContract
from geobatch.testing.crash import CrashBackend


class TestMemoryBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()


class TestLocalBackend(BackendContract):
    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[LocalBackend]:
        backend = LocalBackend(tmp_path / "store")
        yield backend
        backend.close()


class TestLocalBackendWithoutSyncfs(TestLocalBackend):
    @pytest.fixture(autouse=True)
    def _no_syncfs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durability, "_SYNCFS", None)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def runs(root: Path) -> list[Path]:
    return sorted((root / "runs").iterdir())


def test_reading_leaves_no_trace(root: Path) -> None:
    backend = LocalBackend(root)
    with pytest.raises(NotFoundError):
        backend.get("a")
    assert backend.size("a") is None
    assert list(backend.list("")) == []
    backend.delete("a")
    backend.sync()
    assert not root.exists()


def test_objects_are_read_only_and_caches_are_not(root: Path) -> None:
    backend = LocalBackend(root)
    backend.put("objects/a", b"x")
    backend.create("refs/a", b"x")
    backend.replace("cache/a", b"x")
    modes = [stat.S_IMODE(backend.path(name).stat().st_mode) for name in ("objects/a", "refs/a")]
    assert modes == [0o444, 0o444]
    assert backend.path("cache/a").stat().st_mode & stat.S_IWUSR


def test_nothing_is_left_aside(root: Path) -> None:
    backend = LocalBackend(root)
    for data in (b"x", b"x", b"longer"):
        backend.put("objects/a", data)
        backend.create("refs/a", data)
        backend.replace("cache/a", data)
    with pytest.raises(StoreError, match="cannot write"):
        backend.put("objects/a/below", b"x")
    with pytest.raises(StoreError, match="cannot create"):
        backend.create("refs/a/below", b"x")
    (run,) = runs(root)
    assert [path.name for path in run.iterdir()] == ["lock"]
    backend.close()
    assert runs(root) == []


def test_a_live_run_is_left_alone_and_a_dead_one_removed(root: Path) -> None:
    live = LocalBackend(root)
    live.put("objects/a", b"x")
    (folder,) = runs(root)
    dead = root / "runs" / "dead"
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "torn").write_bytes(b"x")
    (root / "runs" / "stillborn").mkdir()
    other = LocalBackend(root)
    other.put("objects/b", b"x")
    assert folder in runs(root)
    assert len(runs(root)) == 2
    assert not dead.exists()
    live.put("objects/c", b"x")
    assert LocalBackend(root).get("objects/c") == b"x"


DIE_WHILE_RUNNING = """
import os, signal, sys
from geobatch.store.backends.local import LocalBackend

backend = LocalBackend(sys.argv[1])
backend.put("objects/a", b"x")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_lock_of_a_killed_process_is_free(root: Path) -> None:
    command = [sys.executable, "-c", DIE_WHILE_RUNNING, str(root)]
    process = subprocess.run(command, check=False)
    assert process.returncode == -signal.SIGKILL
    (folder,) = runs(root)
    descriptor = os.open(folder / "lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    backend = LocalBackend(root)
    backend.put("objects/b", b"x")
    assert folder not in runs(root)


def test_a_run_ends_with_its_backend(root: Path) -> None:
    backend = LocalBackend(root)
    backend.put("objects/a", b"x")
    del backend
    assert runs(root) == []


def test_a_backend_crosses_to_another_process(root: Path) -> None:
    backend = LocalBackend(root)
    backend.put("objects/a", b"x")
    copy = pickle.loads(pickle.dumps(backend))
    assert copy.get("objects/a") == b"x"
    assert copy.put("objects/b", b"x")
    assert len(runs(root)) == 2


def test_without_syncfs_every_file_and_folder_is_synced(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "_SYNCFS", None)
    synced: list[Path] = []
    fsync = os.fsync

    def record(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("the system has no /proc to tell the name of an open file")
    monkeypatch.setattr(os, "fsync", record)
    LocalBackend(root).put("objects/ab/c", b"x")
    backend = LocalBackend(root)
    assert not backend.put("objects/ab/c", b"x")
    backend.sync()
    expected = {root, root / "objects", root / "objects/ab", root / "objects/ab/c"}
    assert expected <= set(synced)


def test_a_failing_disk_is_a_store_error(root: Path) -> None:
    root.write_bytes(b"a file where the store should be")
    with pytest.raises(StoreError, match="cannot write to `runs/`") as caught:
        LocalBackend(root).put("objects/a", b"x")
    assert str(root) in str(caught.value)


class TestCrashBackend(BackendContract):
    @pytest.fixture
    def backend(self) -> CrashBackend:
        return CrashBackend()
