"""Objects on servers as files that GDAL can read."""

from __future__ import annotations

from geobatch.errors import SourceError
from geobatch.sources.geotiff.file_like import FileLike
from geobatch.sources.remote.ranges import RemoteObject

GAP_BYTES = 1 << 20
"""Gap after the known part of a header within which more of it is read."""
START_BYTES = 16 << 10
"""First bytes read of an object; most headers are shorter."""


class RangeFile(FileLike):
    """A remote object as a file: only the requested bytes are fetched."""

    def __init__(self, source: RemoteObject, *, start: bytes, failures: list[SourceError]) -> None:
        """Make a file of an object whose state is known.

        Args:
            source: The object.
            start: Its first bytes, if they were fetched already.
            failures: Receives errors; the file then seems to end there.
        """
        super().__init__(failures)
        self._source = source
        self.start = start
        """The first bytes of the object."""

    def close(self) -> None:
        """Close the connection, until the next request."""
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
    """A remote object whose header is read: the bytes read so far are kept.

    The directories of a COG are at its beginning, one after another. Of a file that has one
    elsewhere, no more is fetched than that.
    """

    def _bytes(self, start: int, stop: int) -> bytes:
        if stop > len(self.start) and start <= len(self.start) + GAP_BYTES:
            wanted = max(stop, len(self.start) + START_BYTES)
            self.start += self._source.fetch(len(self.start), wanted)
        return super()._bytes(start, stop)
