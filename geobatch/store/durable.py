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
            descriptor = os.open(self._root, os.O_RDONLY)
            try:
                if _SYNCFS(descriptor) != 0:
                    number = ctypes.get_errno()
                    raise OSError(number, os.strerror(number))
            finally:
                os.close(descriptor)
            return
        with self._lock:
            names, self._names = self._names, set()
        files = [self._root / name for name in names]
        folders = {folder for file in files for folder in file.parents}
        for path in (*files, *(f for f in folders if f.is_relative_to(self._root))):
            _fsync(path)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
