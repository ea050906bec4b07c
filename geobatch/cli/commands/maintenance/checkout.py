"""The command `checkout`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import reading

app = group()

How = Literal["copy", "hardlink", "reflink"]


@app.command(cls=Command, epilog=EPILOG)
def checkout(
    context: typer.Context,
    asset: Annotated[
        str, typer.Argument(metavar="ASSET[@COMMIT]", help="Asset id; with @, at a commit.")
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DEST", help="Folder to make; it may exist if it is empty.")
    ],
    *,
    link: Annotated[
        How,
        typer.Option(
            "--link",
            help="Verified copies, hard links (read-only), or reflinks.",
        ),
    ] = "copy",
) -> Exit:
    """Make a folder with the plain Zarr group of an asset, or the file of a table."""
    from geobatch.cli.words import byte_text, count_text
    from geobatch.views.checkout import Link, check_out

    settings: Settings = context.obj
    asset_id, _, commit = asset.partition("@")
    with reading(settings) as store:
        head = store.at(commit) if commit else store.head()
        made = check_out(store, head, asset_id, destination, link=Link(link))
    size = f"{count_text(made.files, 'file')}, {byte_text(made.bytes)}"
    state = f"{size}, by {link}" if made.is_new else f"nothing to do: it is there already, {size}"
    settings.output.line(f"{destination}  {asset_id} of commit {head.number}: {state}")
    settings.output.record(
        "checkout",
        asset=asset_id,
        commit=head.digest,
        folder=str(made.folder),
        files=made.files,
        bytes=made.bytes,
        link=link if made.is_new else None,
        is_new=made.is_new,
    )
    return Exit.OK
