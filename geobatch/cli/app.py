"""The commands; each imports what it needs when it runs, so that help starts at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geobatch.cli.exits import Exit
from geobatch.cli.listing import info, log, ls, reading, show
from geobatch.cli.plan_commands import Paths, apply, plan
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
def validate(context: typer.Context, paths: Paths) -> int:
    """Check specs, and that their files are there."""
    from geobatch.spec import validate as validate_specs  # noqa: PLC0415

    settings: Settings = context.obj
    specs = validate_specs(paths).specs
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

    from geobatch.spec import schema as spec_schema  # noqa: PLC0415

    settings: Settings = context.obj
    settings.output.line(json.dumps(spec_schema(), indent=2, ensure_ascii=False))
    settings.output.record("schema", schema=spec_schema())
    return Exit.OK


for _command in (plan, apply, ls, info, show, log):
    app.command(epilog=_EPILOG)(_command)


@app.command(epilog=_EPILOG)
def diff(
    context: typer.Context,
    a: Annotated[
        str, typer.Argument(metavar="A", help="A commit, ASSET@COMMIT, or an asset of the head.")
    ],
    b: Annotated[
        str | None,
        typer.Argument(metavar="[B]", help="Likewise; by default the head.", show_default=False),
    ] = None,
    *,
    stats: Annotated[
        bool, typer.Option("--stats", help="Compare values too, of the tiles that differ.")
    ] = False,
    level: Annotated[
        int | None, typer.Option("--level", min=0, help="Level of --stats.  [default: 0]")
    ] = None,
    tiles: Annotated[bool, typer.Option("--tiles", help="List the tiles that differ.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 if anything differs.")
    ] = False,
) -> int:
    """Compare two commits, or two assets, by tile and by value."""
    import time  # noqa: PLC0415

    from geobatch.cli.diff_view import diff_json, diff_lines, tile_json, tile_line  # noqa: PLC0415
    from geobatch.explain.diff import changed_tiles, compare  # noqa: PLC0415
    from geobatch.explain.target import find_targets  # noqa: PLC0415

    settings: Settings = context.obj
    if level is not None and not stats:
        raise typer.BadParameter("`--level` is about `--stats`, which is not given")
    started = time.perf_counter()
    with reading(settings) as store:
        found = compare(store, *find_targets(store, a, b))
        values = {}
        if stats:
            from geobatch.explain.values import check_level, value_diffs  # noqa: PLC0415

            check_level(store, found, level or 0)
            values = {
                asset.id: list(
                    value_diffs(store, asset, level=level or 0, workers=settings.workers)
                )
                for asset in found.assets
            }
        for line in diff_lines(found, values, seconds=time.perf_counter() - started):
            settings.output.line(line)
        for asset in found.assets if tiles else ():
            for tile in changed_tiles(store, asset):
                settings.output.line(tile_line(asset, tile))
                settings.output.record("tile", **tile_json(asset, tile))
        settings.output.record("diff", **diff_json(found, values))
    return Exit.ERROR if exit_code and not found.is_empty else Exit.OK


@app.command(epilog=_EPILOG)
def status(
    context: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SPECS]",
            help="Spec files, or folders of them; none for the store alone.",
            show_default=False,
        ),
    ] = None,
) -> int:
    """Say how the store stands to specs and sources; changes nothing."""
    from geobatch.cli.status_view import status_json, status_lines  # noqa: PLC0415
    from geobatch.explain.status import status as find_status  # noqa: PLC0415

    settings: Settings = context.obj
    found = find_status(settings.store, paths or (), workers=settings.workers)
    for line in status_lines(found):
        settings.output.line(line)
    settings.output.record("status", **status_json(found))
    return Exit.OK
