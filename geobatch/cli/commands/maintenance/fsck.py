"""The command `fsck`, which checks a store, and repairs it on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import ExecutorText
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import require_store

if TYPE_CHECKING:
    from geobatch.store.maintenance.fsck.contents import Subset
    from geobatch.store.maintenance.fsck.findings import Report
    from geobatch.workflow.maintenance.repair import RepairPlan

app = group()


@app.command(cls=Command, epilog=EPILOG)
def fsck(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SPECS]...",
            help="Spec files or folders for --repair; by default those that published the assets.",
        ),
    ] = None,
    *,
    read_data: Annotated[
        bool, typer.Option("--read-data", help="Compare every byte with its digest.")
    ] = False,
    read_data_subset: Annotated[
        str | None,
        typer.Option(
            "--read-data-subset",
            metavar="N/T",
            help="Compare the bytes of the N-th of T parts; T runs compare all.",
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Restore what is damaged, or compute it again; move the rest to quarantine/.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="With --repair: only show what would be done.")
    ] = False,
    executor: ExecutorText = None,
) -> Exit:
    """Check every file of the store, in every commit; name what is damaged and what it hurts."""
    from geobatch.cli.progress import counting
    from geobatch.workflow.maintenance.fsck import fsck as check

    settings: Settings = context.obj
    output = settings.output
    require_store(settings)
    subset = _subset(is_all=read_data, text=read_data_subset)
    if not repair and (paths or dry_run):
        raise typer.BadParameter("specs and `--dry-run` need `--repair`")
    if executor is not None and not (repair or subset.number):
        raise typer.BadParameter(
            "`--executor` needs `--read-data`, `--read-data-subset` or `--repair`: nothing else is"
            " done by tasks"
        )
    if repair:
        return _repair(settings, paths or (), subset, is_dry=dry_run, executor=executor)
    with counting("fsck", "objects", is_quiet=output.is_quiet, is_json=output.is_json) as progress:
        report = check(
            settings.store,
            subset=subset,
            workers=settings.workers,
            progress=progress,
            executor=executor,
        )
    _print(settings, report)
    return Exit.OK if report.is_whole else Exit.CORRUPT


def _repair(
    settings: Settings,
    paths: list[Path] | tuple[()],
    subset: Subset,
    *,
    is_dry: bool,
    executor: str | None,
) -> Exit:
    from geobatch.cli.progress import counting, observing
    from geobatch.cli.views.maintenance.repair import (
        left_lines,
        plan_json,
        plan_lines,
        repaired_json,
    )
    from geobatch.workflow.maintenance.repair import repair

    output = settings.output
    quiet = {"is_quiet": output.is_quiet, "is_json": output.is_json}

    shown: list[Report] = []

    def approve(plan: RepairPlan, report: Report) -> bool:
        if not shown:
            _print(settings, report)
            output.line("")
        elif plan.is_empty:
            return False
        shown.append(report)
        for line in plan_lines(plan, is_whole=settings.is_verbose):
            output.line(line)
        output.record("repair_plan", **plan_json(plan))
        output.line("")
        output.flush()
        return not is_dry

    with counting("fsck", "objects", **quiet) as progress, observing(**quiet) as observer:
        done = repair(
            settings.store,
            paths,
            subset=subset,
            workers=settings.workers,
            progress=progress,
            observer=observer,
            approve=approve,
            executor=executor,
        )
    if not is_dry:
        _print(settings, done.after)
        for line in left_lines(done.left):
            output.line(line)
    if done.batches:
        output.line(f"Moved to quarantine/: {', '.join(done.batches)}.")
    output.record("repaired", **repaired_json(done))
    return Exit.OK if done.after.is_whole else Exit.CORRUPT


def _subset(*, is_all: bool, text: str | None) -> Subset:
    from geobatch.store.maintenance.fsck.contents import (
        EVERYTHING,
        NOTHING,
        Subset,
    )

    if text is None:
        return EVERYTHING if is_all else NOTHING
    if is_all:
        raise typer.BadParameter("give `--read-data` or `--read-data-subset`, not both")
    subset = Subset.parse(text)
    if subset is None:
        raise typer.BadParameter(
            f"`--read-data-subset` needs N/T with N from 1 to T, such as `2/7`, got `{text}`"
        )
    return subset


def _print(settings: Settings, report: Report) -> None:
    from geobatch.cli.views.maintenance.fsck import finding_json, report_json, report_lines

    output = settings.output
    for line in report_lines(report, is_whole=settings.is_verbose):
        output.line(line)
    for finding in report.findings:
        output.record("finding", **finding_json(finding))
    output.record("fsck", **report_json(report))
