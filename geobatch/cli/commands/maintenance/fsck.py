"""The command `fsck`, which checks a store, and repairs it on request."""

from __future__ import annotations

from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import require_store

app = group()


@app.command(cls=Command, epilog=EPILOG)
def fsck(
    context: typer.Context,
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
) -> Exit:
    """Check every file of the store, in every commit; name what is damaged and what it hurts."""
    from geobatch.cli.progress import counting  # noqa: PLC0415
    from geobatch.cli.views.fsck import (  # noqa: PLC0415
        finding_json,
        report_json,
        report_lines,
    )
    from geobatch.store.maintenance.fsck.contents import (  # noqa: PLC0415
        EVERYTHING,
        NOTHING,
        Subset,
    )
    from geobatch.workflow.maintenance.fsck import fsck as check  # noqa: PLC0415

    settings: Settings = context.obj
    output = settings.output
    require_store(settings)
    subset: Subset | None = EVERYTHING if read_data else NOTHING
    if read_data_subset is not None:
        if read_data:
            raise typer.BadParameter("give `--read-data` or `--read-data-subset`, not both")
        subset = Subset.parse(read_data_subset)
        if subset is None:
            raise typer.BadParameter(
                f"`--read-data-subset` needs N/T with N from 1 to T, such as `2/7`, got "
                f"`{read_data_subset}`"
            )
    with counting("fsck", "objects", is_quiet=output.is_quiet, is_json=output.is_json) as progress:
        report = check(
            settings.store, subset=subset or NOTHING, workers=settings.workers, progress=progress
        )
    for line in report_lines(report, is_whole=settings.is_verbose):
        output.line(line)
    for finding in report.findings:
        output.record("finding", **finding_json(finding))
    output.record("fsck", **report_json(report))
    return Exit.OK if report.is_whole else Exit.CORRUPT
