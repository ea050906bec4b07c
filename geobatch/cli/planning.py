"""What `plan` and `apply` do, of specs and of saved plans."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path

import click
from msgspec import Struct

from geobatch import workflow
from geobatch.cli.exits import Exit
from geobatch.cli.output import Output
from geobatch.cli.plan_file import (
    SavedPlan,
    approval,
    expectation,
    find_plan,
    locate,
    plan_document,
    write_plan,
)
from geobatch.cli.plan_view import change_lines, plan_lines
from geobatch.cli.settings import Settings
from geobatch.errors import Problem
from geobatch.model.plan import Op, Options
from geobatch.model.plan_json import change_json, plan_json

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
        click.BadParameter: A value is wrong.
    """
    if max_delete is not None and _LIMIT.fullmatch(max_delete) is None:
        raise click.BadParameter(
            f"`--max-delete` needs a number of assets or a share such as `25%`, got `{max_delete}`"
        )
    if max_delete is not None and not prune:
        raise click.BadParameter("`--max-delete` is about `--prune`, which is not given")
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
        raise click.BadParameter(f"`-o {file}` is no regular file; name the file of the plan")
    _refuse_plans(paths, "plan")
    preview = workflow.preview(
        paths,
        store=settings.store,
        workers=settings.workers,
        rehash=asked.rehash,
        options=asked.options,
    )
    made = preview.plan
    output = settings.output
    output.warn(preview.warnings)
    if file is None and not output.is_json:
        document = plan_json(made)
    else:
        document = plan_document(preview, paths=paths, options=asked.options)
    if file is not None:
        write_plan(file, document, made)
    seconds = time.perf_counter() - started
    for line in plan_lines(document, seconds=seconds, is_whole=settings.is_verbose):
        output.line(line)
    if file is not None:
        output.note(f"saved {file}; `geobatch apply {file}` carries it out, exactly or not at all")
    output.record("plan", **document)
    return Exit.CHANGES if detailed and not made.is_empty else Exit.OK


def show_plan(settings: Settings, saved: SavedPlan) -> Exit:
    """Print a saved plan."""
    for line in plan_lines(saved.document, is_whole=settings.is_verbose):
        settings.output.line(line)
    settings.output.record("plan", **saved.document)
    return Exit.OK


def run_apply(settings: Settings, paths: Sequence[Path], asked: Asked) -> Exit:
    """Carry out specs, or a saved plan."""
    from geobatch.cli.progress import observing  # noqa: PLC0415
    from geobatch.cli.store_view import summary_json, summary_lines  # noqa: PLC0415

    saved = find_plan(paths[0]) if len(paths) == 1 else None
    options = asked.options
    if saved is None:
        _refuse_plans(paths, "apply")
        if asked.expected and asked.keep_going:
            raise click.BadParameter("`--expect-plan` is all or nothing: without `--keep-going`")
        agree = expectation(asked.expected) if asked.expected else lambda _: None
        approve = _warning_first(settings.output, agree)
    else:
        if asked.options != Options() or asked.keep_going or asked.expected:
            raise click.BadParameter(
                f"`{saved.file}` is a plan, which is carried out as it is or not at all: "
                "no option but `--rehash` goes with it"
            )
        paths, options, approve = saved.paths, saved.options, approval(saved)
    output = settings.output
    with observing(is_quiet=output.is_quiet, is_json=output.is_json) as observer:
        summary = workflow.apply(
            paths,
            store=settings.store,
            workers=settings.workers,
            observer=observer,
            rehash=asked.rehash,
            options=options,
            keep_going=asked.keep_going,
            approve=approve,
        )
    output.warn(summary.warnings)
    failed = {failure.id for failure in summary.failures}
    changes = [
        change_json(change, locate=locate if output.is_json else None)
        for change in summary.plan.changes
        if change.op is not Op.KEEP and change.id not in failed
    ]
    for change in changes:
        output.record("asset", **change)
    for line in change_lines(changes, is_whole=settings.is_verbose):
        output.line(line)
    for failure in summary.failures:
        output.record("failure", id=failure.id, code=failure.code, message=failure.message)
        output.note(f"failed: {failure.id}: {failure.message}")
    for line in summary_lines(summary):
        output.line(line)
    output.record("summary", **summary_json(summary))
    return Exit.PARTIAL if failed else Exit.OK


def _warning_first(output: Output, agree: workflow.Approve) -> workflow.Approve:
    """Return an approval that prints the warnings of a plan before it is carried out, once."""
    told: set[Problem] = set()

    def approve(preview: workflow.Preview) -> None:
        output.warn([one for one in preview.warnings if one not in told])
        told.update(preview.warnings)
        agree(preview)

    return approve


def _refuse_plans(paths: Sequence[Path], command: str) -> None:
    for path in paths:
        if find_plan(path) is not None:
            raise click.BadParameter(
                f"`{path}` is a saved plan, not a spec: `geobatch apply {path}`, and nothing else, "
                f"carries it out; `geobatch {command}` of specs takes specs alone"
            )
