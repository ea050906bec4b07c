"""The command `validate`."""

from __future__ import annotations

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import AllowFrom, Confined, KeepProjectPrefix, Specs
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.words import count_text

app = group()


@app.command(cls=Command, epilog=EPILOG)
def validate(
    context: typer.Context,
    paths: Specs,
    *,
    keep_project_prefix: KeepProjectPrefix = False,
    confine: Confined = False,
    allow_from: AllowFrom = None,
) -> Exit:
    """Check specs, and that their source files exist."""
    from geobatch.declare import lint
    from geobatch.declare import validate as validate_specs
    from geobatch.declare.projects.confine import Confine

    settings: Settings = context.obj
    specs = validate_specs(
        paths,
        keep_project_prefix=keep_project_prefix,
        confine=Confine.of(confine=confine, allow_from=allow_from),
    ).specs
    settings.output.warn(lint(specs))
    files = len({spec.path for spec in specs})
    settings.output.line(
        f"{count_text(len(specs), 'asset')} in {count_text(files, 'file')}: no problems found"
    )
    settings.output.record("valid", assets=[spec.id for spec in specs], files=files)
    return Exit.OK
