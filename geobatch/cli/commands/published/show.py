"""The command `show`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import (
    At,
)
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import no_asset, reading

if TYPE_CHECKING:
    pass


app = group()


@app.command(cls=Command, epilog=EPILOG)
def show(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(metavar="ASSET", help="Asset id, or a saved plan.")],
    *,
    at: At = None,
) -> Exit:
    """Print the full resolved record of an asset as JSON, or a saved plan."""
    from geobatch.cli.files.saved_plan import find_plan
    from geobatch.cli.views.store import resolved_json

    settings: Settings = context.obj
    saved = find_plan(asset)
    if saved is not None:
        from geobatch.cli.commands.build.plan_run import show_plan

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
