"""The command `status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import AllowFrom, Confined, KeepProjectPrefix
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import check_store

app = group()


@app.command(cls=Command, epilog=EPILOG)
def status(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SPECS]...",
            help="Spec files or folders; without any, only the store is described.",
        ),
    ] = None,
    *,
    keep_project_prefix: KeepProjectPrefix = False,
    confine: Confined = False,
    allow_from: AllowFrom = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode",
            help="Exit 2 if anything differs, 7 if a source is missing or unreadable.",
        ),
    ] = False,
) -> Exit:
    """Compare the store with specs and sources; changes nothing."""
    from geobatch.cli.views.status import status_json, status_lines
    from geobatch.declare.projects.confine import Confine
    from geobatch.explain.status import status as find_status

    settings: Settings = context.obj
    check_store(settings, paths or (), is_new=False)
    found = find_status(
        settings.store,
        paths or (),
        workers=settings.workers,
        keep_project_prefix=keep_project_prefix,
        confine=Confine.of(confine=confine, allow_from=allow_from),
    )
    for line in status_lines(found, is_whole=settings.is_verbose):
        settings.output.line(line)
    settings.output.record("status", **status_json(found))
    if detailed_exitcode and found.has_bad_sources:
        return Exit.SOURCE
    return Exit.CHANGES if detailed_exitcode and found.has_differences else Exit.OK
