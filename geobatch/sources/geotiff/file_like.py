"""What GDAL reads instead of a file: bytes by position, and a list of errors."""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any

from geobatch.errors import SourceError


class FileLike(io.RawIOBase):
    """A read-only file whose bytes come from elsewhere.

    GDAL would only print an exception of a read, but it reports a file that ends too early. So
    an error is stored, and the file seems to end there.
    """

    def __init__(self, failures: list[SourceError]) -> None:
        """Start at the first byte.

        Args:
            failures: Receives errors.
        """
        super().__init__()
        self._position = 0
        self._failures = failures

    @property
    @abstractmethod
    def _length(self) -> int:
        """How many bytes there are."""

    @abstractmethod
    def _bytes(self, start: int, stop: int) -> bytes:
        """Return some bytes, as many as requested.

        Raises:
            SourceError: They cannot be read.
        """

    def read_between(self, start: int, stop: int) -> bytes:
        """Return the bytes from one position to another, or fewer at the end of the file.

        Raises:
            SourceError: They cannot be read.
        """
        return self._bytes(start, min(stop, self._length)) if start < self._length else b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, all of them unless the file ends."""
        end = self._length
        stop = end if size is None or size < 0 else min(self._position + size, end)
        if stop <= self._position:
            return b""
        try:
            data = self._bytes(self._position, stop)
        except SourceError as error:
            self._failures.append(error)
            return b""
        self._position = stop
        return data

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes."""
        view: Any = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)
