"""Source files as the file system sees them: regular, digested, watched for change."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import signal
import stat as modes
import sys
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any

from blake3 import blake3

from geobatch.model.digest import Digest
from geobatch.model.sources.file_stat import FileStat, file_stat
from geobatch.sources.naming import UnnamedError

_CHUNK = 8 << 20
_PARALLEL_FROM = 64 << 20
_KINDS = (
    (modes.S_ISDIR, "a directory"),
    (modes.S_ISFIFO, "a named pipe"),
    (modes.S_ISSOCK, "a socket"),
    (modes.S_ISCHR, "a device"),
    (modes.S_ISBLK, "a device"),
)
_TOLD_OF_WRITERS = frozenset((0xEF53, 0x58465342, 0x9123683E, 0xF2F52010))
"""ext4, XFS, Btrfs and F2FS, from Linux's magic.h. Not tmpfs: writes to mapped pages of it leave
no time; nor overlays and network disks."""
_REMOTE = re.compile("[A-Za-z][A-Za-z0-9+.-]+:/")  # pathlib has made one slash of two


def regular_file(path: Path, *, may_be_empty: bool = False) -> Path:
    """Return the absolute real path of a regular file that is not empty, unless it may be.

    Raises:
        UnnamedError: There is no such file, it cannot be reached, or it is something else.
    """
    # The path decides: a uri may have a local mirror.
    if _REMOTE.match(str(path)) or str(path).startswith("/vsi"):
        raise UnnamedError(
            "not a local file", hint="copy the raster to a local disk and name that file"
        )
    try:
        real = os.path.realpath(path, strict=True)
        found = os.stat(real)  # noqa: PTH116 - half the cost of `Path.resolve` and its `stat`
    except FileNotFoundError:
        raise UnnamedError("no such file", hint="check the uri in the spec") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise UnnamedError(f"cannot be reached: {explain(error)}") from error
    if not modes.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "something else")
        raise UnnamedError(f"expected a regular file, got {kind}")
    if found.st_size == 0 and not may_be_empty:
        raise UnnamedError("the file is empty")
    return Path(real)


def stat(path: Path) -> FileStat:
    """Return the state of a source file from the file system; nothing is read.

    Raises:
        UnnamedError: There is no such regular file.
    """
    real = regular_file(path)
    try:
        return file_stat(real.stat())
    except OSError as error:
        raise UnnamedError(f"cannot be reached: {explain(error)}") from error


def is_written(descriptor: int) -> bool:
    """Return whether some process may have a file open for writing, as far as can be told.

    Where it has not, any later change of the file changes its stat: a writer must open it
    first. Where it has, pages of it may be mapped, and change without a trace. Linux grants a lease
    for reading when nobody has the file open for writing, a mapping included, and to its owner; it
    is given back at once. Of file systems that may not know of every writer, or keep no times of
    mapped pages, it is not asked.

    Source: fcntl(2), F_SETLEASE; mmap(2) on st_mtime.
    """
    if sys.platform != "linux" or _file_system(descriptor) not in _TOLD_OF_WRITERS:
        return True
    try:
        # A process that opens the file now sends a signal here. This one is ignored by default.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError:
        return True
    return False


def _file_system(descriptor: int) -> int:
    """Return the kind of file system that a file is on, by its magic number; 0 if unknown."""
    room = ctypes.create_string_buffer(512)
    fstatfs = _fstatfs()
    if fstatfs is None or fstatfs(descriptor, room):
        return 0
    return ctypes.c_ulong.from_buffer(room).value & 0xFFFFFFFF


@cache
def _fstatfs() -> Any:
    """Return the function of the system; None where there is none."""
    return getattr(ctypes.CDLL(None), "fstatfs", None)


def digest_file(file: FileIO, size: int) -> Digest:
    """Return the digest of all bytes of a file."""
    hasher = blake3(max_threads=blake3.AUTO if size >= _PARALLEL_FROM else 1)
    buffer = memoryview(bytearray(min(_CHUNK, size + 1)))
    file.seek(0)
    while count := file.readinto(buffer):
        hasher.update(buffer[:count])
    return hasher.hexdigest()


def identify_file(path: Path, *, may_be_empty: bool = False) -> tuple[Digest, FileStat]:
    """Return the digest of all bytes of a file, and its stat, which was the same before and after.

    Raises:
        UnnamedError: The file is missing, unreadable, or changed meanwhile.
    """
    real = regular_file(path, may_be_empty=may_be_empty)
    try:
        with real.open("rb", buffering=0) as file:
            before = file_stat(os.fstat(file.fileno()))
            digest = digest_file(file, before.size)
            after = file_stat(os.fstat(file.fileno()))
        named = file_stat(real.stat())
    except OSError as error:
        raise UnnamedError(f"cannot be read: {explain(error)}") from error
    if not before == after == named:
        raise changed()
    return digest, before


def check_unchanged(path: str, expected: FileStat) -> None:
    """Raise unless a file still has the stat that it had when it was identified.

    Raises:
        UnnamedError: The file is gone, or its stat differs.
    """
    try:
        found = file_stat(os.stat(path))  # noqa: PTH116  (called per read: half the cost of Path)
    except (OSError, ValueError) as error:
        raise UnnamedError(f"cannot be reached: {explain(error)}") from error
    if found != expected:
        raise changed()


def changed() -> UnnamedError:
    """Return the error for a file that changed under the reader."""
    return UnnamedError(
        "changed while it was being read",
        hint="run again when nothing writes to the file",
    )


def explain(error: Exception) -> str:
    """Return the system's text for a failure."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
