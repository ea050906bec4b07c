"""The commands `diff`, `status` and `why`, which explain and change nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import AllowFrom, Confined, KeepProjectPrefix
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import check_store, reading, require_store

app = group()


@app.command(cls=Command, epilog=EPILOG)
def diff(
    context: typer.Context,
    a: Annotated[
        str,
        typer.Argument(
            metavar="A", help="A commit, ASSET@COMMIT, or an asset of the newest commit."
        ),
    ],
    b: Annotated[
        str | None,
        typer.Argument(metavar="[B]", help="The same; by default the newest commit."),
    ] = None,
    *,
    stats: Annotated[
        bool,
        typer.Option("--stats", help="Also compare the pixel values of tiles that differ."),
    ] = False,
    level: Annotated[
        int | None,
        typer.Option("--level", metavar="N", min=0, help="Level of --stats.  [default: 0]"),
    ] = None,
    tiles: Annotated[bool, typer.Option("--tiles", help="List the tiles that differ.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 if anything differs.")
    ] = False,
) -> Exit:
    """Compare two commits, or two assets, by tile and by value."""
    from geobatch.cli.views.diff import diff_json, diff_lines, tile_json, tile_line  # noqa: PLC0415
    from geobatch.explain.diff import changed_tiles, compare  # noqa: PLC0415
    from geobatch.explain.target import find_targets  # noqa: PLC0415
    from geobatch.store.caches.cache import SourceCache  # noqa: PLC0415

    settings: Settings = context.obj
    if level is not None and not stats:
        raise typer.BadParameter("`--level` needs `--stats`")
    started = time.perf_counter()
    with reading(settings) as store, SourceCache.borrowed(settings.store) as cache:
        found = compare(store, *find_targets(store, a, b), tables=cache.get_table)
        values = {}
        if stats:
            from geobatch.explain.values import check_level, value_diffs  # noqa: PLC0415

            check_level(store, found, level or 0)
            values = {
                asset.id: list(
                    value_diffs(store, asset, level=level or 0, workers=settings.workers)
                )
                for asset in found.assets
            }
        for line in diff_lines(found, values, seconds=time.perf_counter() - started):
            settings.output.line(line)
        for asset in found.assets if tiles else ():
            for tile in changed_tiles(store, asset):
                settings.output.line(tile_line(asset, tile))
                settings.output.record("tile", **tile_json(asset, tile))
        settings.output.record("diff", **diff_json(found, values))
    return Exit.ERROR if exit_code and not found.is_empty else Exit.OK


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
) -> Exit:
    """Compare the store with specs and sources; changes nothing."""
    from geobatch.cli.views.status import status_json, status_lines  # noqa: PLC0415
    from geobatch.declare.projects.confine import Confine  # noqa: PLC0415
    from geobatch.explain.status import status as find_status  # noqa: PLC0415

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
    return Exit.OK


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
    from geobatch.cli.views.why import why_json, why_lines  # noqa: PLC0415
    from geobatch.declare.projects.confine import Confine  # noqa: PLC0415
    from geobatch.explain.why import why as explain  # noqa: PLC0415
    from geobatch.model.tile import TilePosition  # noqa: PLC0415

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
