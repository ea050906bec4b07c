"""The commands `diff`, `status` and `why`, which explain and change nothing."""

from __future__ import annotations

from pathlib import Path

import click

from geobatch.cli.exits import Exit
from geobatch.cli.listing import reading
from geobatch.cli.options import keep_project_prefix_option
from geobatch.cli.settings import EPILOG, Settings


@click.command(epilog=EPILOG)
@click.argument("a", help="A commit, ASSET@COMMIT, or an asset of the newest commit.")
@click.argument("b", required=False, help="The same; by default the newest commit.")
@click.option("--stats", is_flag=True, help="Also compare the pixel values of tiles that differ.")
@click.option(
    "--level", metavar="N", type=click.IntRange(min=0), help="Level of --stats.  [default: 0]"
)
@click.option("--tiles", is_flag=True, help="List the tiles that differ.")
@click.option("--exit-code", is_flag=True, help="Exit 1 if anything differs.")
@click.pass_obj
def diff(
    settings: Settings,
    a: str,
    b: str | None,
    *,
    stats: bool,
    level: int | None,
    tiles: bool,
    exit_code: bool,
) -> Exit:
    """Compare two commits, or two assets, by tile and by value."""
    import time  # noqa: PLC0415

    from geobatch.cli.diff_view import diff_json, diff_lines, tile_json, tile_line  # noqa: PLC0415
    from geobatch.explain.diff import changed_tiles, compare  # noqa: PLC0415
    from geobatch.explain.target import find_targets  # noqa: PLC0415
    from geobatch.store.caches.cache import SourceCache  # noqa: PLC0415

    if level is not None and not stats:
        raise click.BadParameter("`--level` needs `--stats`")
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


@click.command(epilog=EPILOG)
@click.argument(
    "paths",
    metavar="[SPECS]...",
    nargs=-1,
    type=Path,
    help="Spec files or folders; without any, only the store is described.",
)
@keep_project_prefix_option
@click.pass_obj
def status(settings: Settings, paths: tuple[Path, ...], *, keep_project_prefix: bool) -> Exit:
    """Compare the store with specs and sources; changes nothing."""
    from geobatch.cli.status_view import status_json, status_lines  # noqa: PLC0415
    from geobatch.cli.stores import check_store  # noqa: PLC0415
    from geobatch.explain.status import status as find_status  # noqa: PLC0415

    check_store(settings, paths, is_new=False)
    found = find_status(
        settings.store,
        paths,
        workers=settings.workers,
        keep_project_prefix=keep_project_prefix,
    )
    for line in status_lines(found, is_whole=settings.is_verbose):
        settings.output.line(line)
    settings.output.record("status", **status_json(found))
    return Exit.OK


@click.command(epilog=EPILOG)
@click.argument("asset", help="Asset id.")
@click.argument(
    "paths",
    metavar="[SPECS]...",
    nargs=-1,
    type=Path,
    help="Spec files or folders; with them, it also says what the next apply would do.",
)
@click.option("--tile", metavar="LEVEL/ROW/COL", help="Explain only this tile.")
@click.option("--band", metavar="NAME", help="Explain only this band.")
@keep_project_prefix_option
@click.pass_obj
def why(
    settings: Settings,
    asset: str,
    paths: tuple[Path, ...],
    *,
    tile: str | None,
    band: str | None,
    keep_project_prefix: bool,
) -> Exit:
    """Show the sources of a tile, its last change, and what the next apply does with it."""
    from geobatch.cli.stores import require_store  # noqa: PLC0415
    from geobatch.cli.why_view import why_json, why_lines  # noqa: PLC0415
    from geobatch.explain.why import why as explain  # noqa: PLC0415
    from geobatch.model.tile import TilePosition  # noqa: PLC0415

    require_store(settings)
    place = None
    if tile is not None:
        parts = tile.split("/")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise click.BadParameter(f"`--tile` needs LEVEL/ROW/COL, such as `0/3/5`, got `{tile}`")
        level, row, col = map(int, parts)
        place = TilePosition(level=level, row=row, col=col)
    found = explain(
        settings.store,
        asset,
        place=place,
        band=band,
        paths=paths,
        workers=settings.workers,
        keep_project_prefix=keep_project_prefix,
    )
    for line in why_lines(found):
        settings.output.line(line)
    settings.output.record("why", **why_json(found))
    return Exit.OK
