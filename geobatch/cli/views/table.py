"""Tables for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from geobatch.cli.words import byte_text, columns, count_text
from geobatch.model.assets.documents.listed import Row
from geobatch.model.assets.table import Column, StoredTable, Table
from geobatch.model.published import AssetRecord, TreeEntry

if TYPE_CHECKING:
    from geobatch.explain.table_diff import TableDiff

_SOURCES_SHOWN = 10
_COLUMNS_SHOWN = 12


def table_row(entry: TreeEntry, row: Row) -> tuple[str, ...]:
    """Return a table's cells in a listing."""
    rows, columns_, size = row.table or (0, 0, 0)
    return (
        entry.id,
        entry.kind,
        count_text(rows, "row"),
        count_text(columns_, "column"),
        byte_text(size),
        (row.start_time or "")[:10],
    )


def table_json(
    entry: TreeEntry, record: AssetRecord, table: Table, stored: StoredTable
) -> dict[str, Any]:
    """Return the machine form of a published table, in short."""
    asset = record.asset
    return {
        "id": entry.id,
        "kind": entry.kind,
        "content": entry.content,
        "start_time": asset.start_time,
        "end_time": asset.end_time,
        "properties": dict(asset.properties),
        "is_protected": entry.is_protected,
        "rows": stored.rows,
        "bytes": stored.size,
        "columns": [
            {"name": column.name, "type": column.type.value, "is_array": column.is_array}
            for column in stored.columns
        ],
        "geometry": None
        if stored.geometry is None
        else {
            "column": stored.geometry,
            **({"x": table.x_column, "y": table.y_column} if stored.is_of_points else {}),
            "crs": table.crs.identity,
            "bounds": None if stored.bounds is None else list(stored.bounds),
        },
    }


def table_lines(table: Table, stored: StoredTable) -> Iterator[str]:
    """Yield the description of a table's rows."""
    yield f"  rows        {stored.rows:,} in {byte_text(stored.size)} of Parquet"
    if stored.geometry is not None:
        made = f"geometries  {stored.geometry}"
        if stored.is_of_points:
            made = f"points      {stored.geometry} of {table.x_column} and {table.y_column}"
        yield f"  {made}, {table.crs.code or 'CRS without a code'}"
        if stored.bounds is not None:
            yield f"    bounds    {', '.join(f'{edge:.12g}' for edge in stored.bounds)}"
    for line in columns([_cells(column) for column in stored.columns]):
        yield f"  column      {line}"
    for source in table.sources[:_SOURCES_SHOWN]:
        yield f"  source      {source.uri}  {source.digest[:12]}"
    if len(table.sources) > _SOURCES_SHOWN:
        yield f"  source      and {len(table.sources) - _SOURCES_SHOWN} more"


def _cells(column: Column) -> tuple[str, str]:
    return (column.name, f"list of {column.type}" if column.is_array else column.type.value)


def row_text(diff: TableDiff) -> str:
    """Return how many rows there were and are: `1,000 -> 1,200 rows`."""
    counts = [count for count in dict.fromkeys(diff.rows) if count is not None]
    *before, last = counts
    return " -> ".join([*(f"{count:,}" for count in before), count_text(last, "row")])


def column_lines(diff: TableDiff) -> Iterator[str]:
    """Yield the columns that differ."""
    for mark, names in (("+", diff.added), ("~", diff.changed), ("-", diff.removed)):
        if names:
            more = f" and {len(names) - _COLUMNS_SHOWN} more" if len(names) > _COLUMNS_SHOWN else ""
            yield f"      columns  {mark} {', '.join(names[:_COLUMNS_SHOWN])}{more}"


def table_diff_json(diff: TableDiff) -> dict[str, Any]:
    """Return the machine form of how rows differ."""
    return {
        "rows": list(diff.rows),
        "columns": {
            "added": list(diff.added),
            "changed": list(diff.changed),
            "removed": list(diff.removed),
        },
    }
