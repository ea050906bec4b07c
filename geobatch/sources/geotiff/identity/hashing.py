"""Digests of parts of a large file, by processes: threads would wait for Python's lock."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import blake3
import numpy as np
import numpy.typing as npt

from geobatch.model.digest import DIGEST_BYTES
from geobatch.processes import can_start
from geobatch.processors import processor_count
from geobatch.sources.geotiff.identity import hash_worker as program

_APART_FROM = 128 << 20
"""Bytes from which processes are worth starting: each takes 10 ms."""
_MOST = 4
"""Processes per file, this one among them."""
_TAKES = 256
"""In how many parts the work is divided."""
_AT_A_TIME = 1 << 16
_BLAKE3 = str(Path(blake3.__file__).parents[1])
_FOUND = np.dtype([("number", np.uint64), ("digest", np.uint8, (DIGEST_BYTES,))])

Meanwhile = Callable[[], object]
"""Work for this process while others hash."""
Ranges = npt.NDArray[np.uint64]
"""(stretch, 2): first byte and length, sorted."""


def digests_of(descriptor: int, ranges: Ranges, *, meanwhile: Meanwhile = lambda: None) -> bytes:
    """Return the BLAKE3-256 of stretches of a file, one after another.

    While a run begins, some thread holds Python's lock nearly all the time: it imports. Threads
    that hash would wait for it before and after each stretch.

    Args:
        descriptor: The file.
        ranges: The stretches.
        meanwhile: Is called once while other processes hash, before this one helps.

    Raises:
        OSError: The file cannot be read.
        EOFError: It ends before a stretch does.
    """
    is_large = int(ranges[:, 1].sum()) >= _APART_FROM
    # The first three descriptors are others in another process.
    if not is_large or descriptor < 3 or not can_start():
        return _here(descriptor, ranges)
    try:
        found = _together(descriptor, ranges, meanwhile)
    except OSError:  # no space for the queue, or the file failed
        return _here(descriptor, ranges)
    digests = np.zeros((len(ranges), DIGEST_BYTES), dtype=np.uint8)
    digests[found["number"]] = found["digest"]
    is_missing = np.ones(len(ranges), dtype=np.bool_)
    is_missing[found["number"]] = False
    # The parts of a process that failed.
    others = _here(descriptor, ranges[is_missing])
    digests[is_missing] = np.frombuffer(others, dtype=np.uint8).reshape(-1, DIGEST_BYTES)
    return digests.tobytes()


def _here(descriptor: int, ranges: Ranges) -> bytes:
    parts = (ranges[first : first + _AT_A_TIME] for first in range(0, len(ranges), _AT_A_TIME))
    return program.digests_of(descriptor, ((a, b) for part in parts for a, b in part.tolist()))


def _together(descriptor: int, ranges: Ranges, meanwhile: Meanwhile) -> npt.NDArray[np.void]:
    """Return the digests that this process and others compute."""
    count = -(-len(ranges) // _TAKES)
    numbers = np.arange(len(ranges), dtype=np.uint64)[:, None]
    with ExitStack() as stack:
        queue = stack.enter_context(tempfile.TemporaryFile(buffering=0))
        records = np.concatenate([numbers, ranges], axis=1).tobytes()
        if queue.write(records) != len(records):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        queue.seek(0)
        processes = []
        for _ in range(min(processor_count(), _MOST) - 1):
            process = _start(queue, descriptor, count)
            if process is not None:
                processes.append(stack.enter_context(process))
                stack.callback(process.kill)
        meanwhile()
        parts = [program.work_off(queue.fileno(), descriptor, count)]
        parts += map(_finish, processes)
    return np.frombuffer(b"".join(parts), dtype=_FOUND)


def _start(queue: IO[bytes], descriptor: int, count: int) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(  # noqa: S603 - Python's own path, and ours
            [
                sys.executable, "-I", "-S", program.__file__,
                _BLAKE3, str(descriptor), str(count), str(os.getpid()),
            ],
            stdin=queue,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
        )  # fmt: skip
    except OSError:
        return None


def _finish(process: subprocess.Popen[bytes]) -> bytes:
    """Return the digests of a process: none if it failed, or if it is another program."""
    printed, _ = process.communicate()
    found = printed[:-DIGEST_BYTES]
    return found if process.returncode == 0 and printed == program.seal(found) else b""
