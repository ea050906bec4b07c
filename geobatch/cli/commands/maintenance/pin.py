"""The commands `pin` and `unpin`."""

from __future__ import annotations

from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import reading

app = group()


@app.command(cls=Command, epilog=EPILOG)
def pin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the pin.")] = "",
    commit: Annotated[
        str,
        typer.Argument(metavar="[COMMIT]", help="The commit: digest, number, HEAD or HEAD~N."),
    ] = "",
    *,
    is_moved: Annotated[
        bool, typer.Option("--force", help="Move a pin that is on another commit.")
    ] = False,
) -> Exit:
    """Keep a commit for good, under a name; without arguments, list the pins."""
    from geobatch.cli.views.maintenance.gc import pin_json, pin_lines

    settings: Settings = context.obj
    if bool(name) != bool(commit):
        raise typer.BadParameter("A pin needs a name and a commit: `geobatch pin NAME COMMIT`.")
    with reading(settings) as store:
        pins = (store.pin(name, commit, is_moved=is_moved),) if name else store.pins.all()
    for line in pin_lines(pins):
        settings.output.line(line)
    for one in pins:
        settings.output.record("pin", **pin_json(one))
    return Exit.OK


@app.command(cls=Command, epilog=EPILOG)
def unpin(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the pin.")],
) -> Exit:
    """Delete a pin; `gc` may then drop its commit."""
    settings: Settings = context.obj
    with reading(settings) as store:
        store.pins.delete(name)
    settings.output.line(f"unpinned {name}")
    settings.output.record("unpinned", name=name)
    return Exit.OK
