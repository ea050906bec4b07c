"""A cluster that is lost in the middle of `fsck` and `gc`: a clear error, nothing lost, a rerun."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import runs_of, write_history
from shell import Done, environment, geobatch

from geobatch.store.maintenance.fsck.contents import EVERYTHING
from geobatch.workflow.maintenance.fsck import fsck

SLOW = """
import time
from pathlib import Path
from geobatch.execute.upkeep import running

run, began = running.run_upkeep, Path({began!r})

def slowly(task, *arguments, **more):
    (began / (type(task).__name__ + "-" + str(time.monotonic_ns()))).touch()
    time.sleep(0.1)
    return run(task, *arguments, **more)

running.run_upkeep = slowly
"""
"""What workers load: each task takes longer, and leaves a mark when it begins."""
FSCK = ("fsck", "--read-data")
GC = ("gc", "--apply", "--keep-last", "1", "--keep-within", "0d", "--grace", "0d", "--now")
MOMENTS = [
    pytest.param(FSCK, "ReadTask", id="fsck"),
    pytest.param(GC, "SweepTask", id="gc lists"),
    pytest.param(GC, "DeleteTask", id="gc deletes"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("lost"))


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(built, tmp_path / "store")
    return tmp_path / "store"


class Machines:
    """A scheduler and workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.began = folder / "began"
        self.began.mkdir()
        (folder / "slow.py").write_text(SLOW.format(began=str(self.began)))
        self._file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show",
            "--scheduler-file", self._file,
        )  # fmt: skip
        until, text = time.monotonic() + 60, ""
        while '"' not in text.partition("tcp://")[2] and time.monotonic() < until:
            time.sleep(0.05)
            text = self._file.read_text() if self._file.exists() else ""
        self.address = "dask://" + text[text.index("tcp://") :].partition('"')[0]
        self.workers: list[subprocess.Popen[bytes]] = []

    def add_worker(self) -> None:
        self.workers.append(
            self._start(
                "worker",
                "--scheduler-file",
                self._file,
                "--nthreads",
                "1",
                "--no-nanny",
                "--no-dashboard",
                "--death-timeout",
                "20",
                "--local-directory",
                self._folder,
                "--preload",
                self._folder / "slow.py",
            )
        )

    def wait_for(self, task: str, *, count: int = 3) -> None:
        """Return when some tasks of a kind have begun."""
        until = time.monotonic() + 60
        while len(list(self.began.glob(f"{task}-*"))) < count and time.monotonic() < until:
            time.sleep(0.02)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()

    def _start(self, *words: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *map(str, words)],
            env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    (tmp_path / "dask").mkdir()
    made = Machines(tmp_path / "dask")
    try:
        for _ in range(2):
            made.add_worker()
        yield made
    finally:
        made.close()


@contextmanager
def meanwhile(act: Any) -> Iterator[None]:
    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def run(store: Path, command: Sequence[str], *more: str) -> Done:
    return geobatch("--store", store, *command, *more)


def names(store: Path) -> set[str]:
    return {path.relative_to(store).as_posix() for path in store.glob("objects/*/*")}


def check_rerun(store: Path, folder: Path, command: Sequence[str]) -> None:
    """Nothing that is kept was lost, and the same command does the rest."""
    assert fsck(store, subset=EVERYTHING).is_whole
    shutil.copytree(store, folder / "expected")
    assert run(folder / "expected", command).code == 0
    assert run(store, command).code == 0
    assert names(store) == names(folder / "expected")
    assert fsck(store, subset=EVERYTHING).is_whole
    assert runs_of(store) == []


@pytest.mark.parametrize(("command", "task"), MOMENTS)
def test_the_scheduler_is_killed(
    store: Path, tmp_path: Path, machines: Machines, command: Sequence[str], task: str
) -> None:
    before = names(store)

    def kill() -> None:
        machines.wait_for(task)
        machines.scheduler.send_signal(signal.SIGKILL)

    with meanwhile(kill):
        done = run(store, command, "--executor", machines.address)
    assert done.code == 1, done.out + done.err
    assert "does not answer any more" in done.err
    assert "run the same command again" in done.err
    assert "Traceback" not in done.err
    if task != "DeleteTask":
        assert names(store) == before
    check_rerun(store, tmp_path, command)
