"""Saved plans that `serve` shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from geobatch.cli.commands.review.review_run import require_plan
from geobatch.cli.files.saved_plan import tiles_of
from geobatch.errors import PlanError
from geobatch.model.plans.plan_document import PlanDocument
from geobatch.review.build import report_of
from geobatch.review.links import Links
from geobatch.serve.answers.plans import SavedPlan


def saved_plans(files: Sequence[Path], store_id: str) -> list[SavedPlan]:
    """Return the plans of some files.

    Raises:
        PlanError: One is not a plan, or one of another store.
    """
    found = []
    for file in files:
        saved = require_plan(file)
        document = msgspec.convert(saved.document, PlanDocument)
        if document.store_id not in (None, store_id):
            raise PlanError(
                f"`{file}` is a plan for another store: `{document.store_id}`, "
                f"expected `{store_id}`",
                hint=f"`geobatch plan SPECS --store STORE -o {file}` makes one for this store",
            )
        report = report_of(document, Links())
        found.append(SavedPlan(name=file.name, report=report, rows=partial(tiles_of, saved)))
    return found
