"""Stored tables as CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from geobatch.model.assets.table import Column, ColumnType, StoredTable
from geobatch.table.geometries import wkt_of
from geobatch.table.library import arrow

_ROWS = 4096
"""Rows that are held at a time."""


def write_csv(path: Path, data: bytes, stored: StoredTable) -> int:
    """Write the rows of a Parquet file.

    A list becomes a JSON array, a geometry WKT; a missing value is empty.

    Args:
        path: The file to write.
        data: The Parquet file.
        stored: The table that it holds.

    Returns:
        How many rows there are.

    Raises:
        SourceError: pyarrow or shapely is not installed.
        OSError: The disk refused.
    """
    pa = arrow()
    names = [column.name for column in stored.columns]
    file = pa.parquet.ParquetFile(pa.BufferReader(data))
    types = [_type(pa, file, column) for column in stored.columns]
    schema = pa.schema(list(zip(names, types, strict=True)))
    rows = 0
    with pa.csv.CSVWriter(str(path), schema) as writer:
        for batch in file.iter_batches(batch_size=_ROWS, columns=names):
            columns = [_flat(pa, batch.column(one.name), one) for one in stored.columns]
            writer.write_batch(pa.record_batch(columns, schema=schema))
            rows += batch.num_rows
    return rows


def _type(pa: Any, file: Any, column: Column) -> Any:
    is_text = column.is_array or column.type is ColumnType.GEOMETRY
    return pa.string() if is_text else file.schema_arrow.field(column.name).type


def _flat(pa: Any, values: Any, column: Column) -> Any:
    """Return the values of a column, lists as JSON, geometries as WKT."""
    if column.type is ColumnType.GEOMETRY:
        return pa.array([wkb and wkt_of(wkb) for wkb in values.to_pylist()], pa.string())
    if not column.is_array:
        return values
    is_short = column.type is ColumnType.FLOAT32
    texts = [
        None if row is None else json.dumps([_shortest(one) for one in row] if is_short else row)
        for row in values.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _shortest(value: float) -> float:
    """Return the double with the fewest digits that is this float of 32 bits."""
    return float(str(np.float32(value)))
