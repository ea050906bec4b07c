"""The command `plan`: its options."""

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
    rehearse: Annotated[
        bool,
        typer.Option(
            "--rehearse",
            help="Execute the plan without publishing it: exact numbers, and a fast apply.",
        ),
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample",
            metavar="N%",
            help="Rehearse only a share of the regions; `apply` computes such a plan.",
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="TIME",
            help="How long `gc` keeps a rehearsal.  [default: 14d]",
        ),
    ] = None,
    rehash: Rehash = False,
    select: Select = None,
    replace: Replace = None,
    prune: Prune = False,
    max_delete: MaxDelete = None,
    keep_project_prefix: KeepProjectPrefix = False,
    confine: Confined = False,
    allow_from: AllowFrom = None,
    is_new_store: IsNewStore = False,
    executor: ExecutorText = None,
) -> Exit:
    """Show what apply would do, without changing anything."""
    from geobatch.cli.commands.build.options import Asked, options_of
    from geobatch.cli.commands.build.plan_run import run_plan

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
        executor=executor,
    )
    if not rehearse:
        needed = (("--expires", expires), ("--sample", sample), ("--executor", executor))
        for name, value in needed:
            if value is not None:
                raise typer.BadParameter(f"`{name}` needs `--rehearse`")
        return run_plan(settings, paths, asked, file=file, detailed=detailed_exitcode)
    from geobatch.cli.commands.build.rehearse_run import run_rehearsal

    return run_rehearsal(
        settings,
        paths,
        asked,
        file=file,
        detailed=detailed_exitcode,
        expires=expires,
        sample=sample,
    )
