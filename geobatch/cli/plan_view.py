"""Plans and changes for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from geobatch.cli.words import byte_text, columns, count_text
from geobatch.model.plan import Because, Op, Reason, Risk

_SIGNS = {
    "create": Op.CREATE.value,
    "update": Op.UPDATE.value,
    "rename": Op.RENAME.value,
    "delete": Op.DELETE.value,
}
_COUNTED = ("update", "rename", "create", "delete", "blocked")
_IF_ANY = ("rename", "blocked")
"""What a plan counts only where there is any."""
_WORDS: dict[str, str] = {
    Reason.NEW_ASSET: "new",
    Reason.RENAMED: "renamed",
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
_RISKS: dict[str, str] = {
    Risk.PROTECTION_LIFTED: "is lifted: the asset can be deleted from the next apply on",
    Risk.CLASSES_AVERAGED: "holds classes and is averaged; MODE and SAMPLE keep classes",
}
"""What is said of the risks that reasons do not tell of already."""
REASONS_SHOWN = 8
SHOWN = 20
"""Changes of one kind that are shown each, where there are very many."""
MANY = 100
"""Changes of one kind from which most of them are only counted."""


def plan_lines(
    document: Mapping[str, Any], *, seconds: float | None = None, is_whole: bool = False
) -> Iterator[str]:
    """Yield the human form of a plan; assets that stay as they are are only counted.

    Args:
        document: The plan as `geobatch.model.plan_json.plan_json` gives it.
        seconds: How long it took to make; None for a plan that was saved.
        is_whole: Whether every change is shown, however many there are.
    """
    summary = document["summary"]
    looked = document["looked_at"]
    known = [(looked["by_stat"], "by stat"), (looked["hashed"], "hashed")]
    ways = ", ".join(f"{number:,} {way}" for number, way in known if number)
    sources = count_text(looked["by_stat"] + looked["hashed"], "source")
    counted = [name for name in _COUNTED if summary.get(name) or name not in _IF_ANY]
    assets = sum(summary[name] for name in (*counted, "unchanged"))
    yield (
        f"geobatch plan {document['plan_id'][:8]}  base {(document['base_commit'] or 'none')[:6]}  "
        f"{count_text(assets, 'asset')}, {sources}{f' ({ways})' if ways else ''}"
        f"{'' if seconds is None else f'  {seconds:.2f} s'}"
    )
    yield ""
    yield from change_lines(document["asset_changes"], is_whole=is_whole)
    if document["asset_changes"]:
        yield ""
    counts = [f"{summary[name]} {name}" for name in counted]
    skipped = summary["not_selected"]
    left = f"  {skipped} not selected." if skipped else ""
    yield f"Plan: {', '.join(counts)}.  {summary['unchanged']} unchanged.{left}"
    for refusal in document["refusals"]:
        yield f"apply would refuse: {refusal}"


def change_lines(changes: Sequence[Mapping[str, Any]], *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of changes, each as `geobatch.model.plan_json.change_json` gives it.

    Of very many that are alike, most are only counted, unless the whole is asked for: new assets,
    and updates for reasons of one kind. What deletes, is refused or bears a risk is always shown.
    """
    kinds: dict[Any, list[Mapping[str, Any]]] = {}
    for change in () if is_whole else changes:
        is_plain = not change["risks"] and not change.get("table")
        if is_plain and change["actions"] in (["create"], ["update"]):
            kinds.setdefault(_kind(change), []).append(change)
    many = [alike for alike in kinds.values() if len(alike) >= MANY]
    folded = {change["id"] for alike in many for change in alike[SHOWN:]}
    shown = [change for change in changes if change["id"] not in folded]
    rows = [(f"  {_name_text(change)}", *_extent(change)) for change in shown]
    for change, line in zip(shown, columns(rows, right={1}), strict=True):
        yield line
        yield from _detail_lines(change)
    for alike in many:
        yield from _folded_lines(alike[SHOWN:])


def _kind(change: Mapping[str, Any]) -> Any:
    """Return what changes have in common that a reviewer may look at as one."""
    return (change["actions"][0], tuple(sorted({one["code"] for one in change["reasons"]})))


def _folded_lines(alike: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    action, codes = _kind(alike[0])
    tiles = [change["tiles"] for change in alike]
    total = count_text(sum(one["total"] for one in tiles), "tile")
    yield (
        f"  {_SIGNS[action]} {len(alike):,} more, {alike[0]['id']} to {alike[-1]['id']}  "
        f"{sum(one['compute'] for one in tiles):,} of {total}  {action}"
    )
    if action == "update":
        words = ", ".join(code.lower().replace("_", " ") for code in codes)
        yield f"      reason   {words}"
    read, write = (sum(change["bytes"][name] for change in alike) for name in ("read", "write_max"))
    yield f"      io       read {byte_text(read)}, write <= {byte_text(write)}"
    yield "      each     with `-v`, with `--json`, and in a saved plan"


def _name_text(change: Mapping[str, Any]) -> str:
    previous = change.get("previous_id")
    action = change["actions"][0]
    if action == "blocked":  # either of the two that can be
        action = "rename" if previous else "delete"
    return f"{_SIGNS[action]} {change['id']}" + (f"  (was {previous})" if previous else "")


def _extent(change: Mapping[str, Any]) -> tuple[str, str]:
    actions, tiles = change["actions"], change["tiles"]
    if actions == ["blocked"]:
        return "", f"blocked: {change['blocked']}"
    if change.get("table") and actions[0] != "rename":
        return _rows_text(change), " and ".join(actions)
    if actions == ["delete"]:
        return count_text(tiles["remove"], "tile"), "delete"
    if actions == ["rename"]:
        return "", f"renamed, {count_text(tiles['compute'], 'tile')}"
    if not tiles["total"]:  # an external image
        gone = f", {count_text(tiles['remove'], 'tile')} removed" if tiles["remove"] else ""
        return f"no tiles{gone}", " and ".join(actions)
    return f"{tiles['compute']:,} of {count_text(tiles['total'], 'tile')}", " and ".join(actions)


def _rows_text(change: Mapping[str, Any]) -> str:
    """Return what happens to the rows of a table: how many come is known only once they are."""
    table = change["table"]
    if table["is_read"]:
        return f"table, {byte_text(change['bytes']['read'])} to read"
    rows = "table" if table["rows"] is None else count_text(table["rows"], "row")
    return rows if change["actions"] == ["delete"] else f"{rows} kept"


def _detail_lines(change: Mapping[str, Any]) -> Iterator[str]:
    tiles = change["tiles"]
    if "update" in change["actions"]:
        reasons = [one for one in change["reasons"] if one["code"] != Reason.RENAMED]
        for reason in reasons[:REASONS_SHOWN]:
            kept = (
                "; level 0 kept"
                if reason["code"] == Reason.POLICY_CHANGED and change.get("is_level_0_kept")
                else ""
            )
            yield f"      reason   {_reason_text(reason)}{kept}"
        if len(reasons) > REASONS_SHOWN:
            yield f"      reason   and {len(reasons) - REASONS_SHOWN} more"
    for risk in change["risks"]:
        if risk["code"] in _RISKS:
            yield f"      risk     {risk['path']} {_RISKS[risk['code']]}"
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
