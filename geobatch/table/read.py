"""Stored tables, read: as a whole, or row after row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

from geobatch.model.assets.table import ColumnType, StoredTable
from geobatch.table.geometries import wkt_of
from geobatch.table.library import arrow

Row: TypeAlias = list[Any]
"""A value per column: a number, a text, a list of them, or None."""

_ROWS = 4096
"""Rows that are held as Python objects at a time."""


def read_table(data: bytes) -> Any:
    """Return the bytes of a Parquet file as a `pyarrow.Table`.

    The column of the boxes of its points, which repeats them for other readers, is left out.

    Raises:
        SourceError: pyarrow is not installed.
    """
    pa = arrow()
    file = pa.parquet.ParquetFile(pa.BufferReader(data))
    boxes = _boxes_of((file.schema_arrow.metadata or {}).get(b"geo"))
    return file.read([name for name in file.schema_arrow.names if name not in boxes])


def _boxes_of(metadata: bytes | None) -> set[str]:
    """Return the names of columns of boxes, of which the metadata of GeoParquet tells."""
    columns = {} if metadata is None else json.loads(metadata)["columns"]
    boxes = (one.get("covering", {}).get("bbox", {}) for one in columns.values())
    return {edge[0] for box in boxes for edge in box.values()}


def rows_of(data: bytes, stored: StoredTable) -> Iterator[Row]:
    """Yield the rows of a Parquet file, the values in the order of the columns.

    One row group is decoded at a time. Geometries are WKT.

    Raises:
        SourceError: pyarrow or shapely is not installed.
    """
    pa = arrow()
    names = [column.name for column in stored.columns]
    kinds = [column.type for column in stored.columns]
    geometries = [number for number, kind in enumerate(kinds) if kind is ColumnType.GEOMETRY]
    file = pa.parquet.ParquetFile(pa.BufferReader(data))
    for batch in file.iter_batches(batch_size=_ROWS, columns=names):
        columns = [batch.column(name).to_pylist() for name in names]
        for position in geometries:
            columns[position] = [wkb and wkt_of(wkb) for wkb in columns[position]]
        for values in zip(*columns, strict=True):
            yield list(values)
