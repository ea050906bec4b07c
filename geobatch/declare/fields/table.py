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
from geobatch.model.text.date_format import python_format

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
_DATE_HINT = "such as `yyyy-MM-dd` or `yyyy-MM-dd'T'HH:mm:ss`"
_SPELLINGS = [
    *(spelling for name in COLUMN_TYPES for spelling in (name, name.lower())),
    *(prefix + name for prefix in reversed(_PREFIXES) for name in COLUMN_TYPES),
]


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


def parse_mark(value: Any) -> str:
    """Return a delimiter or a qualifier; an empty text means that it is not given."""
    if not isinstance(value, str):
        refuse("wrong-type", f"got {show(value)}, {kind_of(value)}; expected text")
    if len(value) > 1 or value in ("\r", "\n", "\0"):
        refuse(
            "unknown-value", f"got {show(value)}", 'expected one character, such as `;` or `"\t"`'
        )
    return value


def parse_date_format(value: Any) -> str:
    """Return a format of dates in Joda's letters; it may be empty."""
    if not isinstance(value, str):
        refuse("wrong-type", f"got {show(value)}, {kind_of(value)}; expected text")
    try:
        if value:
            python_format(value)
    except ValueError as error:
        refuse("unknown-value", f"{show(value)} is no format of dates: {error}", _DATE_HINT)
    return value


ColumnTypeName = Annotated[
    ColumnType | None,
    PlainValidator(parse_column_type),
    WithJsonSchema({"type": "string", "enum": _SPELLINGS}),
]
Charset = Annotated[str, PlainValidator(parse_charset), WithJsonSchema({"type": "string"})]
Mark = Annotated[
    str, PlainValidator(parse_mark), WithJsonSchema({"type": "string", "maxLength": 1})
]
DateFormat = Annotated[str, PlainValidator(parse_date_format), WithJsonSchema({"type": "string"})]
TableKind = Annotated[
    Kind, PlainValidator(parse_kind), WithJsonSchema({"type": "string", "enum": [Kind.TABLE.value]})
]


class TableSourceManifest(Part):
    """CSV files, or TFRecord files with an Example per row, one after another."""

    required: ClassVar[tuple[str, ...]] = ("uris",)
    unsupported: ClassVar[dict[str, str]] = {
        "geodesic": "edges are straight lines in the CRS of the table",
        "max_error_meters": "geometries are stored as they are: nothing is approximated",
        "max_vertices": "geometries are stored as they are, and are not split",
        "simplify_error_meters": "geometries are stored as they are, and are not simplified",
    }

    uris: Annotated[list[Text], Field(min_length=1)] = Field(default_factory=list)
    """Paths in the order of the rows, relative to the spec file; a glob's files are
    sorted by name with digits as numbers."""
    charset: Charset = "utf-8"
    """How texts are encoded in the files; UTF-8 by default."""
    crs: Text | None = None
    """CRS of x and y: authority code or WKT; EPSG:4326 by default."""
    x_column: str | None = None
    """Column with the x of each row's point; `longitude` by default, unless the CRS is projected;
    an empty text means no points."""
    y_column: str | None = None
    """Column with the y of each row's point; `latitude` by default, with the same rules."""
    primary_geometry_column: str = ""
    """Column of CSV files with geometries in WKT or GeoJSON; by default the first one that holds
    nothing else, if there is one, unless `x_column` and `y_column` are given."""
    csv_delimiter: Mark = ""
    """What is between the values of CSV files; a comma by default."""
    csv_qualifier: Mark = ""
    """What surrounds values of CSV files that hold delimiters or line ends; `"` by default."""
    date_format: DateFormat = ""
    """How dates in CSV files are written, as `yyyy-MM-dd`; they become milliseconds since 1970.
    By default they stay texts."""


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
    """Types of columns that must differ from the files: STRING, NUMERIC or LONG."""
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
