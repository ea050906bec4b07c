"""Groups similar changes into one entry of a plan, so that they are reviewed together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from geobatch.model.plans.plan import Reason

Change: TypeAlias = Mapping[str, Any]
"""A change as `geobatch.model.plans.plan_json.change_json` gives it."""

ALIKE = 10
"""From so many similar changes on, they become one entry."""
NAMES_SHOWN = 20
VALUES_SHOWN = 3
_GROUPED = (["create"], ["update"])
"""Actions that are grouped; what deletes, renames or is blocked is always listed by itself."""
_OF_SOURCES = (
    Reason.SOURCE_CHANGED, Reason.SOURCE_ADDED, Reason.SOURCE_REMOVED, Reason.SOURCE_MOVED,
)  # fmt: skip


def grouped(changes: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Yield changes in order; similar ones become one group at the position of the first."""
    groups: dict[Any, list[Change]] = {}
    for change in changes:
        groups.setdefault(_kind(change), []).append(change)
    for change in changes:
        group = groups[_kind(change)]
        if len(group) < ALIKE:
            yield [change]
        elif change is group[0]:
            yield group


def joined(group: Sequence[Change]) -> dict[str, Any]:
    """Return a group as one change: counts added up, reasons with the values that differ."""
    first = group[0]
    tiles = [change["tiles"] for change in group]
    depth = max(len(one["by_level"]) for one in tiles)
    by_level = [
        sum(one["by_level"][level] for one in tiles if level < len(one["by_level"]))
        for level in range(depth)
    ]
    return {
        **first,
        "id": f"{len(group):,} assets, {first['id']} to {group[-1]['id']}",
        "tiles": {
            **{name: sum(one[name] for one in tiles) for name in tiles[0] if name != "by_level"},
            "by_level": by_level,
        },
        "bytes": {name: sum(change["bytes"][name] for change in group) for name in first["bytes"]},
        "reasons": list(_reasons(group)),
        "risks": [
            {"code": code, "path": _shown([one["path"] for one in _all(group, "risks", code)])}
            for code in dict.fromkeys(risk["code"] for risk in first["risks"])
        ],
        "is_level_0_kept": all(change.get("is_level_0_kept") for change in group),
        "reused_bands": sorted({band for one in group for band in one.get("reused_bands", ())}),
        "ids": [change["id"] for change in group],
        "rehearsed": _rehearsed(group),
    }


def _rehearsed(group: Sequence[Change]) -> dict[str, Any] | None:
    """Return how many tiles of a rehearsed group differ; how bands change, only `--json` says."""
    found = [change["rehearsed"]["levels"] for change in group if "rehearsed" in change]
    depth = max(map(len, found), default=0)
    levels = [
        {"level": n, "different": sum(one[n]["different"] for one in found if n < len(one))}
        for n in range(depth)
    ]
    return {"levels": levels} if found else None


def names_text(ids: Sequence[str]) -> str:
    """Return the names of a group: all of few, the first and the last of many."""
    if len(ids) <= NAMES_SHOWN:
        return ", ".join(ids)
    return f"{', '.join(ids[:3])}, ... {ids[-1]}; `-v` or `--json` lists each"


def _kind(change: Change) -> Any:
    """Return what changes have in common that a reviewer may review as one."""
    if change["actions"] not in _GROUPED or change.get("table"):
        return change["id"]
    is_free = not change["tiles"]["compute"]
    reasons = sorted({(one["code"], _part(change, one)) for one in change["reasons"]})
    risks = sorted({risk["code"] for risk in change["risks"]})
    checks = [
        (one["index"], one["subject"], one["status"], one.get("found"), one.get("basis"))
        for one in change.get("checks", ())
    ]
    return (change["actions"][0], is_free, tuple(reasons), tuple(risks), tuple(checks))


def _part(change: Change, reason: Mapping[str, str]) -> str:
    """Return the part of a spec that a reason is about; none where it names sources or itself."""
    is_own = reason["path"] == change["id"] or reason["path"].startswith("placement of ")
    return "" if is_own or reason["code"] in _OF_SOURCES else reason["path"]


def _reasons(group: Sequence[Change]) -> Iterator[dict[str, str]]:
    kinds = dict.fromkeys((one["code"], _part(group[0], one)) for one in group[0]["reasons"])
    for code, part in kinds:
        found = [
            (one["path"] if not part else "", one["detail"])
            for change in group
            for one in change["reasons"]
            if (one["code"], _part(change, one)) == (code, part)
        ]
        is_about_itself = group[0]["id"] in {path for path, _ in found}
        texts = [
            detail if part or is_about_itself else f"{path} {detail}".strip()
            for path, detail in found
        ]
        yield {"code": code, "path": part, "detail": _shown(texts)}


def _all(group: Sequence[Change], member: str, code: str) -> Iterator[Mapping[str, str]]:
    for change in group:
        for one in change[member]:
            if one["code"] == code:
                yield {**one, "path": "" if one["path"] == change["id"] else one["path"]}


def _shown(texts: Sequence[str]) -> str:
    """Return texts, each once: all of few, some of many."""
    different = list(dict.fromkeys(texts))
    more = len(different) - VALUES_SHOWN
    text = "; ".join(different[:VALUES_SHOWN])
    return f"{text}; and {more:,} more" if more > 0 else text
