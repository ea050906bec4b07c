"""An earlier state published again: what that changes, and the commit that does it.

Nothing is computed or copied: the new tree names the asset documents of the earlier commit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct

from geobatch.errors import CorruptObjectError, PlanError, ProtectedError
from geobatch.model.assets.names_by_case import first_alike
from geobatch.model.plans.plan import Op
from geobatch.model.published import Head, TreeEntry
from geobatch.store.commits.cubes import changes_between
from geobatch.store.commits.renames import renames
from geobatch.store.entries import find_ids
from geobatch.store.maintenance.check import Checker, Damage, StateLeaves, modified_since
from geobatch.store.tilestore import TileStore

_SHOWN = 20
"""How many damaged objects a message names."""
_NAMED = 3
"""How many assets the message of a commit names."""


class AssetRollback(Struct, frozen=True, kw_only=True):
    """What a rollback does to one asset."""

    id: str
    """Asset id after the rollback; before it, if the asset is deleted."""
    op: Op
    """What happens: CREATE restores an asset that was deleted since."""
    previous_id: str = ""
    """Id before the rollback; of a RENAME only."""
    before: TreeEntry | None = None
    """Its entry in the newest commit."""
    after: TreeEntry | None = None
    """Its entry in the earlier commit."""
    blocked: str = ""
    """Why this is refused; empty if it is allowed."""

    @property
    def lifts_protection(self) -> bool:
        """Whether the asset is protected now and would not be afterwards."""
        is_protected = self.before is not None and self.before.is_protected
        return is_protected and self.after is not None and not self.after.is_protected


class RollbackPlan(Struct, frozen=True, kw_only=True):
    """Everything that a rollback would do."""

    base: Head
    """The newest commit."""
    target: Head
    """The commit whose state is published again."""
    names: tuple[str, ...] = ()
    """Assets and folders that the rollback is limited to; empty for everything."""
    changes: tuple[AssetRollback, ...] = ()
    """Assets that change, sorted by id."""
    unchanged: int = 0
    """Assets that the rollback covers and that are as they were."""
    knows_renames: bool = True
    """Whether all commits between the two could be read for renames."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not (self.changes or self.cubes)

    @property
    def cubes(self) -> dict[str, bool]:
        """Ids of collections that would have cubes again (True), or no longer (False)."""
        return {} if self.names else changes_between(self.base, self.target)

    @property
    def blocked(self) -> tuple[AssetRollback, ...]:
        """The changes that are refused."""
        return tuple(change for change in self.changes if change.blocked)

    def count(self, op: Op) -> int:
        """Return how many assets an op concerns."""
        return sum(1 for change in self.changes if change.op is op)

    @property
    def message(self) -> str:
        """The message of the commit."""
        text = f"rollback to {self.target.number} ({(self.target.digest or '')[:12]})"
        if not self.names:
            return text
        more = f" and {len(self.names) - _NAMED} more" if len(self.names) > _NAMED else ""
        return f"{text} of {', '.join(self.names[:_NAMED])}{more}"

    def check_allowed(self) -> None:
        """Refuse a plan with a blocked change.

        Raises:
            ProtectedError: A protected asset would be deleted.
        """
        if not self.blocked:
            return
        others = [change.id for change in self.changes if not change.blocked]
        hint = "publish it with `lifecycle: {protect: false}` first"
        if others:
            hint += f", or name only other assets: {', '.join(f'`{one}`' for one in others[:8])}"
        raise ProtectedError(
            "; ".join(
                f"`{change.id}` did not exist at commit {self.target.number}, and is"
                f" {change.blocked}"
                for change in self.blocked
            ),
            hint=f"nothing was done; {hint}",
        )


def plan_rollback(store: TileStore, commit: str, names: Sequence[str] = ()) -> RollbackPlan:
    """Return what it would change to publish an earlier state again; nothing is written.

    Args:
        store: The store.
        commit: The earlier commit, as `TileStore.at` takes it.
        names: Asset ids, folders of assets, and globs that the rollback is limited to. An asset
            that was renamed since is meant by either of its ids.

    Raises:
        NotFoundError: There is no such commit, or a name matches no asset of either commit.
        PlanError: An asset would differ from another one only by case.
        CorruptObjectError: Something that the earlier state needs is damaged or missing.
    """
    base, target = store.head(), store.at(commit)
    old, new = _by_id(base), _by_id(target)
    renamed, knows_renames = _renames(store, base, target)
    covered = {*old, *new}
    if names:
        where = f"commit {target.number} or of commit {base.number}"
        covered = find_ids(names, covered, where=where)
        covered |= {end for pair in renamed.items() if covered & set(pair) for end in pair}
    renamed = {now: was for now, was in renamed.items() if now in covered}
    changes = list(_changes(old, new, covered, renamed))
    if names:
        _check_case(changes, old)
    _check_whole(store, target, [change.after for change in changes if change.after is not None])
    return RollbackPlan(
        base=base,
        target=target,
        names=tuple(dict.fromkeys(names)),
        changes=tuple(_with_protection(store, change) for change in changes),
        unchanged=sum(1 for name in covered if name in old and old[name] == new.get(name)),
        knows_renames=knows_renames,
    )


def publish_rollback(store: TileStore, plan: RollbackPlan, *, tools: Mapping[str, str]) -> Head:
    """Publish a rollback as the next commit, and return the new head.

    Args:
        store: The store.
        plan: The rollback, none of whose changes is blocked.
        tools: Versions of the programs that are recorded with the commit.

    Raises:
        ProtectedError: A change is blocked.
        ConflictError: Another process published since the plan was made: anything, if everything is
            rolled back; else a change of the same asset.
        StoreError: The store cannot be written.
    """
    plan.check_allowed()
    renamed = {change.id: change.previous_id for change in plan.changes if change.previous_id}
    origins, checkouts = store.origins(plan.target), store.checkouts(plan.target)
    return store.publish(
        base=plan.base,
        changes={
            **{change.id: change.after for change in plan.changes},
            **dict.fromkeys(renamed.values()),
        },
        renamed=renamed,
        message=plan.message,
        tools=tools,
        origins={change.id: origins[change.id] for change in plan.changes if change.id in origins},
        checkouts=checkouts,
        is_exact=not plan.names,
        cubes=plan.cubes,
    )


def _by_id(head: Head) -> dict[str, TreeEntry]:
    return {entry.id: entry for entry in head.tree.entries}


def _renames(store: TileStore, base: Head, target: Head) -> tuple[dict[str, str], bool]:
    """Return the id in the newest commit by the id in the earlier one, and whether that is all."""
    try:
        found = renames(store, base, target)
    except CorruptObjectError:  # a commit between them: neither of the two needs it
        return {}, False
    old, new = _by_id(base), _by_id(target)
    return {
        now: was
        for now, was in found.items()
        if now in new and now not in old and was in old and was not in new
    }, True


def _changes(
    old: Mapping[str, TreeEntry],
    new: Mapping[str, TreeEntry],
    covered: Collection[str],
    renamed: Mapping[str, str],
) -> Iterator[AssetRollback]:
    for name in sorted(covered):
        if name in renamed.values():  # told by its other id
            continue
        was = renamed.get(name, "")
        before, after = old.get(was or name), new.get(name)
        if was:
            op = Op.RENAME
        elif before == after:
            continue
        elif before is None:
            op = Op.CREATE
        else:
            op = Op.DELETE if after is None else Op.UPDATE
        yield AssetRollback(id=name, op=op, previous_id=was, before=before, after=after)


def _with_protection(store: TileStore, change: AssetRollback) -> AssetRollback:
    """Return a change that says since when its asset is protected from being deleted."""
    if change.op is not Op.DELETE or change.before is None or not change.before.is_protected:
        return change
    since = store.commits.protected_since(change.id)
    blocked = f"protected since {since[:12]}" if since else "protected"
    return AssetRollback(id=change.id, op=change.op, before=change.before, blocked=blocked)


def _check_case(changes: Sequence[AssetRollback], old: Collection[str]) -> None:
    """Refuse assets that would differ only by case from one that stays.

    Raises:
        PlanError: One would.
    """
    gone = {change.previous_id or change.id for change in changes if change.op is not Op.UPDATE}
    new = [change.id for change in changes if change.after is not None]
    found = first_alike(new, [name for name in old if name not in gone])
    if found is not None:
        raise PlanError(
            f"asset `{found[0]}` differs only by case from `{found[2]}`, which stays",
            hint=f"roll back `{found[2]}` too: on many disks both are the same folder",
        )


def _check_whole(store: TileStore, target: Head, entries: Sequence[TreeEntry]) -> None:
    """Refuse a rollback to what is not there any more; name all of it.

    Raises:
        CorruptObjectError: An object that the earlier state needs is damaged or missing.
    """
    leaves = StateLeaves(store.objects, read_from=modified_since(store, target))
    checker = Checker(store.objects, leaves)
    damages = [damage for entry in entries for damage in checker.asset(entry)]
    try:
        store.origins(target)
    except CorruptObjectError as error:
        damages.append(Damage(asset="", message=error.message))
    if not damages:
        return
    shown = [f"  {damage}" for damage in damages[:_SHOWN]]
    if len(damages) > _SHOWN:
        shown.append(f"  and {len(damages) - _SHOWN:,} more")
    what = f"{len(damages):,} objects that are" if len(damages) > 1 else "an object that is"
    raise CorruptObjectError(
        "\n".join([f"commit {target.number} needs {what} damaged or missing:", *shown]),
        hint="nothing was published; restore the objects from a copy of the store, name only other"
        " assets, or apply the specs as they were then: it computes the tiles again",
    )
