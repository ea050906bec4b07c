"""TFRecord shards: TensorFlow frames and compresses what it is given, file after file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from geobatch.errors import ExportError
from geobatch.tfrecord.library import import_tensorflow

FRAME = 16
"""Bytes around a record in a file: its length and two checksums."""


class ShardWriter:
    """Writes records of one size into shards that hold equally many.

    The bytes depend on the records and on TensorFlow's version alone.
    """

    def __init__(
        self, path_of: Callable[[int], Path], *, records_per_shard: int, is_compressed: bool
    ) -> None:
        self._tensorflow = import_tensorflow()
        self._path_of = path_of
        self._records_per_shard = records_per_shard
        self._compression = "GZIP" if is_compressed else ""
        self._writer: Any = None
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
            records: One after the other.
            size: Bytes of each.

        Raises:
            ExportError: The disk refused.
        """
        for start in range(0, len(records), size):
            number, place = divmod(self.records, self._records_per_shard)
            with self._errors(number):
                if place == 0:
                    self._close()
                    self._writer = self._open(self._path_of(number))
                self._writer.write(records[start : start + size])
            self.records += 1

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
        else:
            self._writer = None

    def _open(self, path: Path) -> Any:
        io = self._tensorflow.io
        return io.TFRecordWriter(str(path), io.TFRecordOptions(compression_type=self._compression))

    def _close(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    @contextmanager
    def _errors(self, number: int) -> Iterator[None]:
        try:
            yield
        except self._tensorflow.errors.OpError as error:
            path = self._path_of(number)
            raise ExportError(f"`{path.name}` cannot be written: {error.message}") from None
