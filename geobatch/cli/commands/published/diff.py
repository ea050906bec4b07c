"""The command `diff`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import reading

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
    from geobatch.cli.views.diff import diff_json, diff_lines, tile_json, tile_line
    from geobatch.explain.diff import changed_tiles, compare
    from geobatch.explain.target import find_targets
    from geobatch.store.caches.cache import SourceCache

    settings: Settings = context.obj
    if level is not None and not stats:
        raise typer.BadParameter("`--level` needs `--stats`")
    started = time.perf_counter()
    with reading(settings) as store, SourceCache.borrowed(settings.store) as cache:
        found = compare(store, *find_targets(store, a, b), tables=cache.get_table)
        values = {}
        if stats:
            from geobatch.explain.values import check_level, value_diffs

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
