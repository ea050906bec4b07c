"""The command `info`."""

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
from geobatch.cli.stores import no_asset, reading

if TYPE_CHECKING:
    from geobatch.model.published import Head
    from geobatch.store.tilestore import TileStore


app = group()


@app.command(cls=Command, epilog=EPILOG)
def info(
    context: typer.Context,
    asset: Annotated[
        str,
        typer.Argument(
            metavar="[ASSET]",
            help="Asset or collection id; by default the store. With filters: a prefix of ids.",
        ),
    ] = "",
    *,
    since: Since = None,
    until: Until = None,
    properties: Properties = None,
    bounds: Bounds = None,
    bounds_crs: BoundsCrs = LONGITUDE_LATITUDE,
    at: At = None,
) -> Exit:
    """Describe an asset, a collection, the store, or all assets that match the filters."""
    from geobatch.cli.views.cubes import cube_lines, cubes_json
    from geobatch.cli.views.filters import parse_filter
    from geobatch.cli.views.store import (
        asset_json,
        asset_lines,
        found_assets,
        store_json,
        store_lines,
    )
    from geobatch.store.maintenance.check import check

    settings: Settings = context.obj
    shown = parse_filter(
        since=since, until=until, properties=properties or (), bounds=bounds, crs=bounds_crs
    )
    with reading(settings) as store:
        head = store.head() if at is None else store.at(at)
        if not shown.is_open:
            is_any = False
            for found, _ in found_assets(store, head, asset, shown):
                is_any = True
                record = store.record(found)
                for line in asset_lines(found, record):
                    settings.output.line(line)
                settings.output.record("asset", **asset_json(found, record))
            if not is_any:
                settings.output.note("no asset matches the filters")
            return Exit.OK
        if not asset:
            check(store, head, location=settings.store)
            for line in store_lines(store, head):
                settings.output.line(line)
            cubes = cubes_json(store, head)
            for line in cube_lines(cubes, "cube          "):
                settings.output.line(line)
            more = {"cubes": cubes} if cubes else {}
            settings.output.record("store", **store_json(store, head), **more)
            return Exit.OK
        entry = head.tree.entry(asset)
        if entry is None:
            return _show_collection(settings, store, head, asset)
        check(store, head, only=asset, location=settings.store)
        record = store.record(entry)
        for line in asset_lines(entry, record):
            settings.output.line(line)
        settings.output.record("asset", **asset_json(entry, record))
    return Exit.OK


def _show_collection(settings: Settings, store: TileStore, head: Head, asset: str) -> Exit:
    from geobatch.cli.views.collection import collection_json, collection_lines
    from geobatch.cli.views.cubes import cube_lines, cubes_json

    fields = collection_json(store, head, asset.rstrip("/"))
    if fields is None:
        raise no_asset(asset, [entry.id for entry in head.tree.entries])
    for line in collection_lines(fields):
        settings.output.line(line)
    cubes = cubes_json(store, head, asset)
    for line in cube_lines(cubes, "  cube        "):
        settings.output.line(line)
    settings.output.record("collection", **fields, **({"cubes": cubes} if cubes else {}))
    return Exit.OK
