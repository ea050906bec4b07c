"""The commands `plan` and `apply`: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import (
    AllowFrom,
    Confined,
    IsNewStore,
    KeepProjectPrefix,
    MaxDelete,
    Prune,
    Rehash,
    Replace,
    Select,
    Specs,
)
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command(cls=Command, epilog=EPILOG)
def plan(
    context: typer.Context,
    paths: Specs,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", metavar="FILE", help="Save the plan; `apply FILE` applies it."
        ),
    ] = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode", help="Exit 2 if there are changes, 5 if apply would refuse them."
        ),
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="If some assets fail, plan the others; exit 3.")
    ] = False,
    rehash: Rehash = False,
    select: Select = None,
    replace: Replace = None,
    prune: Prune = False,
    max_delete: MaxDelete = None,
    keep_project_prefix: KeepProjectPrefix = False,
    confine: Confined = False,
    allow_from: AllowFrom = None,
    is_new_store: IsNewStore = False,
) -> Exit:
    """Show what apply would do, without changing anything."""
    from geobatch.cli.commands.plan_run import Asked, options_of, run_plan  # noqa: PLC0415

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
        keep_going=keep_going,
        is_new_store=is_new_store,
        confine=confine,
        allow_from=allow_from,
    )
    return run_plan(settings, paths, asked, file=file, detailed=detailed_exitcode)


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
) -> Exit:
    """Make the store match the specs, or apply a saved plan."""
    from geobatch.cli.commands.plan_run import Asked, options_of, run_apply  # noqa: PLC0415

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
        confine=confine,
        allow_from=allow_from,
    )
    return run_apply(settings, paths, asked)
