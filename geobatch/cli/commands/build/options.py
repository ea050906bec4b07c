"""The options that `plan` and `apply` share, as values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import typer
from msgspec import Struct

from geobatch.cli.files.saved_plan import SavedPlan, find_plan
from geobatch.cli.settings import Settings
from geobatch.declare.projects.confine import Confine
from geobatch.model.plans.plan import Options
from geobatch.workflow.request import Request

_LIMIT = re.compile("[0-9]{1,9}%?", re.ASCII)


class Asked(Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    options: Options
    """What to cover."""
    rehash: bool
    """Whether to read every source."""
    expected: str | None = None
    """Id, or its first digits, that the plan must have."""
    keep_going: bool = False
    """Whether to publish what can be made."""
    is_new_store: bool = False
    """Whether there may be no store yet, wherever it is."""
    confine: bool = False
    """Whether to read only the project's folder and what is allowed."""
    allow_from: Path | None = None
    """The project file whose `allow` counts."""
    message: str = ""
    """What the commit says besides what was done."""
    is_git: bool = True
    """Whether the commit records the Git commit of the specs."""
    pull_request: str = ""
    """URL of the pull request."""
    is_agreed: bool = False
    """Whether nobody is to be asked."""
    executor: str | None = None
    """How tasks are run."""


def options_of(
    *,
    select: Sequence[str],
    replace: Sequence[str],
    prune: bool,
    max_delete: str | None,
    keep_project_prefix: bool = False,
) -> Options:
    """Return the options of a command line.

    Raises:
        typer.BadParameter: A value is wrong.
    """
    if max_delete is not None and _LIMIT.fullmatch(max_delete) is None:
        raise typer.BadParameter(
            f"`--max-delete` needs a number of assets or a share such as `25%`, got `{max_delete}`"
        )
    if max_delete is not None and not prune:
        raise typer.BadParameter("`--max-delete` needs `--prune`")
    return Options(
        select=tuple(select),
        replace=tuple(replace),
        is_pruning=prune,
        max_delete=max_delete,
        keeps_project_prefix=keep_project_prefix,
    )


def request_of(
    settings: Settings, paths: Sequence[Path], asked: Asked, saved: SavedPlan | None = None
) -> Request:
    """Return the request for some specs, or for those of a saved plan."""
    if saved is not None:
        paths = saved.paths
    # The folder that a plan names may be a stranger's choice.
    confine = Confine.of(
        confine=asked.confine, allow_from=asked.allow_from, is_here=saved is not None
    )
    return Request.of(
        paths,
        store=settings.store,
        workers=settings.workers,
        rehash=asked.rehash,
        options=asked.options if saved is None else saved.options,
        confine=confine,
        keep_going=asked.keep_going,
        message=asked.message,
        is_git=asked.is_git,
        pull_request=asked.pull_request,
        executor=asked.executor,
    )


def refuse_plans(paths: Sequence[Path], command: str) -> None:
    """Refuse saved plans where specs are expected.

    Raises:
        typer.BadParameter: One of the paths is a saved plan.
    """
    for path in paths:
        if find_plan(path) is not None:
            raise typer.BadParameter(
                f"`{path}` is a saved plan, not a spec: `geobatch apply {path}` "
                f"applies it; with specs, `geobatch {command}` takes only specs"
            )
