"""What `plan` does, and how a saved plan is shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import typer
from msgspec import to_builtins

from geobatch.cli.commands.build.options import Asked, refuse_plans, request_of
from geobatch.cli.exits import Exit
from geobatch.cli.files.saved_plan import (
    SavedPlan,
    estimate_json,
    plan_document,
    write_plan,
)
from geobatch.cli.output import Output
from geobatch.cli.settings import Settings
from geobatch.cli.stores import check_store
from geobatch.cli.views.plan import plan_lines
from geobatch.model.plans.plan import Failure
from geobatch.model.plans.plan_json import plan_json, tile_rows
from geobatch.workflow.plan import plan_specs


def run_plan(
    settings: Settings, paths: Sequence[Path], asked: Asked, *, file: Path | None, detailed: bool
) -> Exit:
    """Print a plan, and save it if a file is named."""
    started = time.perf_counter()
    check_file(file)
    refuse_plans(paths, "plan")
    check_store(settings, paths, is_new=asked.is_new_store)
    planned = plan_specs(request_of(settings, paths, asked))
    made, failures = planned.plan, planned.resolved.failures
    output = settings.output
    output.warn(planned.warnings)
    if file is None and not output.is_json:
        document = {**plan_json(made), **estimate_json(planned)}
    else:
        document = plan_document(planned, paths=paths, options=asked.options)
    if file is not None:
        write_plan(file, document, tile_rows(made))
    seconds = time.perf_counter() - started
    for line in plan_lines(document, seconds=seconds, is_whole=settings.is_verbose):
        output.line(line)
    if file is not None:
        output.note(f"saved {file}; `geobatch apply {file}` applies exactly this plan, or nothing")
    output.record("plan", **document)
    print_failures(output, failures)
    if made.refusals:
        is_of_checks = len(made.refusals) == len(planned.refused)
        return Exit.CHECK if is_of_checks else Exit.REFUSED
    if failures:
        return Exit.PARTIAL
    return Exit.CHANGES if detailed and not made.is_empty else Exit.OK


def check_file(file: Path | None) -> None:
    """Check that a plan can be saved in a file.

    Raises:
        typer.BadParameter: It is not a regular file, or its folder does not exist.
    """
    # A plan replaces a file in one step: a device would be replaced, too.
    if file is not None and (not file.name or (file.exists() and not file.is_file())):
        raise typer.BadParameter(f"`-o {file}` is not a regular file; name a file for the plan")
    if file is not None and not file.parent.is_dir():
        raise typer.BadParameter(f"`-o {file}`: there is no folder `{file.parent}`")


def show_plan(settings: Settings, saved: SavedPlan) -> Exit:
    """Print a saved plan."""
    for line in plan_lines(saved.document, is_whole=settings.is_verbose):
        settings.output.line(line)
    settings.output.record("plan", **saved.document)
    return Exit.OK


def print_failures(output: Output, failures: Sequence[Failure]) -> None:
    """Print the assets that could not be made while others were."""
    for failure in failures:
        output.record("failure", **to_builtins(failure))
        hint = f"\n    hint: {failure.hint}" if failure.hint else ""
        where = f"{failure.path}:{failure.line}: " if failure.path else ""
        output.note(f"failed: {where}`{failure.id}`: {failure.message}{hint}")
