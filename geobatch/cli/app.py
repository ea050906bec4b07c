"""The commands; each imports what it needs when it runs, so that help starts at once."""

from __future__ import annotations

from pathlib import Path

import click

from geobatch.cli.commands.earth_engine import import_manifests, new
from geobatch.cli.commands.explain import diff, status, why
from geobatch.cli.commands.export import export
from geobatch.cli.commands.listing import info, log, ls, show
from geobatch.cli.commands.plan import apply, plan
from geobatch.cli.exits import Exit
from geobatch.cli.options import keep_project_prefix_option, paths_argument
from geobatch.cli.settings import EPILOG, Settings
from geobatch.cli.words import count_text
from geobatch.versions import VERSION


class _InOrder(click.Group):
    """Lists its commands as they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click passes it
        return list(self.commands)


def _print_version(context: click.Context, _option: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        settings: Settings = context.obj
        settings.output.line(f"geobatch {VERSION}")
        settings.output.record("version", version=VERSION)
        context.exit()


@click.group(cls=_InOrder, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def app() -> None:
    """Build raster assets from reviewed specs; only what changed is rebuilt."""


@app.command(epilog=EPILOG)
@click.pass_obj
def init(settings: Settings) -> Exit:
    """Create an empty store; `apply` also does this when it is needed."""
    from geobatch.store.identity import IDENTITY  # noqa: PLC0415
    from geobatch.store.tilestore import TileStore  # noqa: PLC0415

    is_new = not (settings.store / IDENTITY).exists()
    store = TileStore.create(settings.store)
    store.close()
    settings.output.line(f"{'made' if is_new else 'kept'} {settings.store}  id {store.id}")
    settings.output.record("store", path=str(settings.store), id=store.id, is_new=is_new)
    return Exit.OK


@app.command(epilog=EPILOG)
@paths_argument
@keep_project_prefix_option
@click.pass_obj
def validate(settings: Settings, paths: tuple[Path, ...], *, keep_project_prefix: bool) -> Exit:
    """Check specs, and that their source files exist."""
    from geobatch.declare import lint  # noqa: PLC0415
    from geobatch.declare import validate as validate_specs  # noqa: PLC0415

    specs = validate_specs(paths, keep_project_prefix=keep_project_prefix).specs
    settings.output.warn(lint(specs))
    files = len({spec.path for spec in specs})
    settings.output.line(
        f"{count_text(len(specs), 'asset')} in {count_text(files, 'file')}: no problems found"
    )
    settings.output.record("valid", assets=[spec.id for spec in specs], files=files)
    return Exit.OK


@app.command(epilog=EPILOG)
@paths_argument
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file would change.")
@click.pass_obj
def fmt(settings: Settings, paths: tuple[Path, ...], *, check: bool) -> Exit:
    """Rewrite specs in the canonical form; comments are kept."""
    from geobatch.cli.files.canonical import formatted_files, rewrite  # noqa: PLC0415

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


@app.command(epilog=EPILOG)
@click.pass_obj
def schema(settings: Settings) -> Exit:
    """Print the JSON Schema of specs, for editors."""
    import json  # noqa: PLC0415

    from geobatch.declare.fields.json_schema import schema as spec_schema  # noqa: PLC0415

    settings.output.line(json.dumps(spec_schema(), indent=2, ensure_ascii=False))
    settings.output.record("schema", schema=spec_schema())
    return Exit.OK


for _command in (
    import_manifests, plan, apply, ls, info, show, log, diff, status, why, export, new,
):  # fmt: skip
    app.add_command(_command)
