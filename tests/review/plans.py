"""Plan documents for tests of reports."""

from __future__ import annotations

from typing import Any

import msgspec

from geobatch.model.plans.plan_document import PlanDocument
from geobatch.review.build import report_of
from geobatch.review.links import Links
from geobatch.review.report import Report

DIGEST = "0123456789abcdef" * 4


def change(asset: str, action: str = "update", **more: Any) -> dict[str, Any]:
    """Return the document of one change."""
    return {
        "id": asset,
        "actions": [action],
        "reasons": [],
        "tiles": {
            "compute": 4, "total": 8, "add": 0, "change": 4, "remove": 0, "unchanged": 4,
            "by_level": [0, 2, 2],
        },
        "bytes": {"read": 0, "write_max": 1000},
        "risks": [],
        "declared": {"path": "specs/a.yaml", "line": 3},
        **more,
    }  # fmt: skip


def plan(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the document of a plan."""
    actions = [one["actions"][0] for one in changes]
    names = ("create", "update", "rename", "delete", "blocked")
    tiles, size = (
        {name: sum(one[part][name] for one in changes) for name in names}
        for part, names in (("tiles", ("compute", "total", "remove")), ("bytes", ("read",)))
    )
    return {
        "format_version": "1.2",
        "plan_id": DIGEST,
        "store_id": "s",
        "base_commit": DIGEST,
        "changes": True,
        "looked_at": {"hashed": 0, "by_stat": 1},
        "asset_changes": list(changes),
        "refusals": [],
        "summary": {
            **{name: actions.count(name) for name in names},
            "unchanged": 5,
            "not_selected": 0,
        },
        "tool": {"name": "geobatch", "version": "0"},
        "assets": [],
        "deleted": [],
        "sources": [],
        "options": {"select": [], "replace": [], "prune": False, "max_delete": None},
        "paths": ["specs"],
        "totals": {"tiles": tiles, "bytes": {**size, "write_max": 0}},
        **more,
    }


def report(document: dict[str, Any], links: Links | None = None) -> Report:
    """Return the report of a plan document."""
    return report_of(msgspec.convert(document, PlanDocument), links or Links())
