"""Source files as the file system sees them: regular, digested, watched for change."""

from __future__ import annotations

import os
import stat as modes
from io import FileIO
from pathlib import Path

from blake3 import blake3

from geobatch.errors import SourceError
from geobatch.model.digest import Digest
from geobatch.model.look import FileStat, file_stat

_CHUNK = 8 << 20
_PARALLEL_FROM = 64 << 20
_KINDS = (
    (modes.S_ISDIR, "a directory"),
    (modes.S_ISFIFO, "a named pipe"),
    (modes.S_ISSOCK, "a socket"),
    (modes.S_ISCHR, "a device"),
    (modes.S_ISBLK, "a device"),
)


def regular_file(path: Path, uri: str, *, may_be_empty: bool = False) -> Path:
    """Return the absolute real path of a regular file that is not empty, unless it may be.

    Raises:
        SourceError: There is no such file, it cannot be reached, or it is something else.
    """
    if "://" in uri or str(path).startswith("/vsi"):
        raise SourceError(
            f"`{uri}`: not a local file", hint="copy the raster to a local disk and name that file"
        )
    try:
        real = path.resolve(strict=True)
        found = real.stat()
    except FileNotFoundError:
        raise SourceError(f"`{uri}`: no such file", hint="check the uri in the spec") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise SourceError(f"`{uri}`: cannot be reached: {explain(error)}") from error
    if not modes.S_ISREG(found.st_mode):
        kind = next((name for test, name in _KINDS if test(found.st_mode)), "something else")
        raise SourceError(f"`{uri}`: expected a regular file, got {kind}")
    if found.st_size == 0 and not may_be_empty:
        raise SourceError(f"`{uri}`: the file is empty")
    return real


def stat(path: Path, uri: str) -> FileStat:
    """Return what the file system says of a source; nothing is read.

    Raises:
        SourceError: There is no such regular file.
    """
    real = regular_file(path, uri)
    try:
        return file_stat(real.stat())
    except OSError as error:
        raise SourceError(f"`{uri}`: cannot be reached: {explain(error)}") from error


def digest_file(file: FileIO, size: int) -> Digest:
    """Return the digest of all bytes of a file."""
    hasher = blake3(max_threads=blake3.AUTO if size >= _PARALLEL_FROM else 1)
    buffer = memoryview(bytearray(min(_CHUNK, size + 1)))
    file.seek(0)
    while count := file.readinto(buffer):
        hasher.update(buffer[:count])
    return hasher.hexdigest()


def check_unchanged(path: str, uri: str, expected: FileStat) -> None:
    """Raise unless a file still has the stat that it had when it was identified.

    Raises:
        SourceError: The file is gone, or its stat differs.
    """
    try:
        found = file_stat(os.stat(path))  # noqa: PTH116  (called per read: half the cost of Path)
    except (OSError, ValueError) as error:
        raise SourceError(f"`{uri}`: cannot be reached: {explain(error)}") from error
    if found != expected:
        raise changed(uri)


def changed(uri: str) -> SourceError:
    """Return the error for a file that changed under the reader."""
    return SourceError(
        f"`{uri}`: changed while it was being read",
        hint="run again when nothing writes to the file",
    )


def explain(error: Exception) -> str:
    """Return what the system says of a failure."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
