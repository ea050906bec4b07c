"""The cached state of a source file, and when it may be trusted later."""

from __future__ import annotations

import os

from msgspec import Struct

from geobatch.model.digest import Digest

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


class Look(Struct, frozen=True, kw_only=True):
    """The state of a file when it was read."""

    stat: FileStat
    """The file as it was before and after."""
    time_ns: int
    """When reading began, in nanoseconds since 1970."""
    digest: Digest
    """Identity of the source."""
    header: str
    """Its header as text: see `geobatch.model.sources.header.header_to_text`."""
    crs: str
    """Its CRS as JSON; empty without."""
    is_linked: bool
    """Whether links lead to the file, so that its real path must be resolved again."""
    maker: str
    """Versions of what read the header; another version may read it differently."""
    tags: Digest | None = None
    """Hash of all that the header was read from; None if that is not known."""

    is_still: bool = False
    """Whether no process had the file open for writing when reading began."""

    def is_trusted(self, stat: FileStat) -> bool:
        """Return whether a file with this stat is still the one that was read."""
        return stat == self.stat and self.is_settled

    @property
    def is_proven(self) -> bool:
        """Whether an equal stat proves that the bytes are those that were digested."""
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
