"""Bytes of local files, read in few calls."""

from __future__ import annotations

import os
from io import FileIO

_SMALL = 1 << 16
"""Bytes that are asked for before the length of a file is: most documents and pages are smaller."""


def read_whole(path: str) -> bytes:
    """Return the bytes of a file.

    It takes two thirds of the time that `open` and `read` take, which counts where a plan checks
    the documents of very many assets: `files` in benchmarks/increments.md.
    """
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.read(number, _SMALL)
        if len(data) < _SMALL and not os.read(number, 1):
            return data
        os.lseek(number, 0, os.SEEK_SET)
        with FileIO(number, closefd=False) as file:
            return file.readall()
    finally:
        os.close(number)


def read_cached(path: str) -> bytearray | None:
    """Return the bytes of a file if the system has all of them in memory, and does not wait.

    None also where the system cannot tell, as on macOS.

    Raises:
        OSError: The file cannot be opened, or its file system has no such reads (EOPNOTSUPP).
    """
    flag = getattr(os, "RWF_NOWAIT", None)
    if flag is None:
        return None
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = bytearray(os.fstat(number).st_size)
        return data if os.preadv(number, [data], 0, flag) == len(data) else None
    except BlockingIOError:  # none of them
        return None
    finally:
        os.close(number)


def read_range(file: FileIO, start: int, length: int | None) -> bytes:
    """Return the bytes of a range; of a file that is as long, all of them."""
    end = os.fstat(file.fileno()).st_size
    left = max(0, end - start if length is None else min(length, end - start))
    parts: list[bytes] = []
    while left:
        part = os.pread(file.fileno(), left, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
        left -= len(part)
    return b"".join(parts)
