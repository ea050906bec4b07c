"""Plans and changes for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from geobatch.cli.views.plan_groups import ALIKE, NAMES_SHOWN, grouped, joined, names_text
from geobatch.cli.views.plan_rehearsal import rehearsal_lines, rehearsed_lines
from geobatch.cli.words import byte_text, columns, count_text
from geobatch.model.plans.plan import Because, Op, Reason
from geobatch.model.plans.words import reason_words, risk_words
from geobatch.model.text.words import estimate_text

_SIGNS = {
    "create": Op.CREATE.value,
    "update": Op.UPDATE.value,
    "rename": Op.RENAME.value,
    "delete": Op.DELETE.value,
}
_COUNTED = ("update", "rename", "create", "delete", "blocked")
_IF_ANY = ("rename", "blocked")
"""What a plan counts only where there is any."""
REASONS_SHOWN = 8


def plan_lines(
    document: Mapping[str, Any], *, seconds: float | None = None, is_whole: bool = False
) -> Iterator[str]:
    """Yield the human form of a plan; unchanged assets are only counted.

    Args:
        document: The plan as `geobatch.model.plans.plan_json.plan_json` gives it.
        seconds: How long it took to make; None for a plan that was saved.
        is_whole: Whether every change is shown, however many there are.
    """
    summary = document["summary"]
    looked = document["looked_at"]
    known = [(looked["by_stat"], "unchanged"), (looked["hashed"], "hashed")]
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
    yield from _cube_lines(document)
    if document["asset_changes"] or document.get("cubes"):
        yield ""
    counts = [f"{summary[name]:,} {name}" for name in counted]
    skipped = summary["not_selected"]
    left = f"  {skipped:,} not selected." if skipped else ""
    yield f"Plan: {', '.join(counts)}.  {summary['unchanged']:,} unchanged.{left}"
    yield from _total_lines(document)
    yield from rehearsal_lines(document)
    yield from undeclared_lines(document)
    for refusal in document["refusals"]:
        yield f"apply would refuse: {refusal}"


def _cube_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield which cubes appear, change and go."""
    rows = []
    for cube in document.get("cubes", ()):
        counts = [f"{cube[name]:,} {name}" for name in ("added", "changed", "removed")]
        shown = [text for text in counts if not text.startswith("0 ")]
        rows.append(
            (
                f"  {_SIGNS[cube['action']]} cube {cube['id']}",
                count_text(cube["images"], "image"),
                f"{cube['action']}: {', '.join(shown)}",
            )
        )
    yield from columns(rows, right={1})


def _total_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield what all changes do together, and where, of several."""
    changes, totals = document["asset_changes"], document.get("totals")
    if totals is None or not changes:  # a version before 1.1 saved it
        return
    tiles, size = totals["tiles"], totals["bytes"]
    if not any((*tiles.values(), *size.values())):
        return
    removed = f", {count_text(tiles['remove'], 'tile')} removed" if tiles["remove"] else ""
    yield (
        f"Total: {tiles['compute']:,} of {count_text(tiles['total'], 'tile')}{removed}; "
        f"read {byte_text(size['read'])}, write <= {byte_text(size['write_max'])}."
    )
    if (found := document.get("estimate")) is not None:
        is_same = found.get("is_same_machine", True)
        text = estimate_text(found["seconds"], found["runs"], is_same_machine=is_same)
        yield f"Apply {text}."
    folders = document.get("collections", ())
    if len(changes) < ALIKE or len(folders) < 2:
        return
    rows = [
        (
            f"  {folder['id'] or '(no folder)'}",
            ", ".join(f"{folder[name]:,} {name}" for name in _COUNTED if folder.get(name)),
        )
        for folder in folders[:NAMES_SHOWN]
    ]
    yield from columns(rows)
    if len(folders) > NAMES_SHOWN:
        yield f"  and {len(folders) - NAMES_SHOWN:,} more folders; `--json` lists all"


def undeclared_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield which published assets have no spec among those given, if any."""
    ids = document.get("undeclared", ())
    if ids:
        verb = "has" if len(ids) == 1 else "have"
        more = f" and {len(ids) - REASONS_SHOWN:,} more" if len(ids) > REASONS_SHOWN else ""
        yield (
            f"{count_text(len(ids), 'published asset')} {verb} no spec here and "
            f"{'stays' if len(ids) == 1 else 'stay'}: {', '.join(ids[:REASONS_SHOWN])}{more}"
        )


def change_lines(changes: Sequence[Mapping[str, Any]], *, is_whole: bool = False) -> Iterator[str]:
    """Yield the human form of changes, each as `plan_json.change_json` gives it.

    Ten or more similar ones are one entry with the values that differ, unless all are requested.
    What deletes, renames or is refused is always shown by itself.
    """
    groups = [[change] for change in changes] if is_whole else grouped(changes)
    shown = [group[0] if len(group) == 1 else joined(group) for group in groups]
    rows = [(f"  {_name_text(change)}", *_extent(change)) for change in shown]
    for change, line in zip(shown, columns(rows, right={1}), strict=True):
        yield line
        yield from _detail_lines(change)


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
            words = reason_words(reason["code"], reason["path"], reason["detail"])
            yield f"      reason   {words}{kept}"
        if len(reasons) > REASONS_SHOWN:
            yield f"      reason   and {len(reasons) - REASONS_SHOWN} more"
    for risk in change["risks"]:
        path = "" if risk["path"] == change["id"] else f"{risk['path']} "
        # A plan that a newer minor version saved may give risks that have no word here.
        yield f"      risk     {path}{risk_words(risk['code'])}"
    yield from _check_lines(change)
    if reused := change.get("reused_bands"):
        yield f"      reused   {', '.join(reused)}: the tiles are in the store already"
    if tiles["compute"]:
        yield f"      levels   {_level_text(tiles['by_level'])}"
        yield (
            f"      io       read {byte_text(change['bytes']['read'])}, "
            f"write <= {byte_text(change['bytes']['write_max'])}"
        )
    if rehearsed := change.get("rehearsed"):
        yield from rehearsed_lines(rehearsed)
    if ids := change.get("ids"):
        yield f"      assets   {names_text(ids)}"


def _check_lines(change: Mapping[str, Any]) -> Iterator[str]:
    """Yield the checks that failed, and those that read tiles which the plan does not compute."""
    for check in change.get("checks", ()):
        what = f"{check['kind']} of {check['subject']}"
        if check["status"] == "failed":
            yield (
                f"      check    {what}: {check['found']}, expected {check['expected']} "
                f"({check['severity']})"
            )
        elif check.get("basis") == "stored tiles":
            yield f"      check    {what}: is computed from stored tiles, no source is read"


def reason_text(because: Because) -> str:
    """Return a reason as people read it: what, how, and from what to what."""
    return reason_words(because.reason, because.path, because.detail)


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
