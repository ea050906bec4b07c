"""Plans and changes for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from geobatch.cli.words import byte_text, columns, count_text
from geobatch.model.plan import Because, Op, Reason

_SIGNS = {
    "create": Op.CREATE.value,
    "update": Op.UPDATE.value,
    "delete": Op.DELETE.value,
    "blocked": Op.DELETE.value,
}
_COUNTED = ("update", "create", "delete")
_WORDS: dict[str, str] = {
    Reason.NEW_ASSET: "new",
    Reason.KIND_CHANGED: "",
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
    Reason.REPLACE_REQUESTED: "is computed anew, as asked for",
    Reason.NOT_DECLARED: "is not declared",
}
REASONS_SHOWN = 8


def plan_lines(document: Mapping[str, Any], *, seconds: float | None = None) -> Iterator[str]:
    """Yield the human form of a plan; assets that stay as they are are only counted.

    Args:
        document: The plan as `geobatch.model.plan_json.plan_json` gives it.
        seconds: How long it took to make; None for a plan that was saved.
    """
    summary = document["summary"]
    looked = document["looked_at"]
    known = [(looked["by_stat"], "by stat"), (looked["hashed"], "hashed")]
    ways = ", ".join(f"{number:,} {way}" for number, way in known if number)
    sources = count_text(looked["by_stat"] + looked["hashed"], "source")
    assets = sum(summary[name] for name in (*_COUNTED, "blocked", "unchanged"))
    yield (
        f"geobatch plan {document['plan_id'][:8]}  base {(document['base_commit'] or 'none')[:6]}  "
        f"{count_text(assets, 'asset')}, {sources}{f' ({ways})' if ways else ''}"
        f"{'' if seconds is None else f'  {seconds:.2f} s'}"
    )
    yield ""
    yield from change_lines(document["asset_changes"])
    if document["asset_changes"]:
        yield ""
    counts = [f"{summary[name]} {name}" for name in _COUNTED]
    counts += [f"{summary['blocked']} blocked"] if summary["blocked"] else []
    skipped = summary["not_selected"]
    left = f"  {skipped} not selected." if skipped else ""
    yield f"Plan: {', '.join(counts)}.  {summary['unchanged']} unchanged.{left}"
    for refusal in document["refusals"]:
        yield f"apply would refuse: {refusal}"


def change_lines(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the human form of changes, each as `geobatch.model.plan_json.change_json` gives it."""
    rows = [
        (f"  {_SIGNS[change['actions'][0]]} {change['id']}", *_extent(change)) for change in changes
    ]
    for change, line in zip(changes, columns(rows, right={1}), strict=True):
        yield line
        yield from _detail_lines(change)


def _extent(change: Mapping[str, Any]) -> tuple[str, str]:
    (action,) = change["actions"]
    tiles = change["tiles"]
    if action == "blocked":
        return "", f"blocked: {change['blocked']}"
    if action == "delete":
        return count_text(tiles["remove"], "tile"), action
    if not tiles["total"]:  # an external image
        gone = f", {count_text(tiles['remove'], 'tile')} removed" if tiles["remove"] else ""
        return f"no tiles{gone}", action
    return f"{tiles['compute']:,} of {count_text(tiles['total'], 'tile')}", action


def _detail_lines(change: Mapping[str, Any]) -> Iterator[str]:
    (action,) = change["actions"]
    tiles = change["tiles"]
    if action == "update":
        reasons = change["reasons"]
        for reason in reasons[:REASONS_SHOWN]:
            kept = (
                "; level 0 kept"
                if reason["code"] == Reason.POLICY_CHANGED and change.get("is_level_0_kept")
                else ""
            )
            yield f"      reason   {_reason_text(reason)}{kept}"
        if len(reasons) > REASONS_SHOWN:
            yield f"      reason   and {len(reasons) - REASONS_SHOWN} more"
    if tiles["compute"]:
        yield f"      levels   {_level_text(tiles['by_level'])}"
        yield (
            f"      io       read {byte_text(change['bytes']['read'])}, "
            f"write <= {byte_text(change['bytes']['write_max'])}"
        )


def _reason_text(reason: Mapping[str, str]) -> str:
    # A plan that a newer minor version saved may give reasons that have no word here.
    word = _WORDS.get(reason["code"], reason["code"])
    return " ".join(part for part in (reason["path"], word, reason["detail"]) if part)


def reason_text(because: Because) -> str:
    """Return a reason as people read it: what, how, and from what to what."""
    return " ".join(part for part in (because.path, _WORDS[because.reason], because.detail) if part)


def because_json(because: Because) -> dict[str, str]:
    """Return the machine form of a reason."""
    return {"code": because.reason.value, "path": because.path, "detail": because.detail}


def _level_text(by_level: Sequence[int]) -> str:
    """Return tile counts per level, equal neighbours folded: `L0 9 - L1 4 - L2..L5 1 each`."""
    parts = []
    for count, group in groupby(enumerate(by_level), key=lambda item: item[1]):
        levels = [level for level, _ in group]
        if count:
            span = f"L{levels[0]}" if len(levels) == 1 else f"L{levels[0]}..L{levels[-1]}"
            parts.append(f"{span} {count:,}" + (" each" if len(levels) > 1 else ""))
    return " - ".join(parts)
