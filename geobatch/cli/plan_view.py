"""Plans and changes for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from geobatch.cli.words import byte_text, columns, count_text
from geobatch.model.plan import AssetChange, Because, Op, Plan, Reason, Start

_VERBS = {Op.CREATE: "create", Op.UPDATE: "update", Op.DELETE: "delete"}
_WORDS = {
    Reason.NEW_ASSET: "new",
    Reason.SOURCE_CHANGED: "changed",
    Reason.SOURCE_ADDED: "added",
    Reason.SOURCE_REMOVED: "removed",
    Reason.SOURCE_MOVED: "moved",
    Reason.BAND_ADDED: "added",
    Reason.BAND_REMOVED: "removed",
    Reason.BANDS_REORDERED: "reordered",
    Reason.BAND_SOURCE_CHANGED: "source",
    Reason.POLICY_CHANGED: "",
    Reason.MASKING_CHANGED: "masking changed",
    Reason.DTYPE_CHANGED: "data type",
    Reason.GRID_CHANGED: "",
    Reason.TILING_CHANGED: "",
    Reason.CODEC_CHANGED: "",
    Reason.PROPERTIES_CHANGED: "",
    Reason.TIME_CHANGED: "",
    Reason.METADATA_CHANGED: "changed",
    Reason.LIFECYCLE_CHANGED: "",
}
REASONS_SHOWN = 8


def plan_lines(plan: Plan, *, seconds: float) -> Iterator[str]:
    """Yield the human form of a plan; assets that stay as they are are only counted."""
    known = [(plan.sources_by_stat, "by stat"), (plan.sources_hashed, "hashed")]
    ways = ", ".join(f"{number:,} {way}" for number, way in known if number)
    sources = count_text(plan.sources_by_stat + plan.sources_hashed, "source")
    yield (
        f"geobatch plan {plan.plan_id[:8]}  base {(plan.base_commit or 'none')[:6]}  "
        f"{count_text(len(plan.changes), 'asset')}, {sources}{f' ({ways})' if ways else ''}  "
        f"{seconds:.2f} s"
    )
    yield ""
    yield from change_lines(plan)
    if not plan.is_empty:
        yield ""
    counts = ", ".join(f"{plan.count(op)} {_VERBS[op]}" for op in (Op.UPDATE, Op.CREATE, Op.DELETE))
    yield f"Plan: {counts}.  {plan.count(Op.KEEP)} unchanged."


def change_lines(plan: Plan) -> Iterator[str]:
    """Yield the human form of the changes of a plan, less what is kept."""
    changes = [change for change in plan.changes if change.op is not Op.KEEP]
    rows = [
        (
            f"  {change.op.value} {change.id}",
            f"{change.tiles.compute:,} of {count_text(change.tiles.total, 'tile')}",
            _VERBS[change.op],
        )
        for change in changes
    ]
    for change, line in zip(changes, columns(rows, right={1}), strict=True):
        yield line
        yield from _detail_lines(change)


def _detail_lines(change: AssetChange) -> Iterator[str]:
    if change.op is Op.UPDATE:
        for reason in change.because[:REASONS_SHOWN]:
            yield f"      reason   {reason_text(reason)}{_kept(change, reason)}"
        if len(change.because) > REASONS_SHOWN:
            yield f"      reason   and {len(change.because) - REASONS_SHOWN} more"
    if change.tiles.compute:
        yield f"      levels   {_level_text(change.tiles.by_level)}"
        yield (
            f"      io       read {byte_text(change.bytes_read)}, "
            f"write <= {byte_text(change.bytes_write_max)}"
        )


def _kept(change: AssetChange, reason: Because) -> str:
    is_kept = reason.reason is Reason.POLICY_CHANGED and all(
        work.start is Start.LEVEL_0 for work in change.work
    )
    return "; level 0 kept" if is_kept else ""


def reason_text(because: Because) -> str:
    """Return a reason as people read it: what, how, and from what to what."""
    return " ".join(part for part in (because.path, _WORDS[because.reason], because.detail) if part)


def _level_text(by_level: tuple[int, ...]) -> str:
    """Return tile counts per level, equal neighbours folded: `L0 9 - L1 4 - L2..L5 1 each`."""
    parts = []
    for count, group in groupby(enumerate(by_level), key=lambda item: item[1]):
        levels = [level for level, _ in group]
        if count:
            span = f"L{levels[0]}" if len(levels) == 1 else f"L{levels[0]}..L{levels[-1]}"
            parts.append(f"{span} {count:,}" + (" each" if len(levels) > 1 else ""))
    return " - ".join(parts)


def plan_json(plan: Plan) -> dict[str, Any]:
    """Return the machine form of a plan."""
    return {
        "format_version": "1.0",
        "plan_id": plan.plan_id,
        "store_id": plan.store_id or None,
        "base_commit": plan.base_commit,
        "changes": not plan.is_empty,
        "sources": {"hashed": plan.sources_hashed, "by_stat": plan.sources_by_stat},
        "asset_changes": [
            change_json(change) for change in plan.changes if change.op is not Op.KEEP
        ],
        "summary": {
            **{verb: plan.count(op) for op, verb in _VERBS.items()},
            "unchanged": plan.count(Op.KEEP),
        },
    }


def change_json(change: AssetChange) -> dict[str, Any]:
    """Return the machine form of one asset's change."""
    return {
        "id": change.id,
        "actions": [_VERBS.get(change.op, "keep")],
        "reasons": [because_json(because) for because in change.because],
        "tiles": {
            "compute": change.tiles.compute,
            "total": change.tiles.total,
            "by_level": list(change.tiles.by_level),
        },
        "bytes": {"read": change.bytes_read, "write_max": change.bytes_write_max},
    }


def because_json(because: Because) -> dict[str, str]:
    """Return the machine form of a reason."""
    return {"code": because.reason.value, "path": because.path, "detail": because.detail}
