"""The command `doctor`."""

from __future__ import annotations

from itertools import groupby

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

app = group()

_MARKS = {"ok": " ", "note": "?", "fail": "!"}


@app.command(cls=Command, epilog=EPILOG)
def doctor(context: typer.Context) -> Exit:
    """Show what is installed and what the disk can do, and what to do about it."""
    from geobatch.cli.words import columns, count_text
    from geobatch.workflow.maintenance.diagnosis import Health
    from geobatch.workflow.maintenance.doctor import examine

    settings: Settings = context.obj
    found = examine(settings.store)
    for name, members in groupby(found, key=lambda one: one.group):
        several = list(members)
        settings.output.line(name)
        rows = [(f"  {_MARKS[one.health]} {one.name}", one.found) for one in several]
        for one, line in zip(several, columns(rows), strict=True):
            settings.output.line(line)
            if one.hint:
                settings.output.line(f"      hint: {one.hint}")
    for one in found:
        settings.output.record(
            "diagnosis",
            group=one.group,
            name=one.name,
            health=one.health.value,
            found=one.found,
            hint=one.hint,
        )
    failed = [one for one in found if one.health is Health.FAIL]
    settings.output.line("")
    if failed:
        names = ", ".join(one.name for one in failed)
        settings.output.line(f"Doctor: geobatch cannot work here: {names}.")
        return Exit.ERROR
    notes = sum(one.health is Health.NOTE for one in found)
    settings.output.line(f"Doctor: geobatch can work here; {count_text(notes, 'note')}.")
    return Exit.OK
