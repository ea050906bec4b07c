"""TIFFs that a process may be writing: each block is compared with its digest before decoding.

GDAL gets exactly the bytes that were compared, so later changes of the file do not matter.
Directories are read once, and must be those from which the blocks were digested.
"""

from __future__ import annotations

import io
import os
import tempfile
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from blake3 import blake3
from msgspec import Struct

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.digest import DIGEST_BYTES
from geobatch.model.sources.blocks import BlockTable
from geobatch.sources.files import changed, digest_file, explain
from geobatch.sources.geotiff.file_like import FileLike
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.identity.blocks import Layout, layouts_of, tabulate
from geobatch.sources.geotiff.identity.identity import identify
from geobatch.sources.naming import UnnamedError

_START_BYTES = 4096
"""Where GDAL searches for hints about the layout, before the directories."""
_CHUNK = 8 << 20
_NONE = np.zeros(0, dtype=np.uint64)


class Checked(Struct, frozen=True, kw_only=True, eq=False):
    """The state of a file before its blocks are read; shared by all readers."""

    path: str
    size: int
    pieces: tuple[tuple[int, bytes], ...] = ()
    """Parts that were read already and are kept: directories and what they refer to."""
    starts: npt.NDArray[np.uint64] = _NONE
    """First byte of each block, ascending."""
    stops: npt.NDArray[np.uint64] = _NONE
    """End of each; none overlaps the next."""
    digests: bytes = b""
    """Digests of the blocks, one after another."""
    copy: IO[bytes] | None = None
    """The whole file, if its blocks are not known."""

    def close(self) -> None:
        """Free the space of the copy."""
        if self.copy is not None:
            self.copy.close()


def checked(source: Source, table: BlockTable | None) -> Checked:
    """Return how to read a source block by block, or a copy of it whose digest is right.

    Args:
        source: The file, with the digest that it must have.
        table: The blocks that the digest was computed from; None if they are not known.

    Raises:
        UnnamedError: The file changed after it was digested, cannot be read, or there is no room
            for a copy.
    """
    try:
        if table is None:
            identity = identify(Path(source.path))
            if identity.digest != source.digest:
                raise changed()
            table = identity.table
        with Path(source.path).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            found = None
            if table is not None:
                found = _by_blocks(_Recorder(file), source, table, size)
            return found or _copied(file, source, table, size)
    except OSError as error:
        raise UnnamedError(
            f"cannot be read: {explain(error)}",
            hint="run again when no program writes to the file; the disk needs room for a copy",
        ) from error


def _copied(file: FileIO, source: Source, table: BlockTable | None, size: int) -> Checked:
    with ExitStack() as stack:
        copy = stack.enter_context(tempfile.TemporaryFile())
        file.seek(0)
        while piece := file.read(_CHUNK):
            copy.write(piece)
        copy.flush()
        if _digest_of(copy, table, size) != source.digest:
            raise changed()
        stack.pop_all()  # it lives as long as it is read
    return Checked(path=source.path, size=size, copy=copy)


def _digest_of(copy: IO[bytes], table: BlockTable | None, size: int) -> str | None:
    raw = FileIO(copy.fileno(), closefd=False)
    try:
        if table is None:
            return digest_file(raw, size)
        made = tabulate(raw, tiff.read_directories(raw))
    except (ValueError, EOFError):
        return None
    return None if made is None else made.identity


class _Recorder(io.RawIOBase):
    """A file that keeps everything read from it, and reads that part only once."""

    def __init__(self, file: FileIO) -> None:
        super().__init__()
        self._file = file
        self._place = 0
        self.pieces: dict[tuple[int, int], bytes] = {}

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position."""
        self._place = self._file.seek(offset, whence)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes."""
        wanted = -1 if size is None else size
        key = (self._place, wanted)
        if key not in self.pieces:
            self.pieces[key] = os.pread(self._file.fileno(), max(wanted, 0), self._place)
        self._place += len(self.pieces[key])
        return self.pieces[key]


def _by_blocks(file: _Recorder, source: Source, table: BlockTable, size: int) -> Checked | None:
    """Return how to read a file by its blocks; None if two of them share bytes."""
    try:
        start = file.read(_START_BYTES)
        directories = tiff.read_directories(cast("BinaryIO", file))
        layouts = layouts_of(cast("BinaryIO", file), directories, size)
    except ValueError:
        raise changed() from None
    pieces = tuple((offset, data) for (offset, _), data in file.pieces.items())
    if any(
        data[: len(start[offset:])] != start[offset : offset + len(data)] for offset, data in pieces
    ):
        raise changed()
    tables = [table] if table.mask is None else [table, table.mask]
    if layouts is None or len(layouts) != len(tables):
        raise changed()
    extents, digests = zip(*map(_stored, layouts, tables), strict=True)
    if any(found is None for found in digests):
        raise changed()
    rows = np.concatenate(
        [np.concatenate(extents), np.concatenate(digests).view("<u8")], axis=1, dtype=np.uint64
    )
    # Blocks that are alike may be stored once; sorted, they follow each other.
    rows = np.unique(rows, axis=0)
    stops = rows[:, 0] + rows[:, 1]
    if np.any(stops[:-1] > rows[1:, 0]):
        return None
    return Checked(
        path=source.path,
        size=size,
        pieces=pieces,
        starts=np.ascontiguousarray(rows[:, 0]),
        stops=stops,
        digests=np.ascontiguousarray(rows[:, 2:]).tobytes(),
    )


def _stored(
    layout: Layout, table: BlockTable
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8] | None]:
    """Return (offset, count) and digest of the blocks of a plane; no digests if it differs."""
    is_stored = layout.counts > 0
    extents = np.stack([layout.offsets, layout.counts], axis=1)[is_stored]
    digests = table.array.reshape(-1, DIGEST_BYTES)
    is_same = (layout.height, layout.width, layout.block, layout.planes, layout.decoding) == (
        table.height, table.width, table.block, table.planes, table.decoding,
    )  # fmt: skip
    if not is_same or np.any(digests[~is_stored] != np.frombuffer(layout.absent, np.uint8)):
        return extents, None
    return extents, np.ascontiguousarray(digests[is_stored])


class CheckedFile(FileLike):
    """A file that returns blocks only if they match their digests; for one thread."""

    def __init__(self, known: Checked, failures: list[SourceError]) -> None:
        """Open it.

        Args:
            known: What is known of it.
            failures: Receives errors; the file then seems to end there.
        """
        super().__init__(failures)
        self._known = known
        name = known.path if known.copy is None else known.copy.fileno()
        self._file = FileIO(name, closefd=known.copy is None)
        self._descriptor = self._file.fileno()
        self._block = (-1, b"")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    @property
    def _length(self) -> int:
        return self._known.size

    def _bytes(self, start: int, stop: int) -> bytes:
        try:
            return self._digested(start, stop)
        except (OSError, EOFError):
            raise changed() from None

    def _digested(self, offset: int, stop: int) -> bytes:
        known = self._known
        # Of their own type: of any other, numpy would convert the whole array first.
        first = int(np.searchsorted(known.stops, np.uint64(offset), side="right"))
        last = int(np.searchsorted(known.starts, np.uint64(stop), side="left"))
        if last - first == 1 and known.starts[first] <= offset and stop <= known.stops[first]:
            start = int(known.starts[first])
            return self._checked(first)[offset - start : stop - start]
        data = bytearray(_read(self._descriptor, offset, stop))
        for start, piece in known.pieces:
            _lay(data, offset, start, piece)
        for number in range(first, last):
            _lay(data, offset, int(known.starts[number]), self._checked(number))
        return bytes(data)

    def _checked(self, number: int) -> bytes:
        """Return a block, which may be read in parts."""
        if self._block[0] != number:
            known = self._known
            data = _read(self._descriptor, int(known.starts[number]), int(known.stops[number]))
            at = number * DIGEST_BYTES
            if blake3(data).digest() != known.digests[at : at + DIGEST_BYTES]:
                raise EOFError
            self._block = (number, data)
        return self._block[1]


def _lay(data: bytearray, offset: int, start: int, piece: bytes) -> None:
    """Copy a part of the file over the bytes from a position on."""
    low, high = max(offset, start), min(offset + len(data), start + len(piece))
    if low < high:
        data[low - offset : high - offset] = piece[low - start : high - start]


def _read(descriptor: int, offset: int, stop: int) -> bytes:
    parts = []
    while offset < stop:
        part = os.pread(descriptor, stop - offset, offset)
        if not part:
            raise EOFError
        parts.append(part)
        offset += len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
