"""The command `ls`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import (
    LONGITUDE_LATITUDE,
    At,
    Bounds,
    BoundsCrs,
    Properties,
    Since,
    Until,
)
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import reading

if TYPE_CHECKING:
    pass


app = group()


@app.command(cls=Command, epilog=EPILOG)
def ls(
    context: typer.Context,
    prefix: Annotated[
        str,
        typer.Argument(metavar="[PREFIX]", help="Only assets whose id starts with PREFIX."),
    ] = "",
    *,
    since: Since = None,
    until: Until = None,
    properties: Properties = None,
    bounds: Bounds = None,
    bounds_crs: BoundsCrs = LONGITUDE_LATITUDE,
    at: At = None,
) -> Exit:
    """List the published assets; the first line names the columns, `-q` omits it."""
    from geobatch.cli.views.cubes import cube_lines, cubes_json
    from geobatch.cli.views.filters import parse_filter
    from geobatch.cli.views.store import (
        LS_HEADER,
        asset_json,
        asset_row,
        found_assets,
    )
    from geobatch.cli.words import columns

    settings: Settings = context.obj
    shown = parse_filter(
        since=since, until=until, properties=properties or (), bounds=bounds, crs=bounds_crs
    )
    rows = []
    with reading(settings) as store:
        head = store.head() if at is None else store.at(at)
        cubes = cubes_json(store, head, prefix) if shown.is_open else []
        for entry, row in found_assets(store, head, prefix, shown):
            rows.append(asset_row(entry, row))
            if settings.output.is_json:
                settings.output.record("asset", **asset_json(entry, store.record(entry)))
    # A line of names for people; scripts read `--json`, or `-q` leaves it out.
    shown_rows = [LS_HEADER, *rows] if rows and not settings.output.is_quiet else rows
    for line in columns(shown_rows, right={4}):
        settings.output.line(line)
    for cube in cubes:
        settings.output.record("cube", **cube)
    for line in cube_lines(cubes, "cube "):
        settings.output.note(line)
    if not rows and not shown.is_open:
        settings.output.note("no asset matches the filters")
    elif not rows:
        settings.output.note(f"no asset id starts with `{prefix}`" if prefix else "no assets yet")
    return Exit.OK
