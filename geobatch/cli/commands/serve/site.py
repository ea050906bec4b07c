"""The command `site`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command(cls=Command, epilog=EPILOG)
def site(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to write.")],
    *,
    tiles: Annotated[
        int,
        typer.Option("--tiles", min=1, max=1_000_000, help="Most tiles of an image at a commit."),
    ] = 2000,
    commits: Annotated[
        int,
        typer.Option("--commits", min=1, max=1000, help="Commits of each image that are drawn."),
    ] = 3,
) -> Exit:
    """Write what `serve` shows as files, for any web host."""
    from geobatch.cli.commands.serve.stores import named_store
    from geobatch.cli.words import byte_text, count_text

    settings: Settings = named_store(context.obj, None)
    from geobatch.serve.site import Bounds, write_site

    output = settings.output
    bounds = Bounds(tiles=tiles, commits=commits)
    done = write_site(settings.store, folder, bounds, output.note)
    output.line(
        f"geobatch site {folder}  {count_text(done.assets, 'asset')}, "
        f"{count_text(done.files, 'file')}, {byte_text(done.bytes)}"
    )
    if done.reduced:
        output.note(
            f"{count_text(done.reduced, 'pyramid')} had more tiles than `--tiles {tiles}` allows: "
            "the finest levels are left out"
        )
    output.record(
        "site",
        folder=str(folder),
        assets=done.assets,
        files=done.files,
        bytes=done.bytes,
        reduced=done.reduced,
        damaged=done.damaged,
    )
    return Exit.CORRUPT if done.damaged else Exit.OK
