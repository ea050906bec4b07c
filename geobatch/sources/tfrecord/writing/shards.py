"""TFRecord shards: TensorFlow frames and compresses records, file after file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from geobatch.errors import ExportError
from geobatch.extras import install_hint

FRAME = 16
"""Bytes around a record in a file: its length and two checksums."""
_STDERR = 2


class ShardWriter:
    """Writes records of one size into shards with equally many records.

    The bytes depend on the records and on TensorFlow's version alone.
    """

    def __init__(
        self, path_of: Callable[[int], Path], *, records_per_shard: int, is_compressed: bool
    ) -> None:
        self._tensorflow = _import_tensorflow()
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
                if index == 0:
                    self._close()
                    self._writer = self._open(self._path_of(number))
                for offset in range(start, end, size):
                    self._writer.write(records[offset : offset + size])
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


def _import_tensorflow() -> Any:
    """Return the module, which is slow to import, large, and talkative.

    Raises:
        ExportError: It is not installed.
    """
    try:
        with _hushed():
            import tensorflow as tf  # noqa: PLC0415
    except ImportError as error:
        raise ExportError(
            f"TFRecord needs TensorFlow, which cannot be imported: {error}",
            hint=install_hint("tfrecord"),
        ) from None
    return tf


@contextmanager
def _hushed() -> Iterator[None]:
    """Hide the library's messages about instruction sets and missing GPUs on stderr.

    It writes them from C++, before it reads its log level.
    """
    try:
        kept = os.dup(_STDERR)
    except OSError:  # stderr is closed
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - a device, not a file
            os.dup2(nowhere.fileno(), _STDERR)
        yield
    finally:
        os.dup2(kept, _STDERR)
        os.close(kept)
