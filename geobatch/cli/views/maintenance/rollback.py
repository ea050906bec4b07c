"""What a rollback changes, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from geobatch.cli.words import columns, count_text
from geobatch.model.plans.plan import Op
from geobatch.model.published import Head

if TYPE_CHECKING:
    from geobatch.store.maintenance.rollback import AssetRollback, RollbackPlan

_VERBS = {Op.CREATE: "restore", Op.UPDATE: "update", Op.RENAME: "rename", Op.DELETE: "delete"}
_SHOWN = 200
"""How many changes are printed; JSON has all of them."""


def rollback_lines(plan: RollbackPlan, *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of a rollback that is about to be done."""
    yield f"geobatch rollback  {_commit_text(plan.base)} -> {_commit_text(plan.target)}"
    yield ""
    shown = plan.changes if is_whole else plan.changes[:_SHOWN]
    rows = [(f"  {_name_text(change)}", _extent(change, plan)) for change in shown]
    for change, line in zip(shown, columns(rows) if rows else (), strict=True):
        yield line
        if change.lifts_protection:
            yield "      risk     is no longer protected: the next apply can delete the asset"
    if len(plan.changes) > len(shown):
        yield f"  and {len(plan.changes) - len(shown):,} more; `-v` or `--json` lists each"
    for name, has_cubes in sorted(plan.cubes.items()):
        yield f"  {'+' if has_cubes else '-'} cubes of {name}"
    if plan.changes or plan.cubes:
        yield ""
    if not plan.knows_renames:
        yield "Commits between the two are missing: a renamed asset is deleted and restored."
    counts = [f"{plan.count(op):,} {word}" for op, word in _VERBS.items() if plan.count(op)]
    nothing = "no asset" if plan.cubes else "nothing to do"
    yield f"Rollback: {', '.join(counts) or nothing}.  {plan.unchanged:,} unchanged."
    if plan.changes:
        yield "No tile is computed or copied."


def rollback_json(plan: RollbackPlan) -> dict[str, Any]:
    """Return the machine form of a rollback that is about to be done."""
    return {
        "format_version": "1.0",
        "base": {"number": plan.base.number, "commit": plan.base.digest},
        "target": {"number": plan.target.number, "commit": plan.target.digest},
        "names": list(plan.names),
        "changes": [_change_json(change) for change in plan.changes],
        **({"cubes": plan.cubes} if plan.cubes else {}),
        "knows_renames": plan.knows_renames,
        "summary": {
            **{word: plan.count(op) for op, word in _VERBS.items()},
            "unchanged": plan.unchanged,
        },
    }


def _change_json(change: AssetRollback) -> dict[str, Any]:
    return {
        "id": change.id,
        "action": _VERBS[change.op],
        **({"previous_id": change.previous_id} if change.previous_id else {}),
        "before": None if change.before is None else change.before.content,
        "after": None if change.after is None else change.after.content,
        "lifts_protection": change.lifts_protection,
        "blocked": change.blocked,
    }


def _commit_text(head: Head) -> str:
    return f"{head.number} ({(head.digest or 'none')[:12]})"


def _name_text(change: AssetRollback) -> str:
    was = f"  (was {change.previous_id})" if change.previous_id else ""
    return f"{change.op.value} {change.id}{was}"


def _extent(change: AssetRollback, plan: RollbackPlan) -> str:
    if change.blocked:
        return f"blocked: {change.blocked}"
    if change.op is Op.DELETE:
        return f"deleted: it did not exist at commit {plan.target.number}"
    if change.op is Op.CREATE:
        return f"restored, {_size(change)}"
    verb = "renamed back" if change.op is Op.RENAME else "as it was"
    before, after = change.before, change.after
    is_same = before is not None and after is not None and before.content == after.content
    return f"{verb}, {_size(change)}" + (", the same content" if is_same else "")


def _size(change: AssetRollback) -> str:
    if change.after is None or change.after.is_table:
        return "table"
    return count_text(change.after.tiles, "tile")
