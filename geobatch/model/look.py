"""One look at a source file, to be remembered, and when it may be believed later."""

from __future__ import annotations

import os

from msgspec import Struct

from geobatch.model.digest import Digest

MARGIN_NS = 20_000_000
"""How coarse a clock that stamps files may be: the kernel's ticks are 10 ms at most."""
COARSE_MARGIN_NS = 2_000_000_000
"""The same where times have whole seconds only, or even ones."""
_SECOND_NS = 1_000_000_000


class FileStat(Struct, frozen=True, kw_only=True):
    """What the file system says of a file; equal means unchanged, as far as stat can tell."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Look(Struct, frozen=True, kw_only=True):
    """What was found when a file was looked at."""

    stat: FileStat
    """The file as it was before and after."""
    time_ns: int
    """When the look began, in nanoseconds since 1970."""
    digest: Digest
    """Identity of the source."""
    header: str
    """What it says of itself, as text: see `geobatch.model.header.header_to_text`."""
    crs: str
    """Its CRS as JSON; empty without."""
    is_linked: bool
    """Whether links lead to the file, so that its real path must be asked for again."""
    maker: str
    """Versions of what read the header; another version may read it otherwise."""
    tags: Digest | None = None
    """Hash of all that the header was read from; None where that is not known."""

    is_still: bool = False
    """Whether nobody had the file open for writing when the look began."""

    def is_trusted(self, stat: FileStat) -> bool:
        """Return whether a file with this stat is still the one that was looked at."""
        return stat == self.stat and self.is_settled

    @property
    def is_proven(self) -> bool:
        """Whether the bytes that were digested are there as long as the stat stays the same."""
        return self.is_still and self.is_settled

    @property
    def is_settled(self) -> bool:
        """Whether all that was found is of one state of the file.

        A file that was changed shortly before the look could be changed again within the same
        tick of the clock and keep its stat (git calls such an index entry racy).
        """
        ctime_ns = self.stat.ctime_ns
        is_coarse = ctime_ns % _SECOND_NS == 0
        return ctime_ns + (COARSE_MARGIN_NS if is_coarse else MARGIN_NS) < self.time_ns


def file_stat(found: os.stat_result) -> FileStat:
    """Return the part of a stat that tells whether a file changed."""
    return FileStat(
        device=found.st_dev,
        inode=found.st_ino,
        size=found.st_size,
        mtime_ns=found.st_mtime_ns,
        ctime_ns=found.st_ctime_ns,
    )
