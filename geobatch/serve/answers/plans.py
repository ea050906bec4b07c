"""Plans that are not published: those that were rehearsed, and saved ones that were named."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.review.geojson import geojson
from geobatch.review.report import Report
from geobatch.review.tiles import Row
from geobatch.serve.answers.answer import Answer, Question, json_answer
from geobatch.serve.answers.history import tiles_json
from geobatch.serve.commits import REHEARSAL, Served
from geobatch.store.rehearsals.records import Rehearsal, time_text

Rows: TypeAlias = Callable[[], Iterable[Row]]


class SavedPlan(Struct, frozen=True, kw_only=True, eq=False):
    """A plan that was read from a file."""

    name: str
    """Name of the file."""
    report: Report
    """What it says."""
    rows: Rows
    """Yields a row for each tile that changes."""


class Plans:
    """Answers about plans."""

    def __init__(self, saved: Sequence[SavedPlan] = ()) -> None:
        self._saved = {one.report.plan_id: one for one in saved}

    def listed(self, question: Question) -> Answer:
        """Answer which plans there are: those that were rehearsed last, and then saved ones."""
        return json_answer({"plans": self.found(question.served)}, None)

    def found(self, served: Served) -> list[dict[str, Any]]:
        """Return the plans."""
        now = datetime.now(UTC)
        live = sorted(
            (one for one in served.store.rehearsals.all() if one.is_live(now)),
            key=lambda one: one.made,
            reverse=True,
        )
        rehearsed = {one.id for one in live}  # and perhaps saved, too
        return [_rehearsal_json(one) for one in live] + [
            {
                "id": one.report.plan_id,
                "kind": "plan",
                "name": one.name,
                "assets": [asset.id for asset in one.report.assets],
            }
            for one in self._saved.values()
            if one.report.plan_id not in rehearsed
        ]

    def tiles(self, question: Question) -> Answer:
        """Answer with the tiles of an asset that a plan changes, as GeoJSON.

        Raises:
            NotFoundError: There is no such plan or asset.
        """
        plan_id, asset_id = question.path["plan"], question.query.get("asset", "")
        if (saved := self._saved.get(plan_id)) is not None:
            return json_answer(_of_asset(saved, asset_id), None)
        commits = question.served.commits
        after = commits.find(f"{REHEARSAL}{plan_id}")
        rehearsal = question.served.store.rehearsals.find(after.name.removeprefix(REHEARSAL))
        if rehearsal is None:
            raise NotFoundError(f"there is no rehearsed plan `{plan_id}`")
        before = commits.find(rehearsal.base or "")
        return json_answer(tiles_json(question.served, before, after, asset_id, 0), after)


def _rehearsal_json(one: Rehearsal) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": "rehearsal",
        "at": f"{REHEARSAL}{one.id}",
        "base": one.base,
        "base_number": one.base_number,
        "made": time_text(one.made),
        "expires": time_text(one.expires),
    }


def _of_asset(saved: SavedPlan, asset_id: str) -> Mapping[str, Any]:
    """Return the tiles of one asset at the finest level that changes."""
    rows = (row for row in saved.rows() if row.get("asset") == asset_id)
    found: dict[str, Any] = json.loads(geojson(saved.report, rows))
    finest = min((one["properties"]["level"] for one in found["features"]), default=0)
    found["features"] = [one for one in found["features"] if one["properties"]["level"] == finest]
    return found
