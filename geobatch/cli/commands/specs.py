"""The commands that read specs alone: validate, fmt, schema."""

from __future__ import annotations

import json
from typing import Annotated

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
    from geobatch.declare import lint  # noqa: PLC0415
    from geobatch.declare import validate as validate_specs  # noqa: PLC0415
    from geobatch.declare.projects.confine import Confine  # noqa: PLC0415

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


@app.command(cls=Command, epilog=EPILOG)
def fmt(
    context: typer.Context,
    paths: Specs,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a file would change.")
    ] = False,
) -> Exit:
    """Rewrite specs in the canonical form; comments are kept."""
    from geobatch.cli.files.canonical import formatted_files, rewrite  # noqa: PLC0415

    settings: Settings = context.obj
    # Every file is read before the first is written: an error in one leaves all as they were.
    files = formatted_files(paths)
    changed = [
        (path, after) for path, before, after in files if after is not None and after != before
    ]
    left = [path for path, _, after in files if after is None]
    for path, after in changed:
        if not check:
            rewrite(path, after)
        settings.output.line(f"{'would format' if check else 'formatted'} {path}")
        settings.output.record("formatted", path=str(path), written=not check)
    for path in left:
        why = "it has anchors, merge keys, directives, or a comment in an unusual position"
        settings.output.note(f"{path} is not changed: {why}")
        settings.output.record("left", path=str(path))
    read = count_text(len(files), "file")
    if changed:
        settings.output.note(f"{len(changed):,} of {read} {'would change' if check else 'changed'}")
    else:
        settings.output.note(f"{read} checked: nothing to change")
    return Exit.ERROR if check and changed else Exit.OK


@app.command(cls=Command, epilog=EPILOG)
def schema(context: typer.Context) -> Exit:
    """Print the JSON Schema of specs, for editors."""
    from geobatch.declare.fields.json_schema import schema as spec_schema  # noqa: PLC0415

    settings: Settings = context.obj
    settings.output.text(json.dumps(spec_schema(), indent=2, ensure_ascii=False))
    settings.output.record("schema", schema=spec_schema())
    return Exit.OK
