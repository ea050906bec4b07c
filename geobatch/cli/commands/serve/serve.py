"""The command `serve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command(cls=Command, epilog=EPILOG)
def serve(
    context: typer.Context,
    store: Annotated[
        str | None,
        typer.Argument(metavar="[STORE]", help="Folder or url of the store, as of --store."),
    ] = None,
    *,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 chooses one.")
    ] = 8080,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help="Also answer requests for this name, such as that of a proxy; * for any.",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="URL",
            help="Let pages of this origin read tiles and data; * for any.",
        ),
    ] = None,
    plan: Annotated[
        list[Path] | None,
        typer.Option("--plan", metavar="FILE", help="Also show a plan that was saved."),
    ] = None,
) -> Exit:
    """Show the store on a map in the browser, and serve its tiles; nothing can be changed."""
    from geobatch.cli.commands.serve.stores import named_store

    settings: Settings = named_store(context.obj, store)
    from geobatch.cli.commands.serve.serve_run import run_serve

    run_serve(
        settings,
        host=host,
        port=port,
        hosts=allow_host or (),
        origins=allow_origin or (),
        plans=plan or (),
    )
    return Exit.OK
