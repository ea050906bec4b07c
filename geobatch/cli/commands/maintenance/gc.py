"""The command `gc`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import ExecutorText
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.stores import require_store

app = group()

_TIME = re.compile("([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_MOST_DAYS = 36_500


def read_duration(text: str, option: str) -> timedelta:
    """Return how long `14d` or `12h` is.

    Raises:
        typer.BadParameter: It is no such text, or more than 100 years.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is not a time such as '14d', '12h' or '0d' (s, m, h, d, w).",
            param_hint=f"'{option}'",
        )
    seconds = int(match[1]) * _SECONDS[match[2]]
    if seconds > _MOST_DAYS * _SECONDS["d"]:
        raise typer.BadParameter(f"{text!r} is more than 100 years.", param_hint=f"'{option}'")
    return timedelta(seconds=seconds)


@app.command(cls=Command, epilog=EPILOG)
def gc(
    context: typer.Context,
    *,
    is_applied: Annotated[
        bool, typer.Option("--apply", help="Do it; without this, only say what would be done.")
    ] = False,
    keep_last: Annotated[
        int,
        typer.Option("--keep-last", metavar="N", min=1, help="Keep the newest N commits."),
    ] = 10,
    keep_within: Annotated[
        str,
        typer.Option("--keep-within", metavar="TIME", help="Also keep all commits of this time."),
    ] = "90d",
    grace: Annotated[
        str,
        typer.Option(
            "--grace",
            metavar="TIME",
            help="Keep objects that are not older, and what is moved to quarantine for as long.",
        ),
    ] = "14d",
    is_now: Annotated[
        bool,
        typer.Option("--now", help="Delete at once what is moved; nothing can be put back then."),
    ] = False,
    trusts_clock: Annotated[
        bool,
        typer.Option("--trust-clock", help="Allow a store that was not used for over a year."),
    ] = False,
    executor: ExecutorText = None,
) -> Exit:
    """Find what no kept commit needs; move it to quarantine, and delete it from there later."""
    from geobatch.cli.progress import counting
    from geobatch.cli.views.maintenance.gc import gc_lines, gc_records, result_lines
    from geobatch.store.maintenance.gc_plan import GcOptions
    from geobatch.workflow.maintenance import upkeep

    settings: Settings = context.obj
    output = settings.output
    options = GcOptions(
        keep_last=keep_last,
        keep_within=read_duration(keep_within, "--keep-within"),
        grace=read_duration(grace, "--grace"),
        is_now=is_now,
        trusts_clock=trusts_clock,
    )
    require_store(settings)
    with counting("gc", "parts", is_quiet=output.is_quiet, is_json=output.is_json) as progress:
        plan, result = upkeep.gc(
            settings.store,
            options,
            is_applied=is_applied,
            executor=executor,
            workers=settings.workers,
            progress=progress,
        )
    for line in gc_lines(plan, is_applied=is_applied, is_verbose=settings.is_verbose):
        output.line(line)
    if result is not None:
        for line in result_lines(result):
            output.line(line)
    for kind, fields in gc_records(plan, result):
        output.record(kind, **fields)
    return Exit.OK
