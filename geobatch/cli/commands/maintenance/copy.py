"""The command `copy`, which copies commits to another store."""

from __future__ import annotations

from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import Views, read_views_option
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command(cls=Command, epilog=EPILOG)
def copy(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The store that is copied: a folder or URL.")
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="Where to: a new location, or a store with earlier commits of it.",
        ),
    ],
    *,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="COMMIT", help="Copy only up to this commit: digest, number, HEAD~N."
        ),
    ] = None,
    keep_last: Annotated[
        int | None,
        typer.Option(
            "--keep-last",
            metavar="N",
            min=1,
            help="Copy the assets of the newest N commits only, and of pinned ones.  "
            "[default: of all]",
        ),
    ] = None,
    views: Views = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Only show what would be copied.")
    ] = False,
) -> Exit:
    """Copy a store's commits to another store; only what is missing there is sent."""
    from geobatch.cli.progress import counting
    from geobatch.cli.views.maintenance.copy import copy_json, copy_lines, copy_notes
    from geobatch.processors import processor_count
    from geobatch.store.copying.copy import CopyOptions
    from geobatch.store.location import StoreLocation
    from geobatch.workflow.maintenance.copy import copy as copy_store

    settings: Settings = context.obj
    output = settings.output
    is_bucket = StoreLocation.of(target).folder is None
    kind, has_catalog = read_views_option(views, is_bucket=is_bucket)
    options = CopyOptions(
        views=kind,
        has_catalog=has_catalog,
        at=at,
        keep_last=keep_last,
        is_dry_run=dry_run,
        workers=settings.workers or processor_count(),
    )
    with counting("copy", "objects", is_quiet=output.is_quiet, is_json=output.is_json) as progress:
        done = copy_store(
            source, target, options, progress=lambda objects, _: progress(objects, None)
        )
    for line in copy_lines(done, is_dry_run=dry_run):
        output.line(line)
    for note in copy_notes(done):
        output.note(note)
    output.record("copy", **copy_json(done, is_dry_run=dry_run))
    return Exit.OK
