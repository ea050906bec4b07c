"""Tables as JSON: what a reader can see, what else is recorded, and the way back."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec.structs import fields

from geobatch.model.assets.table import Column, ColumnType, StoredTable, Table, TableSource
from geobatch.model.geobox import Crs

Members: TypeAlias = dict[str, Any]
"""A JSON object."""

_OF_CSV = ("geometry_column", "delimiter", "qualifier", "date_format")
_DEFAULTS = {field.name: field.default for field in fields(Table) if field.name in _OF_CSV}


def table_json(table: Table) -> Members:
    """Return what is resolved of a table before its rows are read.

    What depends on this machine (local paths, stats) is omitted.
    """
    return {
        "sources": [{"uri": source.uri, "digest": source.digest} for source in table.sources],
        **rows_json(table),
    }


def rows_json(table: Table) -> Members:
    """Return how rows are made of files, without the files.

    What only CSV has is there where it is not the default: other tables keep their fingerprints.
    """
    return {
        **{name: value for name in _OF_CSV if (value := getattr(table, name)) != _DEFAULTS[name]},
        "x_column": table.x_column,
        "y_column": table.y_column,
        "crs": table.crs.identity,
        "is_placed": table.is_placed,
        "charset": table.charset,
        "types": {name: kind.value for name, kind in table.types},
    }


def rows_from_json(recorded: Members, crs: Members) -> Members:
    """Return the fields of a `Table` that say how its rows are made.

    Raises:
        KeyError, TypeError, ValueError: It is not that of a table.
    """
    return {
        "sources": tuple(TableSource(**source) for source in recorded["sources"]),
        "x_column": recorded["x_column"],
        "y_column": recorded["y_column"],
        "crs": Crs(code=crs["code"], wkt=crs["wkt"], cf=crs["cf"]),
        "is_placed": recorded["is_placed"],
        "charset": recorded["charset"],
        **{name: recorded.get(name, default) for name, default in _DEFAULTS.items()},
        "types": tuple(
            (name, ColumnType(kind)) for name, kind in sorted(recorded["types"].items())
        ),
    }


def visible_rows_json(stored: StoredTable, table: Table) -> Members:
    """Return what a reader can see of the rows."""
    geometry = None
    if stored.geometry is not None:
        geometry = {
            "column": stored.geometry,
            **({"x": table.x_column, "y": table.y_column} if stored.is_of_points else {}),
            "crs": table.crs.identity,
            "bounds": None if stored.bounds is None else list(stored.bounds),
        }
    return {
        "rows": stored.rows,
        "columns": [
            {
                "name": column.name,
                "type": column.type.value,
                "is_array": column.is_array,
                "content": column.content,
            }
            for column in stored.columns
        ],
        "geometry": geometry,
    }


def stored_json(stored: StoredTable) -> Members:
    """Return where the rows are, and what determined them."""
    return {
        "stored": stored.stored,
        "size": stored.size,
        "fingerprint": stored.fingerprint,
    }


def stored_from_json(visible: Members, recorded: Members) -> StoredTable:
    """Return the published rows of two documents.

    Raises:
        KeyError, TypeError, ValueError: They are not those of a table.
    """
    geometry = visible["geometry"]
    bounds = None
    if geometry is not None and geometry["bounds"] is not None:
        left, bottom, right, top = geometry["bounds"]
        bounds = (left, bottom, right, top)
    return StoredTable(
        rows=visible["rows"],
        columns=tuple(
            Column(**{**column, "type": ColumnType(column["type"])})
            for column in visible["columns"]
        ),
        geometry=None if geometry is None else geometry["column"],
        bounds=bounds,
        **recorded,
    )
