"""Saved plans that `serve` shows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from geobatch.cli.commands.review.review_run import require_plan
from geobatch.cli.files.saved_plan import tiles_of
from geobatch.model.plans.plan_document import PlanDocument
from geobatch.review.build import report_of
from geobatch.review.links import Links
from geobatch.serve.answers.plans import SavedPlan


def saved_plans(files: Sequence[Path]) -> list[SavedPlan]:
    """Return the plans of some files.

    Raises:
        PlanError: One is not a plan.
    """
    found = []
    for file in files:
        saved = require_plan(file)
        document = msgspec.convert(saved.document, PlanDocument)
        report = report_of(document, Links())
        found.append(SavedPlan(name=file.name, report=report, rows=partial(tiles_of, saved)))
    return found
