"""What `export` does: it parses its options, makes the export, and reports what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

import typer
from msgspec import Struct

from geobatch.cli.exits import Exit
from geobatch.cli.progress import counting
from geobatch.cli.settings import Settings
from geobatch.cli.stores import reading
from geobatch.cli.views.export import export_json, export_lines
from geobatch.errors import GeobatchError, NotFoundError
from geobatch.exports.cog import CogExport, export_cog
from geobatch.exports.destination import Destination
from geobatch.exports.options import COMPRESSIONS, TFRecordOptions, camel, parse_options
from geobatch.exports.records import TFRecordExport, export_tfrecord
from geobatch.exports.selection import select
from geobatch.exports.table import TableExport, export_table
from geobatch.model.geobox import Bounds
from geobatch.model.published import Head
from geobatch.processors import processor_count
from geobatch.store.entries import find_entry
from geobatch.store.tilestore import TileStore


class Asked(Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    asset: str
    """Asset id, with or without `@` and a commit."""
    destination: str
    """Folder and prefix."""
    bands: str | None
    """Names, with commas between."""
    level: int
    """Level."""
    region: str | None
    """Four numbers, with commas between."""
    file_dimensions: str | None
    """Width and height of a COG."""
    compress: str | None
    """Compression of a COG."""
    overwrite: bool
    """Whether to replace files."""
    options: Mapping[str, Any]
    """TFRecord's options that were given, in snake_case, as typed."""
    format_options: str | None
    """TFRecord's options as JSON."""


class _Request(Struct, frozen=True, kw_only=True):
    """What is asked for of each asset, parsed."""

    kind: str
    """The format."""
    names: tuple[str, ...]
    """Bands."""
    region: Bounds | None
    """Box."""
    options: TFRecordOptions
    """Options of TFRecord."""
    sides: tuple[int, int] | None
    """(width, height) of a COG."""
    asked: Asked
    """As typed."""
    destination: Destination
    """Where the files go."""


def run_export(settings: Settings, asked: Asked, *, kind: str) -> Exit:
    """Export an asset, or all that a pattern matches.

    Raises:
        typer.BadParameter: A text of the command line is wrong.
        GeobatchError: One cannot be exported; those before it were written.
    """
    pattern, _, commit = asked.asset.partition("@")
    region = None if asked.region is None else _region(asked.region)
    names = () if asked.bands is None else tuple(name.strip() for name in asked.bands.split(","))
    options = _options(asked)
    _refuse_of_format(asked, kind)
    dimensions = asked.file_dimensions
    sides = None if dimensions is None else _sides("file_dimensions", dimensions)
    with reading(settings) as store:
        head = store.at(commit) if commit else store.head()
        is_bulk = any(sign in pattern for sign in "*?[")
        ids = _matching(head, pattern) if is_bulk else [pattern]
        for number, asset_id in enumerate(ids):
            text = f"{asked.destination.rstrip('/')}/{asset_id}" if is_bulk else asked.destination
            request = _Request(
                kind=kind, names=names, region=region, options=options, sides=sides, asked=asked,
                destination=Destination.parse(text, asset_id=asset_id),
            )  # fmt: skip
            try:
                made = _export_one(settings, store, head, asset_id, request)
            except GeobatchError as error:
                if number:
                    done = f"{number:,} of {len(ids):,} assets were written before"
                    error.hint = f"{error.hint}; {done}" if error.hint else done
                raise
            _say(settings, asset_id, head, made)
        if is_bulk:
            settings.output.note(f"{len(ids):,} assets exported")
    return Exit.OK


def _matching(head: Head, pattern: str) -> list[str]:
    """Return the ids that a pattern matches, as those of `--select` are.

    Raises:
        NotFoundError: None matches.
    """
    ids = [entry.id for entry in head.tree.entries if fnmatchcase(entry.id, pattern)]
    if not ids:
        raise NotFoundError(f"no asset matches `{pattern}`", hint="`geobatch ls` lists the assets")
    return ids


def _export_one(
    settings: Settings, store: TileStore, head: Head, asset_id: str, request: _Request
) -> CogExport | TFRecordExport | TableExport:
    output, asked, kind = settings.output, request.asked, request.kind
    workers = settings.workers or processor_count()
    unit = "pixels" if kind == "cog" else "patches"
    record = store.record(find_entry(head, asset_id))
    with counting(asset_id, unit, is_quiet=output.is_quiet, is_json=output.is_json) as progress:
        if record.table is not None:
            _refuse_of_table(asked, kind)
            return export_table(
                store, record, request.destination,
                kind=kind, overwrite=asked.overwrite, progress=progress,
            )  # fmt: skip
        if kind in ("parquet", "csv"):
            raise typer.BadParameter(
                f"`{asset_id}` is an image, and `{kind}` is for tables: use `--format cog`"
            )
        selection = select(
            record, location=settings.store, names=request.names, level=asked.level,
            region=request.region,
        )  # fmt: skip
        if kind == "cog":
            return export_cog(
                store,
                selection,
                request.destination,
                file_dimensions=request.sides,
                compression=asked.compress or COMPRESSIONS[0],
                overwrite=asked.overwrite,
                workers=workers,
                progress=progress,
            )
        return export_tfrecord(
            store,
            selection,
            request.destination,
            request.options,
            overwrite=asked.overwrite,
            workers=workers,
            progress=progress,
        )


def _refuse_of_format(asked: Asked, kind: str) -> None:
    """Refuse options of another format."""
    if kind != "tfrecord" and (asked.options or asked.format_options is not None):
        given = [f"--{name.replace('_', '-')}" for name in asked.options]
        first = given[0] if given else "--format-options"
        raise typer.BadParameter(f"`{first}` is an option of `--format tfrecord`")
    if asked.file_dimensions is not None and kind != "cog":
        raise typer.BadParameter("`--file-dimensions` is an option of `--format cog`")
    if asked.compress is not None and kind != "cog":
        raise typer.BadParameter("`--compress` is an option of `--format cog`")
    if asked.compress is not None and asked.compress not in COMPRESSIONS:
        methods = ", ".join(f"`{one}`" for one in COMPRESSIONS)
        raise typer.BadParameter(f"`--compress {asked.compress}`: expected one of {methods}")


def _say(
    settings: Settings, asset_id: str, head: Head, made: CogExport | TFRecordExport | TableExport
) -> None:
    for line in export_lines(made):
        settings.output.line(line)
    settings.output.record("export", asset=asset_id, commit=head.digest, **export_json(made))


def _refuse_of_table(asked: Asked, kind: str) -> None:
    """Refuse options that do not apply to a table."""
    if kind == "cog":
        raise typer.BadParameter(
            f"`{asked.asset}` is a table and has no pixels: use `--format tfrecord`, `parquet` or"
            " `csv`"
        )
    given = {"--bands": asked.bands, "--level": asked.level, "--region": asked.region}
    given |= {f"--{name.replace('_', '-')}": value for name, value in asked.options.items()}
    given |= {"--format-options": asked.format_options}
    for name, value in given.items():
        if value:
            raise typer.BadParameter(f"`{name}` has no effect on a table")


def _options(asked: Asked) -> TFRecordOptions:
    """Return the format options; what is typed and what is JSON may not contradict each other."""
    given: dict[str, Any] = {}
    if asked.format_options is not None:
        try:
            given = json.loads(asked.format_options)
        except ValueError as error:
            raise typer.BadParameter(f"`--format-options` is not JSON: {error}") from None
        if not isinstance(given, dict):
            raise typer.BadParameter("`--format-options` must be a JSON object, in braces")
    typed = dict(asked.options)
    for name in ("patch_dimensions", "kernel_size"):
        if name in typed:
            typed[name] = _sides(name, typed[name])
    if "tensor_depths" in typed:
        typed["tensor_depths"] = dict(map(_depth, typed["tensor_depths"]))
    for name in typed:
        if name in given or camel(name) in given:
            raise typer.BadParameter(
                f"`--{name.replace('_', '-')}` is also given in `--format-options`"
            )
    return parse_options({**given, **typed})


def _sides(name: str, text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) > 2 or not all(_is_whole(part) for part in parts):
        raise typer.BadParameter(
            f"`--{name.replace('_', '-')}` needs width and height, such as `256,256`, got `{text}`"
        )
    return (int(parts[0]), int(parts[-1]))


def _depth(text: str) -> tuple[str, int]:
    name, _, depth = text.rpartition("=")
    if not name or not _is_whole(depth):
        raise typer.BadParameter(
            f"`--tensor-depths` needs NAME=N, such as `series=12`, got `{text}`"
        )
    return name, int(depth)


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _region(text: str) -> Bounds:
    try:
        left, bottom, right, top = (float(part) for part in text.split(","))
    except ValueError:
        left = bottom = right = top = 0.0
    if not (left < right and bottom < top):
        raise typer.BadParameter(
            f"`--region` needs XMIN,YMIN,XMAX,YMAX with the smaller values first, got `{text}`"
        )
    return (left, bottom, right, top)
