"""Objects on servers as files, for those who read TIFFs."""

from __future__ import annotations

import io
from typing import Any

from geobatch.errors import SourceError
from geobatch.raster.remote import RemoteObject

GAP_BYTES = 1 << 20
"""How far behind what is known of a header more of it may be."""
START_BYTES = 16 << 10
"""What is read of an object to see what it is; most headers are shorter."""


class RangeFile(io.RawIOBase):
    """A remote object as a file: what is asked for is fetched, and not a byte more."""

    def __init__(self, source: RemoteObject, *, start: bytes, failures: list[SourceError]) -> None:
        """Make a file of an object whose state is known.

        Args:
            source: The object.
            start: Its first bytes, as far as they are there already.
            failures: Told what went wrong; the file then seems to end there.
        """
        super().__init__()
        self._source = source
        self.start = start
        """The first bytes of the object."""
        self._place = 0
        self._failures = failures

    def close(self) -> None:
        """Close the connection, until somebody asks for more."""
        self._source.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        size = 0 if self._source.remote is None else self._source.remote.size
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, all of them unless the object ends."""
        length = 0 if self._source.remote is None else self._source.remote.size
        stop = length if size is None or size < 0 else min(self._place + size, length)
        if stop <= self._place:
            return b""
        try:
            data = self._bytes(self._place, stop)
        except SourceError as error:
            # What is raised here, GDAL would print: a file that ends too soon, it reports.
            self._failures.append(error)
            return b""
        self._place = stop
        return data

    def _bytes(self, place: int, stop: int) -> bytes:
        data = self.start[place:stop]
        missing = place + len(data)
        return data if missing == stop else data + self._source.fetch(missing, stop)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes."""
        view: Any = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class StartFile(RangeFile):
    """A remote object whose header is read: what lies before it is kept, and grows by what is read.

    The directories of a COG stand at its beginning, one after another. Of a file that has one
    elsewhere, no more is fetched than that.
    """

    def _bytes(self, place: int, stop: int) -> bytes:
        if stop > len(self.start) and place <= len(self.start) + GAP_BYTES:
            wanted = max(stop, len(self.start) + START_BYTES)
            self.start += self._source.fetch(len(self.start), wanted)
        return super()._bytes(place, stop)
