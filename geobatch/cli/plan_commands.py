"""The commands `plan` and `apply`: their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Paths = Annotated[
    list[Path],
    typer.Argument(
        metavar="SPECS",
        help="Spec files, or folders of them.",
        show_default=False,
        readable=False,  # not checked here: `validate` says it of every file, with its place
    ),
]
KeepProjectPrefix = Annotated[
    bool,
    typer.Option(
        "--keep-project-prefix",
        help="Keep `projects/P/assets/` in the ids of Earth Engine manifests.",
    ),
]
PathsOrPlan = Annotated[
    list[Path],
    typer.Argument(
        metavar="SPECS|PLAN",
        help="Spec files, or folders of them; or one saved plan.",
        show_default=False,
        readable=False,
    ),
]
Rehash = Annotated[
    bool, typer.Option("--rehash", help="Read every source, whatever its time stamps say.")
]
Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select", metavar="GLOB", help="Only these assets; also state:new and state:modified."
    ),
]
Replace = Annotated[
    list[str] | None,
    typer.Option("--replace", metavar="GLOB", help="Compute these anew though nothing changed."),
]
Prune = Annotated[
    bool, typer.Option("--prune", help="Delete assets that these specs declare no more.")
]
MaxDelete = Annotated[
    str | None,
    typer.Option("--max-delete", metavar="N", help="How many may go: 3 or 25%.  [default: 20%]"),
]


def plan(
    context: typer.Context,
    paths: Paths,
    *,
    file: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Save the plan, for `apply FILE`."),
    ] = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="Exit 2 if there are changes.")
    ] = False,
    rehash: Rehash = False,
    select: Select = None,
    replace: Replace = None,
    prune: Prune = False,
    max_delete: MaxDelete = None,
    keep_project_prefix: KeepProjectPrefix = False,
) -> int:
    """Say what apply would do, and do nothing."""
    from geobatch.cli.planning import Asked, options_of, run_plan  # noqa: PLC0415

    options = options_of(
        select=select,
        replace=replace,
        prune=prune,
        max_delete=max_delete,
        keep_project_prefix=keep_project_prefix,
    )
    asked = Asked(options=options, rehash=rehash)
    return run_plan(context.obj, paths, asked, file=file, detailed=detailed_exitcode)


def apply(
    context: typer.Context,
    paths: PathsOrPlan,
    *,
    rehash: Rehash = False,
    select: Select = None,
    replace: Replace = None,
    prune: Prune = False,
    max_delete: MaxDelete = None,
    keep_project_prefix: KeepProjectPrefix = False,
    expect_plan: Annotated[
        str | None,
        typer.Option(
            "--expect-plan", metavar="ID", help="Do nothing but this plan; 8 digits suffice."
        ),
    ] = None,
    keep_going: Annotated[
        bool,
        typer.Option("--keep-going", help="Publish the rest where the sources of some fail."),
    ] = False,
) -> int:
    """Make the store hold what the specs declare; or carry out a saved plan."""
    from geobatch.cli.planning import Asked, options_of, run_apply  # noqa: PLC0415

    options = options_of(
        select=select,
        replace=replace,
        prune=prune,
        max_delete=max_delete,
        keep_project_prefix=keep_project_prefix,
    )
    asked = Asked(options=options, rehash=rehash, expected=expect_plan, keep_going=keep_going)
    return run_apply(context.obj, paths, asked)
