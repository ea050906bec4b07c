"""Explains a table: the sources of its rows, and what the next apply does with them."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.explain.declared import Declared
from geobatch.explain.reasons import reasons_between
from geobatch.model.assets.table import StoredTable, Table
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import Because, Op, Plan
from geobatch.model.published import AssetRecord, Head
from geobatch.planner import because_of
from geobatch.store.tilestore import TileStore


class TableNext(Struct, frozen=True, kw_only=True):
    """What the next apply does with the rows."""

    verdict: str
    """`kept`, `read anew`, `not known` or `left alone`."""
    because: tuple[Because, ...] = ()
    """Why they are read."""
    problems: tuple[str, ...] = ()
    """Why it is not known."""


class TableWhy(Struct, frozen=True, kw_only=True):
    """The explanation of the rows of a table."""

    table: Table
    """What they are made of."""
    stored: StoredTable
    """What is published of them."""
    since: Head
    """The commit that changed them last."""
    because: tuple[Because, ...]
    """What changed in that commit."""
    next: TableNext | None = None
    """What the next apply does; None where no specs were given."""


def table_why(store: TileStore, record: AssetRecord, stored: StoredTable, table: Table) -> TableWhy:
    """Return the explanation of a table of the head.

    Raises:
        CorruptObjectError: A ref or a document is damaged.
    """
    since, because = _last_change(store, record, stored)
    return TableWhy(table=table, stored=stored, since=since, because=because)


def table_next(declared: Declared, made: Plan, asset_id: str) -> TableNext:
    """Return what the next apply does with the rows of a table."""
    problems = declared.missing.get(asset_id) or declared.broken.get(asset_id)
    if problems:
        return TableNext(verdict="not known", problems=problems)
    change = next((change for change in made.changes if change.id == asset_id), None)
    if change is None or change.op is Op.DELETE:
        return TableNext(verdict="left alone")
    if change.table is None or not change.table.is_read:
        return TableNext(verdict="kept")
    return TableNext(verdict="read anew", because=change.because)


def refuse_place(asset_id: str, *options: object) -> None:
    """Refuse to explain a tile or a band of a table.

    Raises:
        NotFoundError: One is asked for.
    """
    if any(option is not None for option in options):
        raise NotFoundError(
            f"`{asset_id}` is a table: it has neither tiles nor bands",
            hint=f"`geobatch why {asset_id}` explains its rows",
        )


def _last_change(
    store: TileStore, record: AssetRecord, stored: StoredTable
) -> tuple[Head, tuple[Because, ...]]:
    """Walk the log back to where the rows were others than they are now."""
    newest = store.head()
    newer, newer_record = newest, record
    for head in store.log():
        entry = head.tree.entry(record.asset.id)
        older = None if entry is None else store.record(entry)
        if older is None or _identity(older.table) != _identity(stored):
            reasons: Sequence[Because] = because_of(newer_record.asset, None)
            if older is not None:
                reasons = reasons_between(older.asset, newer_record.asset)
            return newer, tuple(reasons)
        newer, newer_record = head, older
    return newer, because_of(newer_record.asset, None)


def _identity(stored: StoredTable | None) -> tuple[tuple[str, str, bool, Digest], ...] | None:
    if stored is None:
        return None
    return tuple((one.name, one.type.value, one.is_array, one.content) for one in stored.columns)
