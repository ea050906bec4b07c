"""A published table as the Earth Engine manifest that would ingest it."""

from __future__ import annotations

from typing import Any

from msgspec.structs import fields

from geobatch.declare.earth_engine.names import refused_names
from geobatch.declare.earth_engine.to_manifest import Exported
from geobatch.declare.fields.table import COLUMN_TYPES, TableSourceManifest
from geobatch.model.assets.table import Table

_DEFAULT_CRS = "EPSG:4326"
_OF_CSV = {
    "primaryGeometryColumn": "geometry_column",
    "csvDelimiter": "delimiter",
    "csvQualifier": "qualifier",
    "dateFormat": "date_format",
}
_DEFAULTS = {one.name: one.default for one in fields(Table)}
_TYPE_NAMES = {kind: name for name, kind in COLUMN_TYPES.items()}


def export_table(table: Table, *, name: str, uri_prefix: str = "") -> Exported:
    """Return the manifest of a table; for the arguments see `export_manifest`."""
    prefix = len(uri_prefix)
    source: dict[str, Any] = {"uris": [one.uri[prefix:] for one in table.sources]}
    if table.charset != TableSourceManifest().charset:
        source["charset"] = table.charset.upper()
    if table.crs.identity != _DEFAULT_CRS:
        source["crs"] = table.crs.identity
    if table.is_placed or not table.x_column:
        source |= {"xColumn": table.x_column, "yColumn": table.y_column}
    for key, field in _OF_CSV.items():
        if (value := getattr(table, field)) != _DEFAULTS[field]:
            source[key] = value
    members = {
        "name": name,
        "uriPrefix": uri_prefix,
        "sources": [source],
        "columnDataTypeOverrides": {key: _TYPE_NAMES[kind] for key, kind in table.types},
        "startTime": table.start_time,
        "endTime": table.end_time if table.end_time != table.start_time else None,
        "properties": dict(table.properties),
        "memo": table.memo,
    }
    notes = list(refused_names(table, name=name))
    if table.is_protected:
        notes.append("omitted, because Earth Engine does not have it: `lifecycle`")
    manifest = {key: value for key, value in members.items() if value not in (None, "", [], {})}
    return Exported(manifest=manifest, notes=tuple(notes))
