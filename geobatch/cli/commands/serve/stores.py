"""The store that `serve` and `site` read: the argument, or `--store`; and its saved plans."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import msgspec
from msgspec.structs import replace

from geobatch.cli.commands.review.review_run import require_plan
from geobatch.cli.files.saved_plan import tiles_of
from geobatch.cli.settings import Settings
from geobatch.cli.stores import require_store
from geobatch.errors import SourceError
from geobatch.extras import install_hint
from geobatch.model.plans.plan_document import PlanDocument
from geobatch.review.build import report_of
from geobatch.review.links import Links
from geobatch.serve.answers.plans import SavedPlan


def named_store(settings: Settings, store: str | None) -> Settings:
    """Return the settings with the store that the command names; check that it is there.

    Raises:
        NoStoreError: There is no store.
        SourceError: A library is missing.
    """
    if any(find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise SourceError("this requires starlette and uvicorn", hint=install_hint("serve"))
    if store is not None:
        settings = replace(settings, store_text=store, _parsed=[])
    require_store(settings)
    return settings


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
