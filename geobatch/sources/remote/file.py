"""Objects on servers and in buckets as files that GDAL can read."""

from __future__ import annotations

from bisect import bisect_right
from threading import Lock

from geobatch.errors import SourceError
from geobatch.sources.geotiff.file_like import FileLike
from geobatch.sources.remote.remote_file import RemoteFile

GAP_BYTES = 1 << 20
"""Gap after the known part of a header within which more of it is read."""
START_BYTES = 16 << 10
"""First bytes read of an object; most headers are shorter."""


class Parts:
    """Parts of an object that were fetched; threads may share it."""

    def __init__(self, start: bytes = b"") -> None:
        """Know the first bytes of the object."""
        self._offsets = [0]
        self._parts = [start]
        self._lock = Lock()

    @property
    def start(self) -> bytes:
        """The first bytes of the object, as far as they were fetched without a gap."""
        return self._parts[0]

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return sum(map(len, self._parts))

    def get(self, start: int, stop: int) -> bytes | None:
        """Return some bytes; None unless one part has them all."""
        with self._lock:
            number = bisect_right(self._offsets, start) - 1
            offset, part = self._offsets[number], self._parts[number]
        return part[start - offset : stop - offset] if stop <= offset + len(part) else None

    def add(self, start: int, data: bytes) -> None:
        """Add a part; one that follows the first bytes extends them."""
        with self._lock:
            if start == len(self._parts[0]):
                self._parts[0] += data
                return
            number = bisect_right(self._offsets, start)
            self._offsets.insert(number, start)
            self._parts.insert(number, data)


class RangeFile(FileLike):
    """A remote object as a file: only the requested bytes are fetched."""

    def __init__(self, source: RemoteFile, *, parts: Parts, failures: list[SourceError]) -> None:
        """Make a file of an object whose state is known.

        Args:
            source: The object.
            parts: What was fetched of it already.
            failures: Receives errors; the file then seems to end there.
        """
        super().__init__(failures)
        self._source = source
        self._parts = parts

    @property
    def _length(self) -> int:
        return 0 if self._source.remote is None else self._source.remote.size

    def _bytes(self, start: int, stop: int) -> bytes:
        found = self._parts.get(start, stop)
        if found is not None:
            return found
        known = self._parts.start[start:stop]
        missing = start + len(known)
        return known + self._source.fetch(missing, stop)


class HeaderFile(RangeFile):
    """A remote object whose header is read: the bytes read so far are kept.

    The directories of a COG are at its beginning, one after another; those of other TIFFs may be
    anywhere, and are read with some bytes behind them, which often belong to them.
    """

    def _bytes(self, start: int, stop: int) -> bytes:
        found = self._parts.get(start, stop)
        if found is not None:
            return found
        first, size = len(self._parts.start), self._length
        begin = first if start <= first + GAP_BYTES else start
        data = self._source.fetch(begin, min(max(stop, begin + START_BYTES), size))
        self._parts.add(begin, data)
        return super()._bytes(start, stop)
