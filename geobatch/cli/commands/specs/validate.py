"""The command `validate`."""

from __future__ import annotations

from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import AllowFrom, Confined, KeepProjectPrefix, Specs
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.words import count_text

app = group()

Offline = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Ask no bucket: uris there are not checked, and collections there have no images.",
    ),
]


@app.command(cls=Command, epilog=EPILOG)
def validate(
    context: typer.Context,
    paths: Specs,
    *,
    keep_project_prefix: KeepProjectPrefix = False,
    confine: Confined = False,
    allow_from: AllowFrom = None,
    offline: Offline = False,
) -> Exit:
    """Check specs, and that their source files exist."""
    from geobatch.declare import lint
    from geobatch.declare import validate as validate_specs
    from geobatch.declare.projects.confine import Confine

    settings: Settings = context.obj
    found = validate_specs(
        paths,
        keep_project_prefix=keep_project_prefix,
        confine=Confine.of(confine=confine, allow_from=allow_from),
        is_offline=offline,
    )
    specs = found.specs
    settings.output.warn(lint(specs))
    unchecked = found.seen.objects.unchecked
    if unchecked:
        count = count_text(len(unchecked), "uri")
        settings.output.note(f"note: {count} in buckets not checked, since `--offline` asks none")
    files = len({spec.path for spec in (*specs, *found.seen.collections)})
    settings.output.line(
        f"{count_text(len(specs), 'asset')} in {count_text(files, 'file')}: no problems found"
    )
    settings.output.record(
        "valid", assets=[spec.id for spec in specs], files=files, unchecked=sorted(unchecked)
    )
    return Exit.OK
