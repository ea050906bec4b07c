"""Objects on servers as files that GDAL can read."""

from __future__ import annotations

from geobatch.errors import SourceError
from geobatch.raster.file_like import FileLike
from geobatch.raster.remote import RemoteObject

GAP_BYTES = 1 << 20
"""How far behind what is known of a header more of it may be."""
START_BYTES = 16 << 10
"""What is read of an object to see what it is; most headers are shorter."""


class RangeFile(FileLike):
    """A remote object as a file: what is asked for is fetched, and not a byte more."""

    def __init__(self, source: RemoteObject, *, start: bytes, failures: list[SourceError]) -> None:
        """Make a file of an object whose state is known.

        Args:
            source: The object.
            start: Its first bytes, as far as they are there already.
            failures: Where errors are put; the file then seems to end there.
        """
        super().__init__(failures)
        self._source = source
        self.start = start
        """The first bytes of the object."""

    def close(self) -> None:
        """Close the connection, until somebody asks for more."""
        self._source.close()
        super().close()

    @property
    def _length(self) -> int:
        return 0 if self._source.remote is None else self._source.remote.size

    def _bytes(self, start: int, stop: int) -> bytes:
        data = self.start[start:stop]
        missing = start + len(data)
        return data if missing == stop else data + self._source.fetch(missing, stop)


class StartFile(RangeFile):
    """A remote object whose header is read: what lies before it is kept, and grows by what is read.

    The directories of a COG stand at its beginning, one after another. Of a file that has one
    elsewhere, no more is fetched than that.
    """

    def _bytes(self, start: int, stop: int) -> bytes:
        if stop > len(self.start) and start <= len(self.start) + GAP_BYTES:
            wanted = max(stop, len(self.start) + START_BYTES)
            self.start += self._source.fetch(len(self.start), wanted)
        return super()._bytes(start, stop)
