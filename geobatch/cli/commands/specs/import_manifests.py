"""The command `import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.options import KeepProjectPrefix
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command("import", cls=Command, epilog=EPILOG)
def import_manifests(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="MANIFEST...", help="JSON manifests, or folders of them."),
    ],
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="DIR",
            help="Write one spec per manifest here; existing files are never overwritten.",
        ),
    ] = None,
    keep_project_prefix: KeepProjectPrefix = False,
) -> Exit:
    """Rewrite Earth Engine manifests as YAML specs."""
    from geobatch.cli.files.new_specs import imported_files, mirror_notes, write_new

    settings: Settings = context.obj
    output = settings.output
    files = imported_files(paths, folder=folder, keep_project_prefix=keep_project_prefix)
    for note in mirror_notes(files):
        output.note(note)
    if folder is None:
        output.text("---\n".join(file.text for file in files).removesuffix("\n"))
    else:
        write_new({file.target: file.text for file in files})
    for file in files:
        target = None if folder is None else str(file.target)
        if target is not None:
            output.line(f"wrote {target}")
        output.record("imported", manifest=str(file.source), file=target, text=file.text)
    return Exit.OK
