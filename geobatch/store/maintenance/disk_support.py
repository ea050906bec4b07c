"""What the file system of a folder can do, found by trying in a folder that is removed again."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from geobatch.store.backends.reflink import share_blocks

_SECOND_NS = 1_000_000_000


class DiskSupport(Struct, frozen=True, kw_only=True):
    """What the file system of a folder can do."""

    can_write: bool
    """Whether files can be made there."""
    problem: str = ""
    """Why not."""
    has_links: bool = False
    """Whether it has hard links."""
    has_reflinks: bool = False
    """Whether files can share blocks."""
    has_case: bool = True
    """Whether names that differ only by case are two names."""
    has_fine_times: bool = True
    """Whether it records times finer than a second."""
    clock_ahead: float = 0.0
    """Seconds by which its clock is ahead of this computer's."""


def disk_support(folder: Path) -> DiskSupport:
    """Return what the file system of an existing folder can do."""
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=folder) as made:
            return _tried(Path(made))
    except OSError as error:
        return DiskSupport(can_write=False, problem=error.strerror or str(error))


def _tried(folder: Path) -> DiskSupport:
    first = folder / "first"
    first.write_bytes(b"1")
    now = time.time_ns()
    modified = first.stat().st_mtime_ns
    times = [modified]
    for number in range(3):
        other = folder / f"time-{number}"
        other.write_bytes(b"")
        times.append(other.stat().st_mtime_ns)
    return DiskSupport(
        can_write=True,
        has_links=_links(first, folder / "linked"),
        has_reflinks=_shares(first, folder / "shared"),
        has_case=not (folder / "FIRST").exists(),
        has_fine_times=any(one % _SECOND_NS for one in times),
        clock_ahead=(modified - now) / _SECOND_NS,
    )


def _links(first: Path, second: Path) -> bool:
    with contextlib.suppress(OSError):
        second.hardlink_to(first)
        return second.samefile(first)
    return False


def _shares(first: Path, second: Path) -> bool:
    with contextlib.suppress(OSError):
        share_blocks(first, second)
        return True
    return False
