"""The command `schema`."""

from __future__ import annotations

import json

import typer

from geobatch.cli.command import Command, group
from geobatch.cli.exits import Exit
from geobatch.cli.settings import EPILOG, Settings

app = group()


@app.command(cls=Command, epilog=EPILOG)
def schema(context: typer.Context) -> Exit:
    """Print the JSON Schema of specs, for editors."""
    from geobatch.declare.fields.json_schema import schema as spec_schema

    settings: Settings = context.obj
    settings.output.text(json.dumps(spec_schema(), indent=2, ensure_ascii=False))
    settings.output.record("schema", schema=spec_schema())
    return Exit.OK
