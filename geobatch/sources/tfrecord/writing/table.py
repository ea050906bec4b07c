"""Rows of a table as one TFRecord file, compressed with GZIP: an Example per row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from geobatch.errors import ExportError, SourceError
from geobatch.model.assets.table import Column, ColumnType
from geobatch.sources.tfrecord.tensorflow_library import tensorflow


def write_table(
    path: Path,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Any]],
    *,
    progress: Callable[[int], object] = lambda _: None,
) -> int:
    """Write rows, and return how many there were.

    A column is a feature of its name: numbers with a fraction a `float_list`, which is float32,
    integers an `int64_list`, texts and geometries (WKT) a `bytes_list`; a scalar as a list of one,
    an array as the list that it is. A row without a value has no such feature. Features are sorted
    by name, so that the bytes depend on the rows and on TensorFlow alone.

    Args:
        path: The file.
        columns: The columns of a row.
        rows: Values in the order of the columns; None for a missing one.
        progress: Is called with the number of rows written.

    Raises:
        ExportError: TensorFlow is not installed, or the disk refused.
    """
    try:
        tf = tensorflow()
    except SourceError as error:
        raise ExportError(error.message, hint=error.hint) from None
    encode = _Encoder(tf, columns)
    options = tf.io.TFRecordOptions(compression_type="GZIP")
    count = 0
    try:
        with tf.io.TFRecordWriter(str(path), options) as writer:
            for row in rows:
                writer.write(encode(row))
                count += 1
                if count % 1024 == 0:
                    progress(count)
    except tf.errors.OpError as error:
        raise ExportError(f"`{path.name}` cannot be written: {error.message}") from None
    progress(count)
    return count


class _Encoder:
    """Makes an Example of a row."""

    def __init__(self, tf: Any, columns: Sequence[Column]) -> None:
        self._example = tf.train.Example
        self._columns = [(column.name, _KINDS[column.type]) for column in columns]
        self._is_array = [column.is_array for column in columns]
        self._is_text = [not column.type.is_number for column in columns]

    def __call__(self, row: Sequence[Any]) -> bytes:
        example = self._example()
        features = example.features.feature
        for (name, kind), is_array, is_text, value in zip(
            self._columns, self._is_array, self._is_text, row, strict=True
        ):
            if value is None:
                continue
            values = value if is_array else [value]
            found = getattr(features[name], kind)
            if not values:
                found.SetInParent()  # an empty list is none that is missing
            found.value.extend([text.encode() for text in values] if is_text else values)
        data: bytes = example.SerializeToString(deterministic=True)
        return data


_KINDS = {
    ColumnType.FLOAT32: "float_list",
    ColumnType.FLOAT64: "float_list",
    ColumnType.INT64: "int64_list",
    ColumnType.STRING: "bytes_list",
    ColumnType.GEOMETRY: "bytes_list",
}
