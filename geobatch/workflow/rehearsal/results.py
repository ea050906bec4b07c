"""What a rehearsal put: found again, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from geobatch.errors import (
    CorruptObjectError,
    FormatError,
    NotFoundError,
    StoreError,
)
from geobatch.model.assets.table import StoredTable
from geobatch.model.plans.plan import Op, Plan
from geobatch.model.published import Head, Tree, TreeEntry
from geobatch.store.entries import changed_tree
from geobatch.store.maintenance.check import READ_ALL, Checker, StateLeaves
from geobatch.store.rehearsals.differences import (
    RehearsedAsset,
    rehearsed_assets,
)
from geobatch.store.rehearsals.records import Rehearsal, Rehearsals
from geobatch.store.tilestore import TileStore
from geobatch.workflow.executed import Executed


class LostRehearsalError(StoreError):
    """What a rehearsal put is not there any more: the plan must be computed."""


def find_rehearsal(store: TileStore, plan_id: str, *, now: datetime) -> Rehearsal:
    """Return a rehearsal that is kept.

    Raises:
        LostRehearsalError: There is none, or it has expired, or its record cannot be read.
    """
    try:
        found = store.rehearsals.find(plan_id)
    except (CorruptObjectError, FormatError) as error:
        raise LostRehearsalError(error.message) from error
    if found is None:
        raise LostRehearsalError(f"store `{store.id}` has no rehearsal of it")
    if not found.is_live(now):
        raise LostRehearsalError(f"its rehearsal expired on {found.expires:%Y-%m-%d %H:%M} UTC")
    return found


def compared_assets(store: TileStore, plan: Plan, rehearsal: Rehearsal) -> Iterator[RehearsedAsset]:
    """Yield the images that a rehearsed plan computed, with their states before and after.

    Raises:
        LostRehearsalError: The commit that it was rehearsed against cannot be read.
        CorruptObjectError: The tree or a document is damaged.
    """
    tree = store.commits.trees.read(rehearsal.tree, "the rehearsed tree")
    base = base_of(store, rehearsal).tree
    yield from rehearsed_assets(store, plan, base=base, tree=tree)


def base_of(store: TileStore, rehearsal: Rehearsal) -> Head:
    """Return the state that a plan was rehearsed against; `gc` keeps it."""
    if rehearsal.base is None:
        return Head()
    try:
        return store.at(rehearsal.base)
    except (NotFoundError, CorruptObjectError) as error:
        message = f"the commit that it was rehearsed against cannot be read: {error.message}"
        raise LostRehearsalError(message) from error


class Found(Struct, frozen=True, kw_only=True):
    """What a rehearsal put, all of it whole."""

    executed: Executed
    """What executing the plan gave."""
    is_untouched: bool
    """Whether no object was modified since: what links to them then has their bytes."""


def find_executed(store: TileStore, plan: Plan, rehearsal: Rehearsal, *, head: Head) -> Found:
    """Return what a rehearsal put, if all of it is whole.

    Raises:
        LostRehearsalError: Something is missing or damaged, or of another plan.
    """
    try:
        tree = store.commits.trees.read(rehearsal.tree, "the rehearsed tree")
        changes = _changes_in(plan, tree)
        if changed_tree(head.tree, changes) != tree:
            raise LostRehearsalError("its rehearsal is of another plan")
        new = [entry for entry in changes.values() if entry is not None]
        state = store.backend.state(Rehearsals.path(rehearsal.id))
        modified = _check_whole(store, new, since=READ_ALL if state is None else state.modified_ns)
        tables = dict(_tables(store, new))
    except CorruptObjectError as error:
        raise LostRehearsalError(f"what its rehearsal put is damaged: {error.message}") from error
    return Found(executed=Executed(changes=changes, tables=tables), is_untouched=not modified)


def _check_whole(store: TileStore, entries: Iterable[TreeEntry], *, since: int) -> int:
    """Check what rehearsed assets need, as it is checked of a published state.

    Returns:
        How many objects were modified since a time, and so were read.

    Raises:
        LostRehearsalError: Something is missing or damaged.
    """
    leaves = StateLeaves(store.objects, read_from=since)
    checker = Checker(store.objects, leaves)
    for entry in entries:
        damage = next(iter(checker.asset(entry)), None)
        if damage is not None:
            raise LostRehearsalError(f"what its rehearsal put is damaged: {damage}")
    return leaves.read


def _tables(store: TileStore, entries: Iterable[TreeEntry]) -> Iterator[tuple[str, StoredTable]]:
    for entry in entries:
        if entry.is_table and (table := store.record(entry).table) is not None:
            yield entry.id, table


def changes_of(plan: Plan, entries: Mapping[str, TreeEntry | None]) -> dict[str, TreeEntry | None]:
    """Return what was executed, and the former ids of renamed assets."""
    gone = [change.previous_id for change in plan.changed if change.op is Op.RENAME]
    return {**entries, **dict.fromkeys(gone)}


def _changes_in(plan: Plan, tree: Tree) -> dict[str, TreeEntry | None]:
    """Return what a plan makes of its assets, by a tree that has it."""
    by_id = {entry.id: entry for entry in tree.entries}
    entries = {one.id: by_id.get(one.id) for one in plan.changed}
    return changes_of(plan, entries)


def current_time() -> datetime:
    """Return the time, to the second."""
    return datetime.now(UTC).replace(microsecond=0)
