"""The plan of a table: whether its rows are read or kept, and why it differs."""

from __future__ import annotations

from collections.abc import Iterator

from geobatch.model.assets.fingerprint import table_fingerprint
from geobatch.model.assets.table import Table
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import AssetChange, Because, Op, Reason, TableWork
from geobatch.model.published import AssetRecord

_OF_CSV = {
    "geometry_column": "primary_geometry_column",
    "delimiter": "csv_delimiter",
    "qualifier": "csv_qualifier",
    "date_format": "date_format",
}
"""Keys of a spec, by fields of a table that only CSV files have."""


def table_change(
    table: Table,
    fingerprint: Digest,
    record: AssetRecord | None,
    because: tuple[Because, ...],
) -> AssetChange:
    """Return what happens to a table that differs from its published form.

    Args:
        table: The resolved table.
        fingerprint: Fingerprint of the asset.
        record: What is published under its id, if anything.
        because: Why it differs.
    """
    stored = None if record is None else record.table
    is_read = stored is None or stored.fingerprint != table_fingerprint(table)
    sizes = [source.stat.size for source in table.sources if source.stat is not None]
    return AssetChange(
        id=table.id,
        op=Op.CREATE if record is None else Op.UPDATE,
        because=because,
        asset=table,
        fingerprint=fingerprint,
        table=TableWork(is_read=is_read, rows=None if stored is None else stored.rows),
        bytes_read=sum(sizes) if is_read else 0,
    )


def table_reasons(table: Table, before: Table) -> Iterator[Because]:
    """Yield every reason for which the rows of two tables may differ."""
    yield from _sources(table, before)
    for name in ("crs", "x_column", "y_column"):
        old, new = str(getattr(before, name)), str(getattr(table, name))
        if old != new:
            detail = f"{old or 'none'} -> {new or 'none'}"
            yield Because(reason=Reason.GRID_CHANGED, path=f"sources.{name}", detail=detail)
    for name in ("charset", "is_placed"):
        if getattr(table, name) != getattr(before, name):
            path = f"sources.{name}" if name == "charset" else "sources.x_column"
            yield Because(reason=Reason.METADATA_CHANGED, path=path)
    for name, key in _OF_CSV.items():
        old, new = getattr(before, name), getattr(table, name)
        if old != new:
            path, detail = f"sources.{key}", f"{old or 'none'} -> {new or 'none'}"
            yield Because(reason=Reason.METADATA_CHANGED, path=path, detail=detail)
    was, now = dict(before.types), dict(table.types)
    for name in sorted(was.keys() | now.keys()):
        if was.get(name) != now.get(name):
            detail = f"{was.get(name, 'by files')} -> {now.get(name, 'by files')}"
            path = f"column_data_type_overrides.{name}"
            yield Because(reason=Reason.DTYPE_CHANGED, path=path, detail=detail)


def _sources(table: Table, before: Table) -> Iterator[Because]:
    old = {source.uri: source.digest for source in before.sources}
    new = {source.uri: source.digest for source in table.sources}
    gone = {digest: uri for uri, digest in old.items() if uri not in new}
    for uri, digest in new.items():
        if uri in old:
            if digest != old[uri]:
                yield Because(reason=Reason.SOURCE_CHANGED, path=uri)
        elif digest in gone:
            yield Because(reason=Reason.METADATA_CHANGED, path=uri, detail="same file, renamed")
        else:
            yield Because(reason=Reason.SOURCE_ADDED, path=uri)
    kept = {digest for uri, digest in new.items() if uri not in old}
    for uri, digest in old.items():
        if uri not in new and digest not in kept:
            yield Because(reason=Reason.SOURCE_REMOVED, path=uri)
    if [uri for uri in new if uri in old] != [uri for uri in old if uri in new]:
        yield Because(reason=Reason.SOURCE_MOVED, path="sources", detail="order of sources")
