"""The command `why`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import AllowFrom, Confined, KeepProjectPrefix
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import require_store

app = group()


@app.command(cls=Command, epilog=EPILOG)
def why(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Asset id.")],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SPECS]...",
            help="Spec files or folders; with them, it also says what the next apply would do.",
        ),
    ] = None,
    *,
    tile: Annotated[
        str | None,
        typer.Option("--tile", metavar="LEVEL/ROW/COL", help="Explain only this tile."),
    ] = None,
    band: Annotated[
        str | None, typer.Option("--band", metavar="NAME", help="Explain only this band.")
    ] = None,
    keep_project_prefix: KeepProjectPrefix = False,
    confine: Confined = False,
    allow_from: AllowFrom = None,
) -> Exit:
    """Show the sources of a tile, its last change, and what the next apply does with it."""
    from geobatch.cli.views.why import why_json, why_lines
    from geobatch.declare.projects.confine import Confine
    from geobatch.explain.why import why as explain
    from geobatch.model.tile import TilePosition

    settings: Settings = context.obj
    require_store(settings)
    place = None
    if tile is not None:
        parts = tile.split("/")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise typer.BadParameter(f"`--tile` needs LEVEL/ROW/COL, such as `0/3/5`, got `{tile}`")
        level, row, col = map(int, parts)
        place = TilePosition(level=level, row=row, col=col)
    found = explain(
        settings.store,
        asset,
        place=place,
        band=band,
        paths=paths or (),
        workers=settings.workers,
        keep_project_prefix=keep_project_prefix,
        confine=Confine.of(confine=confine, allow_from=allow_from),
    )
    for line in why_lines(found):
        settings.output.line(line)
    settings.output.record("why", **why_json(found))
    return Exit.OK
