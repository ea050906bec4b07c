"""A run's own folder: whoever dies, and whenever, the next run removes what is left of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from geobatch.store.backends.run_folder import AHEAD, Run, run_names

DEATHS = """
import os, sys
from pathlib import Path
from geobatch.store.backends.run_folder import Run

left = 0
EVENTS = {"os.mkdir", "os.remove", "os.rmdir"}

def count(event, arguments):
    global left
    if event in EVENTS or (event == "open" and arguments[2] & os.O_CREAT):
        left -= 1
        if left < 0:
            os._exit(99)

def live(runs):
    run = Run.start(runs)
    for name in ("patches/0", "zarr/0"):
        Path(run.folder, name).mkdir(parents=True)
    for name in ("1-0", "1-1", "zarr/0/zarr.json", "patches/0/1"):
        Path(run.folder, name).touch()
    run.end()

for runs in sorted(Path(sys.argv[1]).iterdir()):
    child = os.fork()
    if child == 0:
        left = int(runs.name)
        sys.addaudithook(count)
        live(runs)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
MOST = 60
"""Operations by which such a run has long ended."""


def deaths(places: Path) -> list[Path]:
    """Let runs die, each before a later operation; return their places."""
    said = subprocess.run([sys.executable, "-c", DEATHS, places], check=True, capture_output=True)
    endings = [int(line) for line in said.stdout.split()]
    died = endings.count(99)
    assert endings == [99] * died + [0] * (MOST - died)
    assert 20 < died < MOST
    return sorted(places.iterdir())[:died]


def assert_next_run_removes_all(runs: Path) -> None:
    mine = Run.start(runs)
    assert [str(entry) for entry in runs.iterdir()] == [mine.folder]
    mine.end()
    assert not list(runs.iterdir())


def test_a_run_that_dies_anywhere_is_removed_by_the_next(tmp_path: Path) -> None:
    for at in range(MOST):
        (tmp_path / f"{at:03}").mkdir()
    died = deaths(tmp_path)
    assert {len(list(runs.iterdir())) for runs in died} == {0, 1}
    for runs in died:
        assert_next_run_removes_all(runs)


def test_a_run_that_dies_while_it_removes_a_dead_one(tmp_path: Path) -> None:
    for at in range(MOST):
        make_dead(tmp_path / f"{at:03}" / "dead", "1-0", "zarr/0/zarr.json")
    died = deaths(tmp_path)
    assert {len(list(runs.iterdir())) for runs in died} == {1, 2}
    for runs in died:
        assert_next_run_removes_all(runs)


def test_a_run_whose_lock_is_lost_is_removed(tmp_path: Path) -> None:
    """As after a loss of power: other files are there, and the lock is not."""
    make_dead(tmp_path / "dead", "1-0", "zarr/0/zarr.json")
    (tmp_path / "dead" / "lock").unlink()
    (tmp_path / "zarr.lock").touch()
    mine = Run.start(tmp_path)
    assert {str(entry) for entry in tmp_path.iterdir()} == {
        mine.folder,
        str(tmp_path / "zarr.lock"),
    }
    mine.end()


def test_what_dead_runs_made_ahead_goes_to_the_next(tmp_path: Path) -> None:
    """The first that has a name keeps it, and a live run keeps what is its own."""
    live = Run.start(tmp_path)
    Path(live.folder, AHEAD, "mine").mkdir(parents=True)
    make_dead(tmp_path / "dead-1", "1-0", "ahead/a/0", "ahead/b/0")
    make_dead(tmp_path / "dead-2", "ahead/b/1", "ahead/c/1", "zarr/0")
    heir = Run.start(tmp_path)
    names = {path.name: path for path in Path(heir.folder).rglob("[abc]")}
    assert set(names) == {"a", "b", "c"}
    assert all(len(list(path.iterdir())) == 1 for path in names.values())
    assert {path.name for path in Path(heir.folder).iterdir()} == {"lock", AHEAD}
    assert run_names(tmp_path) == (tuple(sorted(Path(run.folder).name for run in (live, heir))), ())
    assert Path(live.folder, AHEAD, "mine").is_dir()
    heir.end()
    live.end()
    assert not list(tmp_path.iterdir())


def test_a_run_that_leaves_keeps_only_what_it_made_ahead(tmp_path: Path) -> None:
    run = Run.start(tmp_path)
    for name in (f"{AHEAD}/a/0", "1-0", "zarr/0/zarr.json"):
        file = Path(run.folder, name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    run.leave()
    assert run_names(tmp_path) == ((), (Path(run.folder).name,))
    assert sorted(path.name for path in Path(run.folder).iterdir()) == [AHEAD, "lock"]
    run.end()  # which is too late
    heir = Run.start(tmp_path)
    assert Path(heir.folder, AHEAD, "a", "0").is_file()
    assert [str(entry) for entry in tmp_path.iterdir()] == [heir.folder]
    heir.end()


def test_a_run_that_leaves_nothing_is_removed(tmp_path: Path) -> None:
    run = Run.start(tmp_path)
    Path(run.folder, "1-0").touch()
    run.leave()
    assert not list(tmp_path.iterdir())


def make_dead(folder: Path, *names: str) -> None:
    for name in ("lock", *names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def test_a_live_run_is_left_alone(tmp_path: Path) -> None:
    first = Run.start(tmp_path)
    Path(first.folder, "1-0").touch()
    second = Run.start(tmp_path)
    names = sorted(Path(run.folder).name for run in (first, second))
    assert run_names(tmp_path) == (tuple(names), ())
    second.end()
    assert Path(first.folder, "1-0").exists()
    first.end()
    assert run_names(tmp_path) == ((), ())
