"""A lock on a file, which the kernel drops with the process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from geobatch.errors import LockedError

WAIT_SECONDS = 600.0
"""How long to wait for the lock: a process that was stopped (Ctrl-Z) may never let go of it."""
_LONGEST_STEP = 0.1


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the `flock` of a file, waiting for it; the file is made where there is none.

    Raises:
        LockedError: Another process holds it for too long.
        OSError: The disk refused.
    """
    descriptor = _lock(path)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> int:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _wait_for(path, descriptor)
            is_held = _is_at(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if is_held:
            return descriptor
        # A lock on a file that no longer exists protects nothing.
        os.close(descriptor)


def _wait_for(path: Path, descriptor: int) -> None:
    until, step = time.monotonic() + WAIT_SECONDS, 0.001
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise LockedError(
                    f"another process has held `{path}` for more than {WAIT_SECONDS:.0f} s",
                    hint="wait until it has ended; if it was stopped (Ctrl-Z), continue or end it",
                ) from None
            time.sleep(step)
            step = min(2 * step, _LONGEST_STEP)
        else:
            return


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
