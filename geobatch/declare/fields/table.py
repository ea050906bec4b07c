"""The fields of a table's document: Earth Engine's table manifest and geobatch's own keys."""

from __future__ import annotations

import codecs
from typing import Annotated, Any, ClassVar

from pydantic import Field, PlainValidator, WithJsonSchema

from geobatch.declare.fields.manifest import LifecycleManifest, Manifest, Part
from geobatch.declare.fields.values import (
    AssetId,
    AssetName,
    PropertyKey,
    PropertyValue,
    Text,
    Time,
    parse_kind,
    refuse,
)
from geobatch.declare.hints import did_you_mean, kind_of, show
from geobatch.model.assets.asset import Kind
from geobatch.model.assets.table import ColumnType

COLUMN_TYPES = {
    "STRING": ColumnType.STRING,
    "NUMERIC": ColumnType.FLOAT64,
    "LONG": ColumnType.INT64,
}
"""Earth Engine's names of column types, without their prefix."""
_SHARED = (
    "kind", "id", "name", "uri_prefix", "start_time", "end_time", "properties", "memo", "lifecycle",
    "moved_from",
)  # fmt: skip
"""Keys that images and tables have."""
_PREFIXES = ("CSV_COLUMN_DATA_TYPE_", "COLUMN_DATA_TYPE_")
_SPELLINGS = [
    *(spelling for name in COLUMN_TYPES for spelling in (name, name.lower())),
    *(prefix + name for prefix in reversed(_PREFIXES) for name in COLUMN_TYPES),
]
_CSV = "tables are read from TFRecord files, which have no {}"


def parse_column_type(value: Any) -> ColumnType | None:
    """Return a column type; None for Earth Engine's unspecified."""
    if not isinstance(value, str):
        refuse("wrong-type", f"got {show(value)}, {kind_of(value)}; expected text")
    name = value.upper()
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    if name == "UNSPECIFIED":
        return None
    if name not in COLUMN_TYPES:
        refuse("unknown-value", f"no column type {show(value)}", did_you_mean(value, COLUMN_TYPES))
    return COLUMN_TYPES[name]


def parse_charset(value: Any) -> str:
    """Return Python's name of a charset of texts."""
    try:
        # A codec that does not encode text, such as `hex`, fails here.
        "a".encode(value)
        return codecs.lookup(value).name
    except (LookupError, TypeError, ValueError):
        refuse("unknown-value", f"unknown charset {show(value)}", "such as `UTF-8` or `ISO-8859-1`")


ColumnTypeName = Annotated[
    ColumnType | None,
    PlainValidator(parse_column_type),
    WithJsonSchema({"type": "string", "enum": _SPELLINGS}),
]
Charset = Annotated[str, PlainValidator(parse_charset), WithJsonSchema({"type": "string"})]
TableKind = Annotated[
    Kind, PlainValidator(parse_kind), WithJsonSchema({"type": "string", "enum": [Kind.TABLE.value]})
]


class TableSourceManifest(Part):
    """TFRecord files with an Example per row, one after another."""

    required: ClassVar[tuple[str, ...]] = ("uris",)
    unsupported: ClassVar[dict[str, str]] = {
        "csv_delimiter": _CSV.format("delimiters"),
        "csv_qualifier": _CSV.format("qualifiers"),
        "date_format": "texts are stored as they are in the records",
        "primary_geometry_column": "the only points are those of `x_column` and `y_column`",
        "geodesic": "points have no edges",
        "max_error_meters": "points have no edges to approximate",
        "max_vertices": "a point has one vertex",
        "simplify_error_meters": "points cannot be simplified",
    }

    uris: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=list)
    """Paths in the order of the rows, relative to the spec file; a glob's files are
    sorted by name with digits as numbers."""
    charset: Charset = "utf-8"
    """How texts are encoded in the records; UTF-8 by default."""
    crs: Text | None = None
    """CRS of x and y: authority code or WKT; EPSG:4326 by default."""
    x_column: str | None = None
    """Column with the x of each row's point; `longitude` by default, unless the CRS is projected;
    an empty text means no points."""
    y_column: str | None = None
    """Column with the y of each row's point; `latitude` by default, with the same rules."""


class TableManifest(Part):
    """A table: its sources, its columns and its metadata."""

    required: ClassVar[tuple[str, ...]] = ("sources",)
    unsupported: ClassVar[dict[str, str]] = {
        "policy": "the file system decides who may read a store",
    }
    barred: ClassVar[dict[str, str]] = {
        **{
            key: "it is a key of images; a table has `sources`"
            for key in Manifest.model_fields
            if key not in _SHARED
        },
        "checks": "only images have checks",
        "for_each": "it requires `kind: image_collection`",
        "image": "it requires `kind: image_collection`",
    }

    kind: TableKind | None = None
    """What the asset is."""
    id: AssetId | None = None
    """`/`-separated name of the asset, at most ten parts."""
    name: AssetName | None = None
    """Earth Engine's spelling of the id: `projects/P/assets/ID`."""
    moved_from: AssetId | None = None
    """Former id of the published asset; its rows are kept."""
    uri_prefix: str = ""
    """Text that is put before every uri, unchanged."""
    sources: Annotated[list[TableSourceManifest], Field(min_length=1)] = Field(default_factory=list)
    """Where the rows come from, one source after another."""
    column_data_type_overrides: dict[str, ColumnTypeName] = Field(default_factory=dict)
    """Types of columns that must differ from the records: STRING, NUMERIC or LONG."""
    csv_column_data_type_overrides: dict[str, ColumnTypeName] = Field(default_factory=dict)
    """Older name of `column_data_type_overrides`."""
    start_time: Time | None = None
    """Start, RFC 3339 or a date."""
    end_time: Time | None = None
    """End, exclusive."""
    properties: dict[PropertyKey, PropertyValue] = Field(default_factory=dict)
    """Metadata: text or numbers."""
    memo: str = ""
    """Notes; no effect."""
    lifecycle: LifecycleManifest | None = None
    """Protection."""
