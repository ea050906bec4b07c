"""How the rows of two published states of a table differ: how many, and in which columns."""

from __future__ import annotations

from msgspec import Struct

from geobatch.errors import PlanError
from geobatch.model.published import AssetRecord


class TableDiff(Struct, frozen=True, kw_only=True):
    """How the rows of a table differ."""

    rows: tuple[int | None, int | None]
    """How many the first state has, and the second; None where it has no such table."""
    added: tuple[str, ...]
    """Columns that only the second state has, sorted."""
    changed: tuple[str, ...]
    """Columns whose values differ, or their type."""
    removed: tuple[str, ...]
    """Columns that only the first state has."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        is_same = self.rows[0] == self.rows[1]
        return is_same and not (self.added or self.changed or self.removed)


def table_diff(old: AssetRecord | None, new: AssetRecord | None) -> TableDiff | None:
    """Return how the rows of two states differ, or None where neither is a table.

    Raises:
        PlanError: One is a table, the other is not, and their names differ.
    """
    if old is not None and new is not None and old.asset.id != new.asset.id:
        _check_kinds(old, new)
    before = None if old is None else old.table
    after = None if new is None else new.table
    if before is None and after is None:
        return None
    was = {} if before is None else {column.name: column for column in before.columns}
    now = {} if after is None else {column.name: column for column in after.columns}
    return TableDiff(
        rows=(None if before is None else before.rows, None if after is None else after.rows),
        added=tuple(sorted(now.keys() - was.keys())),
        changed=tuple(sorted(name for name in now.keys() & was.keys() if was[name] != now[name])),
        removed=tuple(sorted(was.keys() - now.keys())),
    )


def _check_kinds(old: AssetRecord, new: AssetRecord) -> None:
    if (old.table is None) != (new.table is None):
        kinds = (f"`{one.asset.id}` is of the kind `{one.asset.kind}`" for one in (old, new))
        raise PlanError(f"{' and '.join(kinds)}: they cannot be compared")
