"""A plan as a table in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geobatch.model.text.html import html_table
from geobatch.model.text.shortened import shortened

if TYPE_CHECKING:
    from geobatch.model.plans.plan import AssetChange, Plan

_MOST_IDS = 500
"""Characters of ids that a note shows."""
_HEADER = ("", "asset", "why", "tiles", "check")


def plan_text(plan: Plan) -> str:
    """Return what a plan does in a few words: `1 update, 5 unchanged`."""
    counts = {"unchanged": len(plan.kept)} if plan.kept else {}
    for change in plan.changed:
        word = "refused" if change.blocked else change.op.name.lower()
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items())) or "no assets"


def plan_html(plan: Plan) -> str:
    """Return a table with a row for each asset that changes."""
    rows = [_row(change) for change in plan.changed]
    notes = [f"Refused: {one}" for one in plan.refusals]
    if plan.undeclared:
        ids = shortened(", ".join(plan.undeclared), _MOST_IDS)
        notes.append(f"Published, but not declared by these specs: {ids}")
    caption = f"Plan {plan.plan_id[:8]}: {plan_text(plan)}"
    return html_table(caption, _HEADER, rows, notes=notes)


def _row(change: AssetChange) -> tuple[str, ...]:
    renamed = f"{change.previous_id} -> " if change.previous_id else ""
    why = (f"{one.reason} {one.path} {one.detail}".strip() for one in change.because)
    risks = (f"{risk} {subject}".strip() for risk, subject in change.risks)
    return (
        f"{change.op.value} {change.op.name.lower()}",
        f"{renamed}{change.id}",
        "\n".join(why),
        _tiles(change),
        "\n".join([*risks, *([change.blocked] if change.blocked else [])]),
    )


def _tiles(change: AssetChange) -> str:
    tiles = change.tiles
    if change.table is not None:
        return "rows are read" if change.table.is_read else "rows are kept"
    if change.asset is None:
        return f"{tiles.remove:,} removed"
    return f"{tiles.compute:,} of {tiles.total:,}"
