"""Making files durable: one `syncfs` where the system has it, else file by file."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from typing import Any


def _find(name: str, *arguments: Any) -> Any | None:
    try:
        found = getattr(ctypes.CDLL(None, use_errno=True), name)
    except (AttributeError, OSError):
        return None
    found.argtypes = arguments
    return found


_SYNCFS = _find("syncfs", ctypes.c_int)
_SYNC_FILE_RANGE = _find(
    "sync_file_range", ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint
)
_WRITE = 2
"""SYNC_FILE_RANGE_WRITE: begin to write dirty pages, and do not wait."""


def start_writing_out(descriptor: int) -> None:
    """Have the system begin to write a file to disk, so that the sync to come finds less to do.

    A hint: what cannot be begun now is written by the sync.
    """
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(descriptor, 0, 0, _WRITE)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable.

    Raises:
        OSError: The disk failed.
    """
    _fsync(folder)


class Durability:
    """Remembers what was written below a root until it is durable."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._names: set[str] = set()
        self._watching: int | None = None

    def watch(self) -> None:
        """Begin to watch the file system, before anything is written that a sync shall answer for.

        A system reports to a descriptor the failures since it was opened, and those that nobody has
        heard of; so one that is opened for the sync may miss what was lost before.
        """
        if _SYNCFS is not None and self._watching is None:
            self._watching = os.open(self._root, os.O_RDONLY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the file system."""
        watching, self._watching = self._watching, None
        if watching is not None:
            os.close(watching)

    @property
    def is_for_all(self) -> bool:
        """Whether a sync makes durable what other processes wrote, too."""
        return _SYNCFS is not None

    def note(self, name: str) -> None:
        """Remember that a name must be durable after the next `sync`."""
        if _SYNCFS is None:
            with self._lock:
                self._names.add(name)

    def sync(self) -> None:
        """Return when every noted name is durable.

        One `syncfs` costs about as much as the data that is still to be written; an fsync per file
        costs a journal commit each.

        Raises:
            OSError: The disk failed.
        """
        if not self._root.exists():
            return
        if _SYNCFS is not None:
            self.watch()
            if _SYNCFS(self._watching) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            return
        with self._lock:
            names = set(self._names)
        files = [self._root / name for name in names]
        folders = {folder for file in files for folder in file.parents}
        for path in (*files, *(f for f in folders if f.is_relative_to(self._root))):
            _fsync(path)
        with self._lock:
            self._names -= names


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
