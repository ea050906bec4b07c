"""Items as a GeoParquet file: stac-geoparquet (https://radiantearth.github.io/stac-geoparquet-spec).

Equal items give equal bytes with equal versions of pyarrow. What was written is in the metadata as
a digest, so that a file of another version can be compared, too.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from geobatch.model.digest import Digest, digest_bytes
from geobatch.table.library import arrow

VERSION = "1.0.0"
"""Of the specification of the file."""
_KEY = "geobatch:items"
_TIMES = ("datetime", "start_datetime", "end_datetime")
_COMPRESSION, _LEVEL = "zstd", 3


def has_parquet() -> bool:
    """Return whether pyarrow is installed."""
    return find_spec("pyarrow") is not None


def items_digest(items: Sequence[bytes]) -> Digest:
    """Return what names a list of items."""
    return digest_bytes(b"\n".join(items))


def write_items(items: Sequence[bytes], collection: dict[str, Any]) -> bytes:
    """Return a file with one row per item, in their order.

    The fields of `properties` are columns, `geometry` is WKB, and `bbox` a struct that readers use
    as the covering box: of an item across the antimeridian, from -180 to 180. `nodata` is a double.

    Args:
        items: JSON documents.
        collection: The collection that they are in, which becomes part of the metadata.

    Raises:
        SourceError: pyarrow is not installed.
    """
    pa = arrow()
    made = [json.loads(item) for item in items]
    kinds = sorted({item["geometry"]["type"] for item in made if item["geometry"] is not None})
    rows = list(map(_row, made))
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column(pa, name, [row.get(name) for row in rows]) for name in names}
    boxes = [row["bbox"] for row in rows if row.get("bbox")]
    geometry: dict[str, Any] = {"encoding": "WKB", "geometry_types": kinds}
    if boxes:
        corners = ("xmin", "ymin", "xmax", "ymax")
        geometry["bbox"] = [
            edge(box[corner] for box in boxes)
            for corner, edge in zip(corners, (min, min, max, max), strict=True)
        ]
        geometry["covering"] = {"bbox": {corner: ["bbox", corner] for corner in corners}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    stac = {"version": VERSION, "collections": {collection["id"]: collection}}
    table = pa.table(columns)
    file = io.BytesIO()
    with pa.parquet.ParquetWriter(
        file,
        table.schema,
        version="2.6",
        compression=_COMPRESSION,
        compression_level=_LEVEL,
        store_schema=False,
        write_page_checksum=True,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(
            {
                "geo": json.dumps(geo, sort_keys=True),
                "stac-geoparquet": json.dumps(stac, sort_keys=True),
                _KEY: items_digest(items),
            }
        )
    return file.getvalue()


def items_problem(data: bytes, items: Sequence[bytes], collection: dict[str, Any]) -> str:
    """Return what is wrong with a file of items; empty if nothing is.

    Of a file that another version of pyarrow wrote, pages are compared with their checksums.

    Raises:
        SourceError: pyarrow is not installed.
    """
    wanted = write_items(items, collection)
    if data == wanted:
        return ""
    pa = arrow()
    try:
        file = pa.parquet.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
        found = (file.metadata.metadata or {}).get(_KEY.encode(), b"").decode()
        rows = file.read().num_rows
        ours = pa.parquet.ParquetFile(io.BytesIO(wanted)).metadata.created_by
    except (pa.ArrowException, OSError, ValueError) as error:
        return f"it cannot be read: {(str(error).splitlines() or ['no reason is given'])[0]}"
    is_other = file.metadata.created_by != ours
    is_same = found == items_digest(items) and rows == len(items)
    return "" if is_other and is_same else "other content"


def _row(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as the values of columns."""
    geometry = item["geometry"]
    row = {
        **{key: item[key] for key in ("type", "stac_version", "stac_extensions", "id")},
        "geometry": None if geometry is None else _wkb(geometry),
        "bbox": None if "bbox" not in item else _box(item["bbox"]),
        "links": item["links"],
        "assets": item["assets"],
        "collection": item["collection"],
        **dict.fromkeys(_TIMES),
        **item["properties"],
    }
    for key in _TIMES:
        if row[key] is not None:
            row[key] = datetime.fromisoformat(row[key])
    for band in (band for one in row["assets"].values() for band in one.get("bands", ())):
        if "nodata" in band:  # which JSON spells as a text if it is not finite
            band["nodata"] = float(band["nodata"])
    return row


def _box(bbox: list[float]) -> dict[str, float]:
    west, south, east, north = bbox
    west, east = (west, east) if west <= east else (-180.0, 180.0)
    return {"xmin": west, "ymin": south, "xmax": east, "ymax": north}


def _column(pa: Any, name: str, values: list[Any]) -> Any:
    """Return the values of a column; if some are numbers and others texts, all become texts."""
    if name in _TIMES:
        return pa.array(values, type=pa.timestamp("us", tz="UTC"))
    if name == "geometry":
        return pa.array(values, type=pa.binary())
    if name == "bbox":
        double = pa.float64()
        corners = [(corner, double) for corner in ("xmin", "ymin", "xmax", "ymax")]
        return pa.array(values, type=pa.struct(corners))
    try:
        made = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        made = pa.array(_alike(values))
    return made.cast(pa.string()) if pa.types.is_null(made.type) else made


def _alike(values: list[Any]) -> list[Any]:
    """Return values that have one type at each place: texts, where some are texts."""
    given = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in given):
        return [value if value is None else _text(value) for value in values]
    if given and all(isinstance(value, list) for value in given):
        flat = iter(_alike([one for value in given for one in value]))
        return [value if value is None else [next(flat) for _ in value] for value in values]
    if given and all(isinstance(value, dict) for value in given):
        keys = list(dict.fromkeys(key for value in given for key in value))
        parts = {key: iter(_alike([value.get(key) for value in given])) for key in keys}
        return [
            value if value is None else {key: next(part) for key, part in parts.items()}
            for value in values
        ]
    return values


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _wkb(geometry: dict[str, Any]) -> bytes:
    """Return a geometry as little-endian well-known binary."""
    kind, coordinates = geometry["type"], geometry["coordinates"]
    return _HEADERS[kind] + _BODIES[kind](coordinates)


def _point(point: Sequence[float]) -> bytes:
    return struct.pack("<dd", *point)


def _points(points: Sequence[Sequence[float]]) -> bytes:
    return struct.pack("<I", len(points)) + b"".join(map(_point, points))


def _rings(rings: Sequence[Sequence[Sequence[float]]]) -> bytes:
    return struct.pack("<I", len(rings)) + b"".join(map(_points, rings))


def _polygons(polygons: Sequence[Sequence[Sequence[Sequence[float]]]]) -> bytes:
    parts = (_HEADERS["Polygon"] + _rings(rings) for rings in polygons)
    return struct.pack("<I", len(polygons)) + b"".join(parts)


_HEADERS = {
    kind: struct.pack("<BI", 1, number)
    for kind, number in (("Point", 1), ("LineString", 2), ("Polygon", 3), ("MultiPolygon", 6))
}
_BODIES: dict[str, Callable[[Any], bytes]] = {
    "Point": _point,
    "LineString": _points,
    "Polygon": _rings,
    "MultiPolygon": _polygons,
}
