"""The command `review post`: its options."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

Site = Literal["github", "gitlab"]
"""The sites whose APIs are known."""

app = group()


@app.command("review post", cls=Command, epilog=EPILOG)
def post(
    context: typer.Context,
    file: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A saved plan, or Markdown; `-` for stdin."),
    ],
    *,
    site: Annotated[
        Site | None,
        typer.Option(
            "--provider",
            metavar="[github|gitlab]",
            help="Where the pull request is.  [default: by the variables of the pipeline]",
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            "--number",
            metavar="N",
            min=1,
            help="Number of the pull request.  [default: by the variables of the pipeline]",
        ),
    ] = None,
    marker: Annotated[
        str,
        typer.Option(
            "--marker", metavar="NAME", help="Name of the comment, if there are several plans."
        ),
    ] = "plan",
    base_url: Annotated[
        str, typer.Option("--base-url", metavar="URL", help="Of a plan: see `review`.")
    ] = "",
) -> Exit:
    """Post a report as one comment of a pull request, or update the comment."""
    from geobatch.cli.commands.review.post_run import run_post

    settings: Settings = context.obj
    return run_post(settings, file, site=site, number=number, marker_name=marker, base_url=base_url)
