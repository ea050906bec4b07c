"""The command `rollback`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import Yes
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import require_store

if TYPE_CHECKING:
    from geobatch.store.maintenance.rollback import RollbackPlan

app = group()


@app.command(cls=Command, epilog=EPILOG)
def rollback(
    context: typer.Context,
    commit: Annotated[
        str,
        typer.Argument(metavar="COMMIT", help="A commit: digest, number, HEAD or HEAD~N."),
    ],
    assets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ASSET]...", help="Only these assets, folders of assets, or globs of ids."
        ),
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Only show what would change.")
    ] = False,
    yes: Yes = False,
) -> Exit:
    """Publish an earlier state again, as a new commit; no tile is computed."""
    from geobatch.cli.views.maintenance.rollback import rollback_json, rollback_lines
    from geobatch.workflow.maintenance.rollback import rollback as roll_back

    settings: Settings = context.obj
    output = settings.output
    require_store(settings)

    def agree(plan: RollbackPlan) -> bool:
        output.record("rollback", **rollback_json(plan))
        for line in rollback_lines(plan, is_whole=settings.is_verbose):
            output.line(line)
        output.flush()
        if plan.blocked:
            return False
        return dry_run or yes or plan.is_empty or output.is_confirmed("Publish this rollback?")

    done = roll_back(settings.store, commit, assets or (), agree=agree, is_dry_run=dry_run)
    root = "" if done.head.commit is None else done.head.commit.content_root
    if done.is_done:
        output.line("")
        output.line(f"commit        {done.head.digest}")
        output.line(f"content root  {root}")
    output.record(
        "summary", commit=done.head.digest if done.is_done else None, content_root=root or None
    )
    if done.is_done or dry_run or done.plan.is_empty:
        return Exit.OK
    output.note("nothing was changed")
    return Exit.ERROR
