"""The commands `plan` and `apply`: their options."""

from __future__ import annotations

from pathlib import Path

import click

from geobatch.cli.exits import Exit
from geobatch.cli.options import (
    init_option,
    keep_project_prefix_option,
    max_delete_option,
    paths_argument,
    prune_option,
    rehash_option,
    replace_option,
    select_option,
)
from geobatch.cli.settings import EPILOG, Settings


@click.command(epilog=EPILOG)
@paths_argument
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=Path,
    help="Save the plan; `apply FILE` applies it.",
)
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit 2 if there are changes, 5 if apply would refuse them.",
)
@click.option("--keep-going", is_flag=True, help="If some assets fail, plan the others; exit 3.")
@rehash_option
@select_option
@replace_option
@prune_option
@max_delete_option
@keep_project_prefix_option
@init_option
@click.pass_obj
def plan(
    settings: Settings,
    paths: tuple[Path, ...],
    *,
    file: Path | None,
    detailed_exitcode: bool,
    rehash: bool,
    select: tuple[str, ...],
    replace: tuple[str, ...],
    prune: bool,
    max_delete: str | None,
    keep_project_prefix: bool,
    is_new_store: bool,
    keep_going: bool,
) -> Exit:
    """Show what apply would do, without changing anything."""
    from geobatch.cli.commands.plan_run import Asked, options_of, run_plan  # noqa: PLC0415

    options = options_of(
        select=select,
        replace=replace,
        prune=prune,
        max_delete=max_delete,
        keep_project_prefix=keep_project_prefix,
    )
    asked = Asked(options=options, rehash=rehash, keep_going=keep_going, is_new_store=is_new_store)
    return run_plan(settings, paths, asked, file=file, detailed=detailed_exitcode)


@click.command(epilog=EPILOG)
@click.argument(
    "paths",
    metavar="SPECS|PLAN...",
    nargs=-1,
    required=True,
    type=Path,
    help="Spec files or folders; or one saved plan.",
)
@rehash_option
@select_option
@replace_option
@prune_option
@max_delete_option
@keep_project_prefix_option
@init_option
@click.option(
    "--expect-plan",
    metavar="ID",
    help="Apply only if the plan id matches (the first 8 digits are enough).",
)
@click.option("--keep-going", is_flag=True, help="If some assets fail, publish the others.")
@click.pass_obj
def apply(
    settings: Settings,
    paths: tuple[Path, ...],
    *,
    rehash: bool,
    select: tuple[str, ...],
    replace: tuple[str, ...],
    prune: bool,
    max_delete: str | None,
    keep_project_prefix: bool,
    is_new_store: bool,
    expect_plan: str | None,
    keep_going: bool,
) -> Exit:
    """Make the store match the specs, or apply a saved plan."""
    from geobatch.cli.commands.plan_run import Asked, options_of, run_apply  # noqa: PLC0415

    options = options_of(
        select=select,
        replace=replace,
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
    )
    return run_apply(settings, paths, asked)
