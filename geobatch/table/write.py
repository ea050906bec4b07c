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
from geobatch.table.geometries import Box
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
    """Name of the column of geometries."""
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
    own = next((name for name in names if columns[name].type is ColumnType.GEOMETRY), None)
    points_of_xy = None if own is not None else points_name(columns, table)
    is_array = {name: columns[name].most > 1 for name in names}
    fields = [
        pa.field(name, _type(pa, columns[name].type, is_array=is_array[name])) for name in names
    ]
    geometry = own or points_of_xy
    covering = ""
    if points_of_xy is not None:
        fields.append(pa.field(points_of_xy, pa.binary()))
    if geometry is not None:
        covering = free_name(COVERING, {*names, geometry})
        edges = pa.struct([(edge, pa.float64()) for edge in EDGES])
        fields.append(pa.field(covering, edges))
    schema = pa.schema(fields)
    digests = {name: ColumnDigest(is_array=is_array[name]) for name in names}
    points, box = Points(), Box()
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
                made, boxes = [], None
                for name in names:
                    part = _whole(parts.get(name), columns[name].type, is_array=is_array[name])
                    digests[name].add(part, rows=rows)
                    if name == own:
                        boxes = _boxes(pa, part.rows, box.add(part), rows=rows)
                    made.append(_array(pa, part, columns[name].type, is_array[name], rows))
                if points_of_xy is not None:
                    x, y = parts.get(table.x_column), parts.get(table.y_column)
                    has, found = points.add(x, y, rows=rows)
                    made.append(_points(pa, has, found))
                    places = np.stack([found["x"], found["y"]] * 2, axis=1)
                    boxes = _boxes(pa, np.flatnonzero(has), places, rows=rows)
                made += [] if boxes is None else [boxes]
                writer.write_batch(pa.record_batch(made, schema=schema))
            if geometry is not None:
                types, bounds = (
                    (["Point"], points.bounds) if own is None else (box.types, box.bounds)
                )
                text = _metadata(geometry, covering, crs, types, bounds)
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
        bounds=points.bounds if own is None else box.bounds,
    )


def _type(pa: Any, kind: ColumnType, *, is_array: bool) -> Any:
    plain = {
        ColumnType.FLOAT32: pa.float32(),
        ColumnType.FLOAT64: pa.float64(),
        ColumnType.INT64: pa.int64(),
        ColumnType.STRING: pa.string(),
        ColumnType.GEOMETRY: pa.binary(),
    }[kind]
    return pa.list_(plain) if is_array else plain


def _whole(part: Part | None, kind: ColumnType, *, is_array: bool) -> Part:
    if part is None:
        dtype = np.dtype(kind.value) if kind.is_number else np.dtype(np.uint8)
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
    if not kind.is_number:
        sizes = np.zeros(rows, dtype=np.int64)
        sizes[part.rows] = part.sizes
        return _spans(pa, _type(pa, kind, is_array=False), present, sizes, part.values)
    numbers = np.zeros(rows, dtype=part.values.dtype)
    numbers[part.rows] = part.values
    return pa.array(numbers, mask=~present)


def _points(pa: Any, has: npt.NDArray[np.bool_], points: npt.NDArray[np.void]) -> Any:
    sizes = np.where(has, WKB_POINT.itemsize, 0)
    return _spans(pa, pa.binary(), has, sizes, points)


def _boxes(pa: Any, places: Integers, bounds: npt.NDArray[np.float64], *, rows: int) -> Any:
    """Return the box of each geometry, by which readers skip row groups; none of an empty one."""
    has = np.zeros(rows, dtype=np.bool_)
    has[places] = np.isfinite(bounds).all(axis=1)
    edges = np.zeros((rows, len(EDGES)))
    edges[places] = bounds
    columns = [pa.array(np.ascontiguousarray(one), mask=~has) for one in edges.T]
    return pa.StructArray.from_arrays(columns, names=list(EDGES), mask=pa.array(~has))


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


def _metadata(
    geometry: str, covering: str, crs: str, types: list[str], bounds: Bounds | None
) -> str:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": types,
        "crs": json.loads(crs),
        "covering": {"bbox": {edge: [covering, edge] for edge in EDGES}},
    }
    # The box of geometries in space would need their heights.
    if bounds is not None and not any(kind.endswith(" Z") for kind in types):
        column["bbox"] = list(bounds)
    document = {
        "version": GEOPARQUET,
        "primary_column": geometry,
        "columns": {geometry: column},
    }
    return json.dumps(document, sort_keys=True, ensure_ascii=False)
