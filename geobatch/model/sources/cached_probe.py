"""The state of a source file as the cache keeps it, and when it may be trusted later."""

from __future__ import annotations

from msgspec import Struct

from geobatch.model.digest import Digest
from geobatch.model.sources.file_stat import FileStat


class CachedProbe(Struct, frozen=True, kw_only=True):
    """The state of a file when it was probed."""

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
        """Whether all that was found is of one state of the file."""
        return self.stat.is_settled(self.time_ns)
