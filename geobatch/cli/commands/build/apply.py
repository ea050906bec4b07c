"""The command `apply`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import (
    AllowFrom,
    Confined,
    ExecutorText,
    IsNewStore,
    KeepProjectPrefix,
    MaxDelete,
    Prune,
    Rehash,
    Replace,
    Select,
    Yes,
)
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command(cls=Command, epilog=EPILOG)
def apply(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="SPECS|PLAN...", help="Spec files or folders; or one saved plan."),
    ],
    *,
    rehash: Rehash = False,
    select: Select = None,
    replace: Replace = None,
    prune: Prune = False,
    max_delete: MaxDelete = None,
    keep_project_prefix: KeepProjectPrefix = False,
    confine: Confined = False,
    allow_from: AllowFrom = None,
    is_new_store: IsNewStore = False,
    expect_plan: Annotated[
        str | None,
        typer.Option(
            "--expect-plan",
            metavar="ID",
            help="Apply only if the plan id matches (the first 8 digits are enough).",
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="If some assets fail, publish the others.")
    ] = False,
    message: Annotated[
        str,
        typer.Option("-m", "--message", metavar="TEXT", help="What the commit says about itself."),
    ] = "",
    git: Annotated[
        bool,
        typer.Option(
            "--git/--no-git", help="Record the Git commit of the specs, if they are in a checkout."
        ),
    ] = True,
    pull_request: Annotated[
        str,
        typer.Option(
            "--pull-request",
            metavar="URL",
            help="Record this pull request; by default the one that a pipeline runs for.",
        ),
    ] = "",
    executor: ExecutorText = None,
    yes: Yes = False,
) -> Exit:
    """Make the store match the specs, or apply a saved plan."""
    from geobatch.cli.commands.build.apply_run import run_apply
    from geobatch.cli.commands.build.options import Asked, options_of

    settings: Settings = context.obj
    options = options_of(
        select=select or (),
        replace=replace or (),
        prune=prune,
        max_delete=max_delete,
        keep_project_prefix=keep_project_prefix,
    )
    asked = Asked(
        options=options,
        rehash=rehash,
        expected=expect_plan,
        keep_going=keep_going,
        is_new_store=is_new_store,
        message=message,
        is_git=git,
        pull_request=pull_request,
        is_agreed=yes,
        executor=executor,
        confine=confine,
        allow_from=allow_from,
    )
    return run_apply(settings, paths, asked)
