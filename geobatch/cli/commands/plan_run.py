"""What `plan` and `apply` do, with specs and with saved plans."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import typer
from msgspec import Struct, to_builtins

from geobatch.cli.exits import Exit
from geobatch.cli.files.saved_plan import (
    SavedPlan,
    approval,
    expectation,
    find_plan,
    locate,
    plan_document,
    write_plan,
)
from geobatch.cli.output import Output
from geobatch.cli.settings import Settings
from geobatch.cli.stores import check_store
from geobatch.cli.views.plan import plan_lines, undeclared_lines
from geobatch.declare.projects.confine import Confine
from geobatch.errors import Problem
from geobatch.model.plans.plan import Failure, Op, Options
from geobatch.model.plans.plan_json import change_json, plan_json
from geobatch.workflow.apply import Approve, apply_specs
from geobatch.workflow.plan import plan_specs
from geobatch.workflow.planned_specs import PlannedSpecs
from geobatch.workflow.request import Request

_LIMIT = re.compile("[0-9]{1,9}%?", re.ASCII)


class Asked(Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    options: Options
    """What to cover."""
    rehash: bool
    """Whether to read every source."""
    expected: str | None = None
    """Id, or its first digits, that the plan must have."""
    keep_going: bool = False
    """Whether to publish what can be made."""
    is_new_store: bool = False
    """Whether there may be no store yet, wherever it is."""
    confine: bool = False
    """Whether to read only the project's folder and what is allowed."""
    allow_from: Path | None = None
    """The project file whose `allow` counts."""


def options_of(
    *,
    select: Sequence[str],
    replace: Sequence[str],
    prune: bool,
    max_delete: str | None,
    keep_project_prefix: bool = False,
) -> Options:
    """Return the options of a command line.

    Raises:
        typer.BadParameter: A value is wrong.
    """
    if max_delete is not None and _LIMIT.fullmatch(max_delete) is None:
        raise typer.BadParameter(
            f"`--max-delete` needs a number of assets or a share such as `25%`, got `{max_delete}`"
        )
    if max_delete is not None and not prune:
        raise typer.BadParameter("`--max-delete` needs `--prune`")
    return Options(
        select=tuple(select),
        replace=tuple(replace),
        is_pruning=prune,
        max_delete=max_delete,
        keeps_project_prefix=keep_project_prefix,
    )


def run_plan(
    settings: Settings, paths: Sequence[Path], asked: Asked, *, file: Path | None, detailed: bool
) -> Exit:
    """Print a plan, and save it if a file is named."""
    started = time.perf_counter()
    # A plan takes the place of a file in one step: of a device, it would take that too.
    if file is not None and (not file.name or (file.exists() and not file.is_file())):
        raise typer.BadParameter(f"`-o {file}` is not a regular file; name a file for the plan")
    if file is not None and not file.parent.is_dir():
        raise typer.BadParameter(f"`-o {file}`: there is no folder `{file.parent}`")
    _refuse_plans(paths, "plan")
    check_store(settings, paths, is_new=asked.is_new_store)
    planned = plan_specs(_request(settings, paths, asked))
    made, failures = planned.plan, planned.resolved.failures
    output = settings.output
    output.warn(planned.warnings)
    if file is None and not output.is_json:
        document = plan_json(made)
    else:
        document = plan_document(planned, paths=paths, options=asked.options)
    if file is not None:
        write_plan(file, document, made)
    seconds = time.perf_counter() - started
    for line in plan_lines(document, seconds=seconds, is_whole=settings.is_verbose):
        output.line(line)
    if file is not None:
        output.note(f"saved {file}; `geobatch apply {file}` applies exactly this plan, or nothing")
    output.record("plan", **document)
    print_failures(output, failures)
    if made.refusals:
        return Exit.REFUSED
    if failures:
        return Exit.PARTIAL
    return Exit.CHANGES if detailed and not made.is_empty else Exit.OK


def _request(
    settings: Settings, paths: Sequence[Path], asked: Asked, saved: SavedPlan | None = None
) -> Request:
    """Return the request for some specs, or for those of a saved plan."""
    if saved is not None:
        paths = saved.paths
    # The folder that a plan names may be a stranger's choice.
    confine = Confine.of(
        confine=asked.confine, allow_from=asked.allow_from, is_here=saved is not None
    )
    return Request.of(
        paths,
        store=settings.store,
        workers=settings.workers,
        rehash=asked.rehash,
        options=asked.options if saved is None else saved.options,
        keep_going=asked.keep_going,
        confine=confine,
    )


def show_plan(settings: Settings, saved: SavedPlan) -> Exit:
    """Print a saved plan."""
    for line in plan_lines(saved.document, is_whole=settings.is_verbose):
        settings.output.line(line)
    settings.output.record("plan", **saved.document)
    return Exit.OK


def run_apply(settings: Settings, paths: Sequence[Path], asked: Asked) -> Exit:
    """Carry out specs, or a saved plan."""
    from geobatch.cli.progress import observing  # noqa: PLC0415
    from geobatch.cli.views.store import summary_json, summary_lines  # noqa: PLC0415

    saved = find_plan(paths[0]) if len(paths) == 1 else None
    if saved is None:
        _refuse_plans(paths, "apply")
        check_store(settings, paths, is_new=asked.is_new_store)
        if asked.expected and asked.keep_going:
            raise typer.BadParameter("`--expect-plan` cannot be combined with `--keep-going`")
        agree = expectation(asked.expected) if asked.expected else lambda _: None
        approve = _showing_first(settings, agree)
    else:
        if asked.options != Options() or asked.keep_going or asked.expected:
            raise typer.BadParameter(
                f"`{saved.file}` is a saved plan, which is applied exactly or not at all: "
                "only `--rehash`, `--confine` and `--allow-from` can be combined with it"
            )
        # A plan for a store that was to be made has said so when it was made.
        is_new = asked.is_new_store or saved.document["store_id"] is None
        check_store(settings, saved.paths, is_new=is_new)
        approve = _showing_first(settings, approval(saved))
    output = settings.output
    with observing(is_quiet=output.is_quiet, is_json=output.is_json) as observer:
        request = _request(settings, paths, asked, saved)
        summary = apply_specs(request, observer=observer, approve=approve)
    output.warn(summary.warnings)
    failed = {failure.id for failure in summary.failures}
    for change in summary.plan.changes:
        if output.is_json and change.op is not Op.KEEP and change.id not in failed:
            output.record("asset", **change_json(change, locate=locate))
    print_failures(output, summary.failures)
    for line in summary_lines(summary):
        output.line(line)
    output.record("summary", **summary_json(summary))
    return Exit.PARTIAL if failed else Exit.OK


def _showing_first(settings: Settings, agree: Approve) -> Approve:
    """Return an approval that prints a plan and its warnings before it is carried out, once.

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
        document = plan_json(made)
        output.record("plan", **document)
        lines = undeclared_lines(document)
        if not made.is_empty:
            lines = plan_lines(document, is_whole=settings.is_verbose)
        for line in lines:
            output.line(line)
        output.flush()

    return approve


def print_failures(output: Output, failures: Sequence[Failure]) -> None:
    """Print the assets that could not be made while others were."""
    for failure in failures:
        output.record("failure", **to_builtins(failure))
        hint = f"\n    hint: {failure.hint}" if failure.hint else ""
        where = f"{failure.path}:{failure.line}: " if failure.path else ""
        output.note(f"failed: {where}`{failure.id}`: {failure.message}{hint}")


def _refuse_plans(paths: Sequence[Path], command: str) -> None:
    for path in paths:
        if find_plan(path) is not None:
            raise typer.BadParameter(
                f"`{path}` is a saved plan, not a spec: `geobatch apply {path}` "
                f"applies it; with specs, `geobatch {command}` takes only specs"
            )
