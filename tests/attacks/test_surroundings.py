"""Poor surroundings: few file handles, little memory, a strict umask, no home, clocks that jump.

Also a store that was copied or moved, and a cache that is locked or torn. Each command succeeds, or
says what is wrong; nothing is lost, and it succeeds when the surroundings are well again.
"""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cases import APPLY, CHECKOUT, GC, ROLLBACK, Case, seen
from jobs import HUNG, Jobs, Surroundings
from rasterio.crs import CRS
from shell import geobatch

from geobatch.errors import SourceError
from geobatch.sources.projections.crs import check_database
from geobatch.store.backends import file_lock
from geobatch.store.tilestore import TileStore

DAY = 86400
YEAR = 365 * DAY


@pytest.mark.parametrize("handles", [10, 14, 20, 32])
def test_few_file_handles(case: Case, jobs: Jobs, handles: int) -> None:
    ended = case.run(jobs, surroundings=Surroundings(limits={resource.RLIMIT_NOFILE: handles}))
    case.assert_told(ended)
    assert ended.code == 0 or handles < 32, ended.err
    if ended.code == 0:
        case.assert_shows_after()
    case.assert_completes(jobs)


@pytest.mark.parametrize("size", [1 << 12, 1 << 14])
def test_a_limit_of_the_size_of_files(case: Case, jobs: Jobs, size: int) -> None:
    ended = case.run(jobs, surroundings=Surroundings(limits={resource.RLIMIT_FSIZE: size}))
    case.assert_told(ended)
    case.assert_completes(jobs)


@pytest.mark.attack
@pytest.mark.parametrize("more", [0, 1 << 20, 8 << 20, 32 << 20, 64 << 20, 128 << 20])
def test_a_small_address_space(case: Case, jobs: Jobs, more: int) -> None:
    """As much as the process has when it starts, and a little more.

    A library that cannot get memory may end the process, or never start a thread; but what is
    published is right: without its database, PROJ takes each CRS for one that has no code.
    """
    ended = case.run(jobs, surroundings=Surroundings(memory=more))
    if ended.code not in {-signal.SIGABRT, -signal.SIGSEGV, HUNG}:
        case.assert_told(ended)
    case.assert_completes(jobs)


def test_a_umask_that_hides_all(case: Case, jobs: Jobs) -> None:
    """Nobody else may read; the owner's next command can."""
    ended = case.run(jobs, surroundings=Surroundings(umask=0o077))
    assert ended.code == 0, ended.err
    case.assert_shows_after()
    for path in case.store.rglob("*"):
        needed = stat.S_IRUSR | (stat.S_IWUSR | stat.S_IXUSR if path.is_dir() else 0)
        assert path.stat().st_mode & needed == needed, path
    case.assert_completes(jobs)


def test_no_home_and_no_temporary_folder(case: Case, jobs: Jobs) -> None:
    nowhere = str(case.folder / "nowhere")
    names = {"HOME": "", "USER": "", "LOGNAME": "", "XDG_CACHE_HOME": "", "TMPDIR": nowhere}
    ended = case.run(jobs, surroundings=Surroundings(environment=names))
    assert ended.code == 0, ended.err
    case.assert_shows_after()
    case.assert_completes(jobs)


@pytest.mark.parametrize("ahead", [-50 * YEAR, -YEAR, -DAY, DAY, YEAR, 10 * YEAR])
def test_a_clock_that_jumps(case: Case, jobs: Jobs, ahead: int) -> None:
    """Only `gc` goes by the clock, and it stops."""
    ended = case.run(jobs, surroundings=Surroundings(clock=ahead))
    case.assert_told(ended)
    if GC in case.argv and (ahead < 0 or ahead > YEAR):
        assert ended.code == 5, ended.err
        assert "clock" in ended.err
    else:
        assert ended.code == 0, ended.err
        case.assert_shows_after()
    if GC in case.argv and ended.code == 0:
        return  # it left documents that are from the future
    case.assert_completes(jobs)


@pytest.mark.parametrize("ahead", [-YEAR, YEAR])
def test_a_clock_that_is_right_again(cases: dict[str, Case], jobs: Jobs, ahead: int) -> None:
    """A commit from the future stops `gc`, which says so, and nothing else."""
    case = cases[ROLLBACK]
    case.put_back()
    assert case.run(jobs, surroundings=Surroundings(clock=ahead)).code == 0
    gc = jobs.run(cases[GC].argv)
    assert gc.code == (5 if ahead > 0 else 0), gc.err
    assert ahead < 0 or "clock" in gc.err
    done = jobs.run([*cases[APPLY].argv])
    assert done.code == 0, done.err
    assert seen(case.store).tree == cases[APPLY].after.tree


@pytest.mark.parametrize("how", ["copied", "copied with links", "moved", "moved on"])
def test_a_store_elsewhere(case: Case, jobs: Jobs, how: str) -> None:
    """Copied without its links or times, or moved: the command does the same there."""
    before = case.store.rename(case.folder / "elsewhere")
    try:
        if how == "copied":
            shutil.copytree(before, case.store, copy_function=shutil.copyfile)
        elif how == "copied with links":
            shutil.copytree(before, case.store, copy_function=os.link)
        else:
            before.rename(case.store)
        if how == "moved on":  # the cache knows another folder
            shutil.move(case.store, before)
            shutil.move(before, case.store)
        ended = case.run(jobs)
        assert ended.code == 0, ended.err
        case.assert_shows_after()
    finally:
        shutil.rmtree(before, ignore_errors=True)
    case.assert_completes(jobs)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path)) as held:
        held.execute("BEGIN EXCLUSIVE")
        yield


@pytest.mark.parametrize("how", ["locked", "empty", "cut", "zeroed", "a folder", "unreadable"])
def test_a_cache_that_cannot_be_used(case: Case, jobs: Jobs, how: str) -> None:
    files = [path for path in (case.store / "cache").rglob("*") if path.is_file()]
    assert files
    (database,) = [path for path in files if path.suffix == ".sqlite"]
    if how == "locked":
        with _locked(database):
            ended = case.run(jobs)
        assert ended.seconds < 30
    else:
        for path in files:
            data = path.read_bytes()
            match how:
                case "empty":
                    path.write_bytes(b"")
                case "cut":
                    path.write_bytes(data[: len(data) // 2])
                case "zeroed":
                    path.write_bytes(bytes(len(data)))
                case "a folder":
                    path.unlink()
                    path.mkdir()
                case _:
                    path.chmod(0)
        ended = case.run(jobs)
    case.assert_told(ended)
    assert ended.code == 0, ended.err
    case.assert_shows_after()
    case.assert_completes(jobs)


def test_nobody_waits_for_ever_for_the_views(
    cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process was stopped while it updated them: the error says so."""
    monkeypatch.setattr(file_lock, "WAIT_SECONDS", 0.2)
    case = cases[APPLY]
    case.put_back()
    with (case.store / "runs" / "zarr.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = geobatch(*case.argv)
    assert done.code in {1, 11}
    assert "another process has held" in done.err
    assert "nothing was published" in done.err
    case.assert_whole()
    assert geobatch(*case.argv).code == 0
    case.assert_shows_after()


def test_a_checkout_under_a_umask_can_be_read(cases: dict[str, Case], jobs: Jobs) -> None:
    case = cases[CHECKOUT]
    case.put_back()
    assert case.run(jobs, surroundings=Surroundings(umask=0o077)).code == 0
    with closing(TileStore.open(case.store)):
        assert all(path.read_bytes() for path in (case.folder / "out").rglob("*") if path.is_file())


def test_a_database_that_cannot_be_read_is_an_error() -> None:
    """Not a CRS without a code, which would have another content root."""

    def from_epsg(code: int) -> object:
        raise ValueError(f"SQLite error [ out of memory ] for {code}")

    with pytest.raises(SourceError, match=r"PROJ cannot read its database.*out of memory"):
        check_database(from_epsg)
    check_database(CRS.from_epsg)
