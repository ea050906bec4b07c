"""The command `log`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import no_asset, reading
from geobatch.cli.words import count_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geobatch.errors import CorruptObjectError
    from geobatch.model.published import Head, TreeEntry
    from geobatch.store.tilestore import TileStore


app = group()


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
    from geobatch.cli.views.store import commit_json, commit_line, damaged_line, provenance_line
    from geobatch.errors import CorruptObjectError

    settings: Settings = context.obj
    damaged: list[CorruptObjectError] = []
    with reading(settings) as store:
        pins, dropped = store.pins.all(), 0
        commits = store.commits.all()
        if asset:
            tree = store.head().tree
            commits = commits_of(store, asset)
            first = next(commits, None)
            if first is None:
                raise no_asset(asset, [entry.id for entry in tree.entries])
            commits = chain([first], commits)
        for _, (place, found) in zip(range(number), commits, strict=False):
            if isinstance(found, CorruptObjectError):
                damaged.append(found)
                settings.output.line(damaged_line(place, found))
                settings.output.record("commit", number=place, error=found.message)
                continue
            names = [pin.name for pin in pins if pin.commit == found.digest]
            settings.output.line(commit_line(found, names))
            if (below := provenance_line(found)) is not None:
                settings.output.line(below)
            settings.output.record("commit", **commit_json(found, names))
            dropped += found.is_dropped
        if dropped:
            settings.output.note(
                f"{count_text(dropped, 'commit')} dropped by `geobatch gc`: what was published"
                " then cannot be read or restored"
            )
    if len(damaged) > 1:
        raise CorruptObjectError(
            f"{len(damaged)} commits cannot be read; the newest of them: {damaged[0].message}",
            hint=damaged[0].hint,
        )
    if damaged:
        raise damaged[0]
    return Exit.OK


def commits_of(store: TileStore, asset: str) -> Iterator[tuple[int, Head | CorruptObjectError]]:
    """Yield the commits that made, changed, renamed or deleted an asset, newest first.

    What a damaged commit did is unknown: it is yielded, too. What a dropped commit did counts as
    done by the following one that is kept.
    """
    from geobatch.errors import CorruptObjectError

    newer: tuple[int, Head] | None = None
    after: TreeEntry | None = None
    damaged: list[tuple[int, CorruptObjectError]] = []
    for place, head in store.commits.all():
        if isinstance(head, CorruptObjectError):
            damaged.append((place, head))
            continue
        if head.is_dropped:
            asset = head.name_before(asset)
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
