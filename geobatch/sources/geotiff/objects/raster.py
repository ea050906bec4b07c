"""A TIFF on a server or in a bucket, in one state: its tables of blocks, and the blocks."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from threading import Lock
from typing import BinaryIO, TypeVar

from blake3 import blake3

from geobatch.errors import InterruptedRunError, SourceError
from geobatch.model.sources.pin import Remote
from geobatch.model.sources.servers import Servers
from geobatch.model.window import Window
from geobatch.sources.geotiff.headers.tables import Tables, read_tables
from geobatch.sources.geotiff.objects.header_bytes import with_header
from geobatch.sources.remote.file import Parts, RangeFile
from geobatch.sources.remote.memory import Extent, Memory
from geobatch.sources.remote.remote_file import Request, open_remote

Found = TypeVar("Found")
Held = dict[int, memoryview]
"""Blocks that a read needs, by their first byte."""


class ObjectRaster:
    """A TIFF that is read by ranges; threads may share it."""

    def __init__(
        self,
        url: str,
        *,
        remote: Remote,
        memory: Memory,
        servers: Servers | None = None,
        parts: Parts | None = None,
        is_digested: bool = False,
    ) -> None:
        """Send no request yet.

        Args:
            url: Where it is.
            remote: The state in which it must be.
            memory: Receives the blocks.
            servers: The servers that may be asked.
            parts: What was fetched of its header already.
            is_digested: Whether the blocks are digested as they come.

        Raises:
            UnnamedError: It may not be read.
        """
        self.file = open_remote(url, remote=remote, servers=servers)
        self.size, self.generation = remote.size, remote.generation
        self.digests: dict[Extent, bytes] = {}
        """Digests of the blocks that came."""
        self.decoded: set[Extent] = set()
        """Blocks that were read to be decoded."""
        self._memory = memory
        self._parts = Parts() if parts is None else parts
        self._is_digested = is_digested
        self._tables: dict[int, Tables] = {}
        self._reading = Lock()

    def close(self) -> None:
        """Close connections."""
        self.file.close()

    def tables(self, overview: int) -> Tables:
        """Return the blocks of the full image (0) or a reduced one, and those of its mask.

        Raises:
            UnnamedError: The object changed, cannot be read, or is damaged.
        """
        with self._reading:
            if overview not in self._tables:
                self._tables[overview] = self.with_header(
                    lambda file: read_tables(file, overview=overview)
                )
            return self._tables[overview]

    def with_header(self, read: Callable[[BinaryIO], Found]) -> Found:
        """Return what a function reads of the header; see `with_header`.

        Raises:
            UnnamedError: The object changed, cannot be read, or is damaged.
        """
        return with_header(self.file, self._parts, read)

    def load(self, extents: Sequence[Extent]) -> Held:
        """Return blocks; those that are missing are fetched together.

        Raises:
            UnnamedError: The object changed, or cannot be read.
            InterruptedRunError: Reading was cancelled.
        """
        held: Held = {}
        for (start, size), request in zip(
            extents, self._memory.get(self.file, extents), strict=True
        ):
            try:
                data = memoryview(request.data.result())
            except SourceError:
                self._memory.forget(request)
                raise
            except CancelledError:
                raise InterruptedRunError("reading was cancelled") from None
            held[start] = block = data[start - request.start : start - request.start + size]
            if self._is_digested and (start, size) not in self.digests:
                self.digests[start, size] = blake3(block).digest()
        if self._is_digested:
            self.decoded.update(extents)
        return held

    def submit(self, extents: Sequence[Extent]) -> list[Request]:
        """Start to fetch blocks for a reader that does not need them again."""
        return self.file.submit([(start, start + size) for start, size in extents])

    def blocks(
        self, extents: Sequence[Extent], requests: Sequence[Request]
    ) -> Iterator[tuple[Extent, memoryview]]:
        """Yield blocks with their bytes, from what `submit` returned for them.

        Raises:
            UnnamedError: The object changed, or cannot be read.
        """
        stops = [one.stop for one in requests]
        for start, size in extents:
            request = requests[bisect_left(stops, start + size)]
            data = memoryview(request.data.result())
            yield (start, size), data[start - request.start : start - request.start + size]

    def begin(self, extents: Sequence[Extent]) -> None:
        """Start to fetch blocks that will be needed soon."""
        self._memory.begin(self.file, extents)

    def keep(self, extent: Extent, data: bytes) -> None:
        """Keep a block that was fetched already."""
        self._memory.put(self.file, extent[0], data)

    def opened(self, held: Held, failures: list[SourceError]) -> BlockFile:
        """Return the object as a file whose blocks are held while they are read."""
        return BlockFile(self, self._parts, held, failures)


class BlockFile(RangeFile):
    """An object as a file that GDAL reads: it takes the blocks that are held for the read."""

    def __init__(
        self, raster: ObjectRaster, parts: Parts, held: Held, failures: list[SourceError]
    ) -> None:
        """Make a file of an object.

        Args:
            raster: The object.
            parts: Its header.
            held: Blocks, which the reader exchanges before each read.
            failures: Receives errors; the file then seems to end there.
        """
        super().__init__(raster.file, parts=parts, failures=failures)
        self._held = held

    def _bytes(self, start: int, stop: int) -> bytes:
        block = self._held.get(start)
        if block is not None and stop - start <= len(block):
            return bytes(block[: stop - start])
        if block is None and self._held:
            offsets = sorted(self._held)
            first = offsets[bisect_right(offsets, start) - 1]
            block = self._held[first]
            if first <= start and stop <= first + len(block):
                return bytes(block[start - first : stop - first])
        return super()._bytes(start, stop)


def extents_of(
    tables: Tables, window: Window, bands: Sequence[int], *, mask: str | None
) -> list[Extent]:
    """Return the blocks that a read of some bands needs, in the order of the file.

    Args:
        tables: Those of the image.
        window: In pixels of the image.
        bands: Zero-based indexes.
        mask: The mask that is read too: `internal`, `alpha` (the last band), or None.
    """
    image, internal = tables.image, tables.mask
    found: set[Extent] = set()
    if image is not None:
        planes = [*bands, -1] if mask == "alpha" else list(bands)
        found.update(image.extents(window, planes=planes) if planes else ())
    if internal is not None and mask == "internal":
        found.update(internal.extents(window, planes=[0]))
    return sorted(found)
