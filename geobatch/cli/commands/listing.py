"""The commands that show what is published: ls, info, show, log."""

from __future__ import annotations

import json
from itertools import chain
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
    from collections.abc import Iterator

    from geobatch.errors import CorruptObjectError
    from geobatch.model.published import Head, TreeEntry
    from geobatch.store.tilestore import TileStore

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
    from geobatch.cli.commands.filters import parse_filter  # noqa: PLC0415
    from geobatch.cli.views.store import (  # noqa: PLC0415
        LS_HEADER,
        asset_json,
        asset_row,
        found_assets,
    )
    from geobatch.cli.words import columns  # noqa: PLC0415

    settings: Settings = context.obj
    shown = parse_filter(
        since=since, until=until, properties=properties or (), bounds=bounds, crs=bounds_crs
    )
    rows = []
    with reading(settings) as store:
        head = store.head() if at is None else store.at(at)
        for entry, row in found_assets(store, head, prefix, shown):
            rows.append(asset_row(entry, row))
            if settings.output.is_json:
                settings.output.record("asset", **asset_json(entry, store.record(entry)))
    # A line of names for people; scripts read `--json`, or `-q` leaves it out.
    shown_rows = [LS_HEADER, *rows] if rows and not settings.output.is_quiet else rows
    for line in columns(shown_rows, right={4}):
        settings.output.line(line)
    if not rows and not shown.is_open:
        settings.output.note("no asset matches the filters")
    elif not rows:
        settings.output.note(f"no asset id starts with `{prefix}`" if prefix else "no assets yet")
    return Exit.OK


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
    from geobatch.cli.commands.filters import parse_filter  # noqa: PLC0415
    from geobatch.cli.views.store import (  # noqa: PLC0415
        asset_json,
        asset_lines,
        found_assets,
        store_json,
        store_lines,
    )
    from geobatch.store.maintenance.check import check  # noqa: PLC0415

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
            check(store, head, folder=settings.store)
            for line in store_lines(store, head):
                settings.output.line(line)
            settings.output.record("store", **store_json(store, head))
            return Exit.OK
        entry = head.tree.entry(asset)
        if entry is None:
            return _show_collection(settings, store, head, asset)
        check(store, head, only=asset, folder=settings.store)
        record = store.record(entry)
        for line in asset_lines(entry, record):
            settings.output.line(line)
        settings.output.record("asset", **asset_json(entry, record))
    return Exit.OK


@app.command(cls=Command, epilog=EPILOG)
def show(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Asset id, or a saved plan.")],
    *,
    at: At = None,
) -> Exit:
    """Print the full resolved record of an asset as JSON, or a saved plan."""
    from geobatch.cli.files.saved_plan import find_plan  # noqa: PLC0415
    from geobatch.cli.views.store import resolved_json  # noqa: PLC0415

    settings: Settings = context.obj
    saved = find_plan(asset)
    if saved is not None:
        from geobatch.cli.commands.plan_run import show_plan  # noqa: PLC0415

        return show_plan(settings, saved)
    with reading(settings) as store:
        head = store.head() if at is None else store.at(at)
        entry = head.tree.entry(asset)
        if entry is None:
            raise no_asset(asset, [entry.id for entry in head.tree.entries])
        document = resolved_json(store, entry)
        settings.output.text(json.dumps(document, indent=2, ensure_ascii=False))
        settings.output.record("asset", **document)
    return Exit.OK


@app.command(cls=Command, epilog=EPILOG)
def log(
    context: typer.Context,
    asset: Annotated[
        str,
        typer.Argument(
            metavar="[ASSET]", help="Only commits that changed this asset, under any of its ids."
        ),
    ] = "",
    *,
    number: Annotated[
        int,
        typer.Option("-n", "--max-count", metavar="N", min=1, help="List at most N commits."),
    ] = 1_000_000,
) -> Exit:
    """List the commits, newest first."""
    from geobatch.cli.views.store import commit_json, commit_line, damaged_line  # noqa: PLC0415
    from geobatch.errors import CorruptObjectError  # noqa: PLC0415

    settings: Settings = context.obj
    damaged: list[CorruptObjectError] = []
    with reading(settings) as store:
        commits = store.commits.all()
        if asset:
            entries = store.head().tree.entries
            commits = commits_of(store, asset)
            first = next(commits, None)
            if first is None:
                raise no_asset(asset, [entry.id for entry in entries])
            commits = chain([first], commits)
        for _, (place, found) in zip(range(number), commits, strict=False):
            if isinstance(found, CorruptObjectError):
                damaged.append(found)
                settings.output.line(damaged_line(place, found))
                settings.output.record("commit", number=place, error=found.message)
                continue
            settings.output.line(commit_line(found))
            settings.output.record("commit", **commit_json(found))
    if len(damaged) > 1:
        raise CorruptObjectError(
            f"{len(damaged)} commits cannot be read; the newest of them: {damaged[0].message}",
            hint=damaged[0].hint,
        )
    if damaged:
        raise damaged[0]
    return Exit.OK


def _show_collection(settings: Settings, store: TileStore, head: Head, asset: str) -> Exit:
    from geobatch.cli.views.collection import collection_json, collection_lines  # noqa: PLC0415

    fields = collection_json(store, head, asset.rstrip("/"))
    if fields is None:
        raise no_asset(asset, [entry.id for entry in head.tree.entries])
    for line in collection_lines(fields):
        settings.output.line(line)
    settings.output.record("collection", **fields)
    return Exit.OK


def commits_of(store: TileStore, asset: str) -> Iterator[tuple[int, Head | CorruptObjectError]]:
    """Yield the commits that made, changed, renamed or deleted an asset, newest first.

    What a damaged commit did is unknown: it is yielded, too.
    """
    from geobatch.errors import CorruptObjectError  # noqa: PLC0415

    newer: tuple[int, Head] | None = None
    after: TreeEntry | None = None
    damaged: list[tuple[int, CorruptObjectError]] = []
    for place, head in store.commits.all():
        if isinstance(head, CorruptObjectError):
            damaged.append((place, head))
            continue
        entry = head.tree.entry(asset)
        if newer is not None and entry != after:
            yield newer
        yield from damaged
        damaged.clear()
        newer, after, asset = (place, head), entry, head.name_before(asset)
    if newer is not None and after is not None:
        yield newer
    yield from damaged
