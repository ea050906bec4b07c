"""The commands; each imports what it needs when it runs, so that help starts at once."""

from __future__ import annotations

from typing import Annotated

import typer

from geobatch.cli.exits import Exit
from geobatch.cli.explain_commands import diff, status, why
from geobatch.cli.export_command import export
from geobatch.cli.listing import info, log, ls, show
from geobatch.cli.manifest_commands import import_manifests, new_image
from geobatch.cli.plan_commands import KeepProjectPrefix, Paths, apply, plan
from geobatch.cli.settings import Settings
from geobatch.cli.words import count_text

_EPILOG = (
    "Every command also takes: --store DIR (default store/, or GEOBATCH_STORE), --json for JSON "
    "lines, -j N for the number of workers, -q and -v."
)

app = typer.Typer(
    name="geobatch",
    help="Raster assets from reviewed specs: only what changed is rebuilt.",
    epilog=_EPILOG,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        from importlib.metadata import version as installed  # noqa: PLC0415

        settings: Settings = context.obj
        settings.output.line(f"geobatch {installed('geobatch')}")
        settings.output.record("version", version=installed("geobatch"))
        raise typer.Exit


@app.command(epilog=_EPILOG)
def init(context: typer.Context) -> int:
    """Make an empty store; `apply` does so by itself."""
    from geobatch.store.tilestore import IDENTITY, TileStore  # noqa: PLC0415

    settings: Settings = context.obj
    is_new = not (settings.store / IDENTITY).exists()
    store = TileStore.create(settings.store)
    store.close()
    settings.output.line(f"{'made' if is_new else 'kept'} {settings.store}  id {store.id}")
    settings.output.record("store", path=str(settings.store), id=store.id, is_new=is_new)
    return Exit.OK


@app.command(epilog=_EPILOG)
def validate(
    context: typer.Context, paths: Paths, *, keep_project_prefix: KeepProjectPrefix = False
) -> int:
    """Check specs, and that their files are there."""
    from geobatch.spec import lint  # noqa: PLC0415
    from geobatch.spec import validate as validate_specs  # noqa: PLC0415

    settings: Settings = context.obj
    specs = validate_specs(paths, keep_project_prefix=keep_project_prefix).specs
    settings.output.warn(lint(specs))
    files = len({spec.path for spec in specs})
    settings.output.line(
        f"{count_text(len(specs), 'asset')} in {count_text(files, 'file')}: no problems found"
    )
    settings.output.record("valid", assets=[spec.id for spec in specs], files=files)
    return Exit.OK


@app.command(epilog=_EPILOG)
def fmt(
    context: typer.Context,
    paths: Paths,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 if a file would change.")
    ] = False,
) -> int:
    """Write specs in the canonical form; comments stay."""
    from geobatch.cli.rewriting import formatted_files, rewrite  # noqa: PLC0415

    settings: Settings = context.obj
    # Every file is read before the first is written: an error in one leaves all as they were.
    files = formatted_files(paths)
    changed = [(path, after) for path, before, after in files if before != after]
    for path, after in changed:
        if not check:
            rewrite(path, after)
        settings.output.line(f"{'would format' if check else 'formatted'} {path}")
        settings.output.record("formatted", path=str(path), written=not check)
    settings.output.note(
        f"{len(changed):,} of {count_text(len(files), 'file')} "
        f"{'not in the canonical form' if check else 'changed'}"
    )
    return Exit.ERROR if check and changed else Exit.OK


@app.command(epilog=_EPILOG)
def schema(context: typer.Context) -> int:
    """Print the JSON Schema of specs, for editors."""
    import json  # noqa: PLC0415

    from geobatch.spec.schema import schema as spec_schema  # noqa: PLC0415

    settings: Settings = context.obj
    settings.output.line(json.dumps(spec_schema(), indent=2, ensure_ascii=False))
    settings.output.record("schema", schema=spec_schema())
    return Exit.OK


app.command("import", epilog=_EPILOG)(import_manifests)
_new = typer.Typer(help="Write a new spec.", no_args_is_help=True, rich_markup_mode=None)
_new.command("image", epilog=_EPILOG)(new_image)
app.add_typer(_new, name="new")
for _command in (plan, apply, ls, info, show, log, diff, status, why, export):
    app.command(epilog=_EPILOG)(_command)
