"""The stat of a file, and from when on an equal one means an unchanged file."""

from __future__ import annotations

import os

from msgspec import Struct

MARGIN_NS = 20_000_000
"""How coarse a clock that stamps files may be: the kernel's ticks are 10 ms at most."""
COARSE_MARGIN_NS = 2_000_000_000
"""The same on file systems with times in whole or even seconds."""
_SECOND_NS = 1_000_000_000


class FileStat(Struct, frozen=True, kw_only=True):
    """The stat of a file; equal means unchanged, as far as stat can show."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def is_settled(self, time_ns: int) -> bool:
        """Return whether any change of the file after a time gives it another stat.

        A file that was changed shortly before could be changed again within the same tick of the
        clock and keep its stat (git calls such an index entry racy).
        """
        is_coarse = self.ctime_ns % _SECOND_NS == 0
        return self.ctime_ns + (COARSE_MARGIN_NS if is_coarse else MARGIN_NS) < time_ns


def file_stat(found: os.stat_result) -> FileStat:
    """Return the part of a stat that shows whether a file changed."""
    return FileStat(
        device=found.st_dev,
        inode=found.st_ino,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
    )
