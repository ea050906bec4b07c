"""TFRecord shards, written file after file: records in frames, compressed with GZIP if wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from io import BufferedWriter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from isal import isal_zlib

from geobatch.errors import ExportError
from geobatch.sources.files import explain
from geobatch.sources.tfrecord.shards.shard import masked_checksum

FRAME = 16
"""Bytes around a record in a file: its length and two checksums."""
_LEVEL = 2
"""Of ISA-L: about as small as zlib's 6, ten times as fast."""
_GZIP_WINDOW = 31
"""zlib's window bits for a gzip frame; its header has no time."""


class ShardWriter:
    """Writes records of one size into shards with equally many records.

    The bytes depend on the records and, if they are compressed, on the version of ISA-L alone.
    """

    def __init__(
        self, path_of: Callable[[int], Path], *, records_per_shard: int, is_compressed: bool
    ) -> None:
        self._path_of = path_of
        self._records_per_shard = records_per_shard
        self._is_compressed = is_compressed
        self._shard: _ShardFile | None = None
        self.records = 0
        """How many records were written."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The shards, in order."""
        count = -(-self.records // self._records_per_shard)
        return tuple(self._path_of(number) for number in range(count))

    def write(self, records: bytes, *, size: int) -> None:
        """Append records.

        Args:
            records: Bytes of the records, joined.
            size: Bytes of each.

        Raises:
            ExportError: The disk refused.
        """
        start = 0
        while start < len(records):
            number, index = divmod(self.records, self._records_per_shard)
            end = min(len(records), start + (self._records_per_shard - index) * size)
            with self._errors(number):
                if index == 0 or self._shard is None:
                    self._close()
                    self._shard = _ShardFile(self._path_of(number), self._is_compressed)
                for offset in range(start, end, size):
                    self._shard.write(records[offset : offset + size])
            self.records += (end - start) // size
            start = end

    def close(self) -> None:
        """Finish the last shard.

        Raises:
            ExportError: The disk refused.
        """
        with self._errors(max(0, self.records - 1) // self._records_per_shard):
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self._shard is not None:
            self._shard.abandon()

    def _close(self) -> None:
        shard, self._shard = self._shard, None
        if shard is not None:
            shard.close()

    @contextlib.contextmanager
    def _errors(self, number: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = self._path_of(number)
            raise ExportError(f"`{path.name}` cannot be written: {explain(error)}") from None


class _ShardFile:
    """One shard."""

    def __init__(self, path: Path, is_compressed: bool) -> None:
        self._file: BufferedWriter = path.open("wb")
        self._compressor: Any = None
        if is_compressed:
            self._compressor = isal_zlib.compressobj(_LEVEL, wbits=_GZIP_WINDOW)

    def write(self, record: bytes) -> None:
        """Append a record in its frame."""
        length = len(record).to_bytes(8, "little")
        self._put(length + masked_checksum(length).to_bytes(4, "little"))
        self._put(record)
        self._put(masked_checksum(record).to_bytes(4, "little"))

    def close(self) -> None:
        """Write what is left."""
        with self._file:
            if self._compressor is not None:
                self._file.write(self._compressor.flush())

    def abandon(self) -> None:
        """Close the file, whatever the disk says."""
        with contextlib.suppress(OSError):
            self._file.close()

    def _put(self, data: bytes) -> None:
        self._file.write(data if self._compressor is None else self._compressor.compress(data))
