"""The command `review`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

Format = Literal["text", "markdown", "html", "geojson", "json"]
"""The forms of a report."""

app = group()


@app.command(cls=Command, epilog=EPILOG)
def review(
    context: typer.Context,
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="A saved plan: `plan -o`.")],
    *,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            metavar="[text|markdown|html|geojson|json]",
            help="Form of the report.  [default: text; with -o, all]",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="DIR", help="Write files, and pictures as PNG, to a folder."
        ),
    ] = None,
    base_url: Annotated[
        str,
        typer.Option(
            "--base-url",
            metavar="URL",
            help="Link specs to this URL of the current folder.  [default: by the variables of "
            "GitHub and GitLab]",
        ),
    ] = "",
) -> Exit:
    """Report what a saved plan changes, where, how much, and what is risky.

    `review post` posts it as a comment of a pull request.
    """
    from geobatch.cli.commands.review.review_run import run_review

    settings: Settings = context.obj
    return run_review(settings, plan, form=form, folder=folder, base_url=base_url)
