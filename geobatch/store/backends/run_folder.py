"""A live run's own folder, which the kernel's lock tells from a dead one's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
import weakref
from pathlib import Path

from geobatch.errors import StoreError
from geobatch.store.backends.shared_disk import check_disk, lock_error

AHEAD = "ahead"
"""Folder of a run with what it has made of whole assets, which the run after a killed one takes."""
_LOCK = "lock"


class Run:
    """`runs/<id>/`, whose file `lock` is held by `flock` as long as the process lives.

    The kernel drops the lock when the process ends, however it ends, so no lock can be stale:
    a folder whose lock is free belongs to no process. Processes that inherit its descriptor
    hold it as well.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = str(folder)
        self.lock = lock
        self._end = weakref.finalize(self, _end, folder, lock, os.getpid())

    @classmethod
    def start(cls, runs: Path) -> Run:
        """Make a folder for this run, with what dead runs made ahead; what else they left goes.

        Raises:
            OSError: The disk refused.
            StoreError: Locks or hard links do not hold there.
        """
        runs.mkdir(parents=True, exist_ok=True)
        while True:
            folder = runs / uuid.uuid4().hex
            folder.mkdir()
            # Another process that starts just now may take the folder for a dead one until the
            # lock is held: then it is gone, and the next one may live.
            with contextlib.suppress(FileNotFoundError):
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX)
                    if (folder / _LOCK).exists():
                        check_disk(folder, folder / _LOCK)
                except (OSError, StoreError) as error:
                    os.close(lock)
                    shutil.rmtree(folder, ignore_errors=True)
                    if isinstance(error, FileNotFoundError | StoreError):
                        raise
                    raise lock_error(folder, error) from error
                if (folder / _LOCK).exists():
                    remove_dead_runs(runs, heir=folder)
                    return cls(folder, lock)
                os.close(lock)

    def end(self) -> None:
        """Remove the folder and let go of the lock."""
        self._end()

    def leave(self) -> None:
        """Let go of the lock, and leave to the next run what this one has made ahead."""
        if self._end.detach() is not None:
            _remove(Path(self.folder), spared=AHEAD)
            os.close(self.lock)


def remove_dead_runs(runs: Path, *, heir: Path | None = None) -> None:
    """Remove the folders of dead runs.

    Args:
        runs: Where they are.
        heir: Folder of a live run that what they made ahead is moved to.

    Raises:
        OSError: The folder cannot be read.
    """
    try:
        entries = list(runs.iterdir())
    except FileNotFoundError:
        return
    for entry in entries:
        _remove_if_dead(entry, heir)


def run_names(runs: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the live runs and of the dead ones, sorted; nothing is changed.

    Raises:
        OSError: The folder cannot be read.
    """
    names: tuple[list[str], list[str]] = ([], [])
    try:
        folders = sorted(entry for entry in runs.iterdir() if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        folders = []
    for folder in folders:
        names[not _is_live(folder)].append(folder.name)
    return tuple(names[0]), tuple(names[1])


def _is_live(folder: Path) -> bool:
    try:
        lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        # Shared, so that two processes that check do not take each other for the run.
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(lock)


def _remove_if_dead(folder: Path, heir: Path | None) -> None:
    lock: int | None
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        lock = _lock_of_lost(folder)
    except OSError:
        return
    if lock is None:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return
    else:
        if heir is not None:
            _move_each(folder / AHEAD, heir / AHEAD)
        _remove(folder)
    finally:
        os.close(lock)


def _lock_of_lost(folder: Path) -> int | None:
    """Return the lock of a folder that has none; None if the folder is gone.

    A loss of power may take the lock and leave other files. A process that starts just now waits
    for the lock, and makes another folder if it is removed.
    """
    with contextlib.suppress(OSError):
        folder.rmdir()
        return None
    with contextlib.suppress(OSError):
        return os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    return None


def _move_each(source: Path, target: Path) -> None:
    """Move what is in a folder to another, unless something is there already."""
    with contextlib.suppress(OSError):
        if not source.is_dir():
            return
        target.mkdir(exist_ok=True)
        for name in os.listdir(source):  # noqa: PTH208
            if not os.path.lexists(target / name):
                os.rename(source / name, target / name)  # noqa: PTH104


def _remove(folder: Path, *, spared: str = "") -> None:
    """Remove the folder of a run, its lock last: a kill midway leaves the folder of a dead run.

    Without its lock, no process could remove a folder with files in it.
    """
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry.name == spared:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _LOCK:
                entry.unlink(missing_ok=True)
        if [entry.name for entry in folder.iterdir()] == [_LOCK]:
            (folder / _LOCK).unlink()
            folder.rmdir()


def _end(folder: Path, lock: int, process: int) -> None:
    if process != os.getpid():  # a fork's copy: the run is its parent's
        return
    _remove(folder)
    os.close(lock)
