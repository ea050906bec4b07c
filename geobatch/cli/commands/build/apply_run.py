"""What `apply` does, with specs and with saved plans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from msgspec.structs import replace

from geobatch.cli.commands.build.options import Asked, refuse_plans, request_of
from geobatch.cli.commands.build.plan_run import print_failures
from geobatch.cli.exits import Exit
from geobatch.cli.files.saved_plan import (
    SavedPlan,
    approval,
    estimate_json,
    expectation,
    find_plan,
)
from geobatch.cli.settings import Settings
from geobatch.cli.stores import check_store
from geobatch.cli.views.plan import plan_lines, undeclared_lines
from geobatch.errors import Problem
from geobatch.model.plans.plan import Options
from geobatch.model.plans.plan_json import change_json, plan_json
from geobatch.model.plans.summary import ApplySummary
from geobatch.workflow.apply import apply_specs
from geobatch.workflow.planning.place import locate
from geobatch.workflow.planning.planned_specs import PlannedSpecs
from geobatch.workflow.request import Request
from geobatch.workflow.stages import Approve


class _DeclinedError(Exception):
    """Somebody was asked, and did not agree."""


def run_apply(settings: Settings, paths: Sequence[Path], asked: Asked) -> Exit:
    """Carry out specs, or a saved plan."""
    from geobatch.cli.progress import observing
    from geobatch.cli.views.store import summary_json, summary_lines

    saved = find_plan(paths[0]) if len(paths) == 1 else None
    if saved is None:
        refuse_plans(paths, "apply")
        check_store(settings, paths, is_new=asked.is_new_store)
        if asked.expected and asked.keep_going:
            raise typer.BadParameter("`--expect-plan` cannot be combined with `--keep-going`")
        agree = expectation(asked.expected) if asked.expected else lambda _: None
        approve = _showing_first(settings, agree, is_asking=not asked.is_agreed)
    else:
        if asked.options != Options() or asked.keep_going or asked.expected:
            raise typer.BadParameter(
                f"`{saved.file}` is a saved plan, which is applied exactly or not at all: "
                "only `--rehash`, `--confine` and `--allow-from` can be combined with it"
            )
        # A plan for a store that was to be made has said so when it was made.
        is_new = asked.is_new_store or saved.document["store_id"] is None
        check_store(settings, saved.paths, is_new=is_new)
        approve = _showing_first(settings, approval(saved), is_asking=False, saved=saved)
    output = settings.output
    with observing(is_quiet=output.is_quiet, is_json=output.is_json) as observer:
        request = request_of(settings, paths, asked, saved)
        try:
            summary = _published(settings, request, saved, approve)
            if summary is None:
                summary = apply_specs(request, observer=observer, approve=approve)
        except _DeclinedError:
            output.note("nothing was changed")
            return Exit.ERROR
    output.warn(summary.warnings)
    failed = {failure.id for failure in summary.failures}
    for change in summary.plan.changed:
        if output.is_json and change.id not in failed:
            done = replace(change, checks=summary.checks.get(change.id, change.checks))
            output.record("asset", **change_json(done, locate=locate))
    print_failures(output, summary.failures)
    for line in summary_lines(summary):
        output.line(line)
    output.record("summary", **summary_json(summary))
    return Exit.PARTIAL if failed else Exit.OK


def _published(
    settings: Settings, request: Request, saved: SavedPlan | None, approve: Approve
) -> ApplySummary | None:
    """Publish what a saved plan has put already; return None if it must be computed."""
    if saved is None or saved.rehearsal is None:
        return None
    from geobatch.workflow.rehearsal.publish import apply_rehearsed
    from geobatch.workflow.rehearsal.results import LostRehearsalError

    stated = saved.rehearsal["content_root"]
    try:
        summary = apply_rehearsed(request, saved.plan_id, stated=stated, approve=approve)
    except LostRehearsalError as error:
        settings.output.note(f"note: the plan is computed again: {error.message}")
        return None
    if summary.content_root != stated:
        settings.output.note(
            "note: other assets were published since the plan was made, so the content root is "
            f"`{summary.content_root}`, not `{stated}`; the planned assets are as reviewed"
        )
    return summary


def _showing_first(
    settings: Settings, agree: Approve, *, is_asking: bool, saved: SavedPlan | None = None
) -> Approve:
    """Return an approval that prints a plan and its warnings before it is carried out, once.

    On a terminal it asks before a plan with a risk, which a saved plan was reviewed for.
    A store that another process makes meanwhile has the plan made again: then both are printed if
    they differ.
    """
    output = settings.output
    warned: set[Problem] = set()
    shown: set[str] = set()

    def approve(planned: PlannedSpecs) -> None:
        output.warn([one for one in planned.warnings if one not in warned])
        warned.update(planned.warnings)
        agree(planned)
        made = planned.plan
        if made.plan_id in shown:
            return
        shown.add(made.plan_id)
        # What was rehearsed is published as it was reviewed.
        is_rehearsed = saved is not None and saved.rehearsal is not None
        document: Mapping[str, Any] = {**plan_json(made), **estimate_json(planned)}
        if saved is not None and is_rehearsed:
            document = saved.document
        output.record("plan", **document)
        lines = undeclared_lines(document)
        if not made.is_empty:
            lines = plan_lines(document, is_whole=settings.is_verbose)
        for line in lines:
            output.line(line)
        output.flush()
        is_risky = any(change.risks for change in made.changed)
        if is_asking and is_risky and not output.is_confirmed("Apply this plan?"):
            raise _DeclinedError

    return approve
