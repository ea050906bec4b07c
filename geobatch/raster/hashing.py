"""Digests of a large file's stretches, by processes: Python's lock would hold threads up."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import blake3
import numpy as np
import numpy.typing as npt

from geobatch.model.digest import DIGEST_BYTES
from geobatch.raster import stretches as program

_APART_FROM = 128 << 20
"""Bytes from which it pays to start processes: each takes 10 ms."""
_MOST = 4
"""Processes per file."""
_AT_A_TIME = 1 << 16
_BLAKE3 = str(Path(blake3.__file__).parents[1])

Meanwhile = Callable[[], object]
"""What can be done by this process while others hash."""
_Process: TypeAlias = "subprocess.Popen[bytes] | None"
Places = npt.NDArray[np.uint64]
"""(stretch, 2): first byte and length, sorted."""


def digests_of(descriptor: int, places: Places, *, meanwhile: Meanwhile = lambda: None) -> bytes:
    """Return the BLAKE3-256 of stretches of a file, one after another.

    While a run begins, some thread holds Python's lock nearly all the time: it imports. Threads
    that hash would wait for it before and after each stretch.

    Args:
        descriptor: The file.
        places: The stretches.
        meanwhile: Is called once where other processes hash.

    Raises:
        OSError: The file cannot be read.
        EOFError: It ends before a stretch does.
    """
    size = int(places[:, 1].sum())
    if size < _APART_FROM or getattr(sys, "frozen", False) or not sys.executable:
        return _here(descriptor, places)
    # One processor is left to what is done meanwhile.
    count = min(max((os.cpu_count() or 1) - 1, 1), _MOST)
    ends = np.searchsorted(np.cumsum(places[:, 1]), size * np.arange(1, count) // count) + 1
    shares = [share for share in np.split(places, ends) if len(share)]
    processes: list[_Process] = []
    try:
        processes += (_start(descriptor, share) for share in shares)
        meanwhile()
        return b"".join(
            _finish(process, len(share)) or _here(descriptor, share)
            for process, share in zip(processes, shares, strict=True)
        )
    finally:
        for process in filter(None, processes):
            with process:  # closes its pipe, and waits for its end
                process.kill()


def _here(descriptor: int, places: Places) -> bytes:
    parts = (places[first : first + _AT_A_TIME] for first in range(0, len(places), _AT_A_TIME))
    return program.digests_of(descriptor, ((a, b) for part in parts for a, b in part.tolist()))


def _start(descriptor: int, places: Places) -> _Process:
    try:
        with tempfile.TemporaryFile() as named:
            named.write(places.tobytes())
            named.seek(0)
            return subprocess.Popen(  # noqa: S603 - Python's own path, and ours
                [sys.executable, "-I", "-S", program.__file__, _BLAKE3, str(descriptor)],
                stdin=named,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=[descriptor],
            )
    except OSError:
        return None


def _finish(process: _Process, count: int) -> bytes | None:
    """Return the digests that a process found; None where it failed, whatever the reason."""
    if process is None:
        return None
    found, _ = process.communicate()
    return found if process.returncode == 0 and len(found) == count * DIGEST_BYTES else None
