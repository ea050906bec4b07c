"""Gathered rows as a GeoParquet file, one row group a part, and the digests of its columns.

Source: https://geoparquet.org/releases/v1.1.0 for the metadata; Apache Parquet for the rest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from geobatch.errors import StoreError
from geobatch.model.assets.table import Column, ColumnType, Table
from geobatch.model.geobox import Bounds
from geobatch.table.gather import Gathered
from geobatch.table.library import arrow
from geobatch.table.part import ColumnDigest, Integers, Part
from geobatch.table.points import WKB_POINT, Points, free_name, points_name
from geobatch.table.spill import Spill

GEOPARQUET = "1.1.0"
COVERING = "bbox"
"""Column of the box of each point, unless a column of the records has this name."""
EDGES = ("xmin", "ymin", "xmax", "ymax")
COMPRESSION = "zstd"
LEVEL = 3
_NOTHING = np.zeros(0, dtype=np.int64)


class Written(NamedTuple):
    """What a file holds."""

    columns: tuple[Column, ...]
    """Sorted by name."""
    geometry: str | None
    """Name of the column of points."""
    bounds: Bounds | None
    """Box around them."""


def write_parquet(
    file: IO[bytes],
    spill: Spill,
    columns: Mapping[str, Gathered],
    *,
    table: Table,
    crs: str,
) -> Written:
    """Write every row that was kept on disk; the bytes depend only on the rows and on pyarrow.

    Args:
        file: Where to; open for writing.
        spill: The rows.
        columns: Their columns.
        table: What they are made of.
        crs: The table's CRS as PROJJSON.

    Raises:
        SourceError: The columns that place the points are not there, or hold no numbers; or pyarrow
            is not installed.
        StoreError: The disk refused.
    """
    pa = arrow()
    names = sorted(columns)
    geometry = points_name(columns, table)
    is_array = {name: columns[name].most > 1 for name in names}
    fields = [
        pa.field(name, _type(pa, columns[name].type, is_array=is_array[name])) for name in names
    ]
    covering = ""
    if geometry is not None:
        covering = free_name(COVERING, {*names, geometry})
        edges = pa.struct([(edge, pa.float64()) for edge in EDGES])
        fields += [pa.field(geometry, pa.binary()), pa.field(covering, edges)]
    schema = pa.schema(fields)
    digests = {name: ColumnDigest(is_array=is_array[name]) for name in names}
    points = Points()
    try:
        with pa.parquet.ParquetWriter(
            file,
            schema,
            version="2.6",
            compression=COMPRESSION,
            compression_level=LEVEL,
            # Parquet has all of these types itself; beside Arrow's own schema, readers would look
            # there for the metadata, which is known too late to be part of it.
            store_schema=False,
        ) as writer:
            for rows, parts in spill.read():
                made = []
                for name in names:
                    part = _whole(parts.get(name), columns[name].type, is_array=is_array[name])
                    digests[name].add(part, rows=rows)
                    made.append(_array(pa, part, columns[name].type, is_array[name], rows))
                if geometry is not None:
                    x, y = parts.get(table.x_column), parts.get(table.y_column)
                    has, found = points.add(x, y, rows=rows)
                    made += [_points(pa, has, found), _boxes(pa, has, found)]
                writer.write_batch(pa.record_batch(made, schema=schema))
            if geometry is not None:
                text = _metadata(geometry, covering, crs, points.bounds)
                writer.add_key_value_metadata({"geo": text})
    except OSError as error:
        raise StoreError(
            f"cannot write a table: {error.strerror or error}",
            hint="free some space on the store's disk",
        ) from error
    return Written(
        columns=tuple(
            Column(
                name=name,
                type=columns[name].type,
                is_array=is_array[name],
                content=digests[name].digest(),
            )
            for name in names
        ),
        geometry=geometry,
        bounds=points.bounds,
    )


def _type(pa: Any, kind: ColumnType, *, is_array: bool) -> Any:
    plain = {
        ColumnType.FLOAT32: pa.float32(),
        ColumnType.FLOAT64: pa.float64(),
        ColumnType.INT64: pa.int64(),
        ColumnType.STRING: pa.string(),
    }[kind]
    return pa.list_(plain) if is_array else plain


def _whole(part: Part | None, kind: ColumnType, *, is_array: bool) -> Part:
    if part is None:
        dtype = np.uint8 if kind is ColumnType.STRING else np.dtype(kind.value)
        values = np.zeros(0, dtype=dtype)
        return Part(rows=_NOTHING, counts=_NOTHING, values=values, sizes=_NOTHING)
    return part if is_array else part.scalars()


def _array(pa: Any, part: Part, kind: ColumnType, is_array: bool, rows: int) -> Any:
    present = np.zeros(rows, dtype=np.bool_)
    present[part.rows] = True
    if is_array:
        if kind is ColumnType.STRING:
            has = np.ones(len(part.sizes), dtype=np.bool_)
            values = _spans(pa, pa.string(), has, part.sizes, part.values)
        else:
            values = pa.array(part.values)
        counts = np.zeros(rows, dtype=np.int64)
        counts[part.rows] = part.counts
        return pa.ListArray.from_arrays(_offsets(pa, counts), values, mask=pa.array(~present))
    if kind is ColumnType.STRING:
        sizes = np.zeros(rows, dtype=np.int64)
        sizes[part.rows] = part.sizes
        return _spans(pa, pa.string(), present, sizes, part.values)
    numbers = np.zeros(rows, dtype=part.values.dtype)
    numbers[part.rows] = part.values
    return pa.array(numbers, mask=~present)


def _points(pa: Any, has: npt.NDArray[np.bool_], points: npt.NDArray[np.void]) -> Any:
    sizes = np.where(has, WKB_POINT.itemsize, 0)
    return _spans(pa, pa.binary(), has, sizes, points)


def _boxes(pa: Any, has: npt.NDArray[np.bool_], points: npt.NDArray[np.void]) -> Any:
    """Return the box of each point, by which readers skip row groups."""
    edges = []
    for axis in ("x", "y", "x", "y"):
        numbers = np.zeros(len(has))
        numbers[has] = points[axis]
        edges.append(pa.array(numbers, mask=~has))
    return pa.StructArray.from_arrays(edges, names=list(EDGES), mask=pa.array(~has))


def _spans(
    pa: Any, kind: Any, has: npt.NDArray[np.bool_], sizes: Integers, values: npt.NDArray[Any]
) -> Any:
    """Return an array of texts or bytes that lie one behind the other."""
    return pa.Array.from_buffers(
        kind,
        len(has),
        [
            pa.py_buffer(np.packbits(has, bitorder="little")),
            _offsets(pa, sizes).buffers()[1],
            pa.py_buffer(values.tobytes()),
        ],
    )


def _offsets(pa: Any, sizes: Integers) -> Any:
    ends = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=ends[1:])
    return pa.array(ends).cast(pa.int32())


def _metadata(geometry: str, covering: str, crs: str, bounds: Bounds | None) -> str:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": ["Point"],
        "crs": json.loads(crs),
        "covering": {"bbox": {edge: [covering, edge] for edge in EDGES}},
    }
    if bounds is not None:
        column["bbox"] = list(bounds)
    document = {
        "version": GEOPARQUET,
        "primary_column": geometry,
        "columns": {geometry: column},
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=False)
