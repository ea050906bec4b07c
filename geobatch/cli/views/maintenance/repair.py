"""What a repair does and what it left, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from geobatch.cli.views.maintenance.fsck import printable
from geobatch.cli.words import count_text
from geobatch.model.plans.plan import AssetChange
from geobatch.store.commits.refs import Refs
from geobatch.store.objects import Objects
from geobatch.workflow.maintenance.repair import Repaired, RepairPlan

_SHOWN = 10
"""Names of one kind that are printed."""


def plan_lines(plan: RepairPlan, *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of a plan.

    Args:
        plan: What a repair does.
        is_whole: Whether every name is printed.
    """
    if plan.is_empty:
        yield "Repair: nothing can be done."
    else:
        yield "Repair:"
    for step in _steps(plan):
        names = step["names"] if is_whole else step["names"][:_SHOWN]
        yield f"  {step['text']}"
        yield from (f"      {printable(name)}" for name in names)
        if more := len(step["names"]) - len(names):
            yield f"      and {more:,} more; `-v` and `--json` name all"
    yield from left_lines(plan.left)


def left_lines(left: Sequence[str]) -> Iterator[str]:
    """Yield what is not repaired."""
    if left:
        yield "Not repaired:"
    for text in left:
        yield f"  ! {printable(text)}"


def _steps(plan: RepairPlan) -> Iterator[dict[str, Any]]:
    """Yield what is done, in this order: an action, a sentence, names."""
    yield from _first_steps(plan)
    if plan.is_new_identity:
        yield _step("identity", "give the store a new id: saved plans become stale", [])
    restored = plan.restored
    if restored.refs:
        names = [f"{Refs.path(number)}  {digest}" for number, digest in restored.refs.items()]
        yield _step("refs", "write refs again, as other commits name them", names)
    if restored.documents:
        names = [Objects.path(digest) for digest in restored.documents]
        yield _step("documents", "write documents again, made from others", names)
    if restored.commit is not None:
        text = f"publish the tree of commit {restored.commit[0]} again, whose document is lost"
        yield _step("commit", text, [])
    if plan.copied:
        names = [f"{Objects.path(digest)}  {path}" for digest, path in plan.copied.items()]
        yield _step("copy", "copy objects from files of the views that have their bytes", names)
    if plan.recomputing.planned is not None:
        names = [_change_text(change) for change in plan.recomputing.changes]
        yield _step("recompute", "compute from the sources", names)
    if plan.is_shown_again:
        yield _step("views", "complete the views, such as `zarr/`", [])


def _first_steps(plan: RepairPlan) -> Iterator[dict[str, Any]]:
    """Yield what is done with files of quarantine, and with what `gc` recorded."""
    if plan.returned:
        names = [Objects.path(digest) for digest in plan.returned]
        yield _step("return", "put objects back from `quarantine/`", names)
    moved = [*plan.moved, *plan.shown]
    if moved:
        yield _step("quarantine", f"move {count_text(len(moved), 'file')} to `quarantine/`", moved)
    if plan.dropped:
        text = "record as dropped by `gc`: the trees are gone, and what said so is damaged"
        yield _step("drop", text, [f"commit {number}" for number in plan.dropped])


def _step(action: str, text: str, names: Sequence[str]) -> dict[str, Any]:
    return {"action": action, "text": text, "names": list(names)}


def _change_text(change: AssetChange) -> str:
    if change.table is not None:
        return f"{change.id}  all rows"
    if not change.work:
        return f"{change.id}  its document"
    return f"{change.id}  {change.tiles.compute:,} of {count_text(change.tiles.total, 'tile')}"


def plan_json(plan: RepairPlan) -> dict[str, Any]:
    """Return the machine form of a plan; nothing is left out."""
    return {"steps": list(_steps(plan)), "left": list(plan.left)}


def repaired_json(repaired: Repaired) -> dict[str, Any]:
    """Return the machine form of what a repair did."""
    return {
        "findings_before": len(repaired.before.findings),
        "findings_after": len(repaired.after.findings),
        "quarantine": list(repaired.batches),
        "left": list(repaired.left),
    }
