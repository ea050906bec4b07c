"""What `export` does: it parses its options, makes the export, and reports what was written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import typer
from msgspec import Struct

from geobatch.cli.exits import Exit
from geobatch.cli.progress import counting
from geobatch.cli.settings import Settings
from geobatch.cli.stores import reading
from geobatch.cli.views.export import export_json, export_lines
from geobatch.exports.cog import CogExport, export_cog
from geobatch.exports.destination import Destination
from geobatch.exports.options import TFRecordOptions, camel, parse_options
from geobatch.exports.records import TFRecordExport, export_tfrecord
from geobatch.exports.selection import select
from geobatch.exports.table import TableExport, export_table
from geobatch.model.geobox import Bounds
from geobatch.model.published import Head
from geobatch.processors import processor_count
from geobatch.store.entries import find_entry


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
    overwrite: bool
    """Whether to replace files."""
    options: Mapping[str, Any]
    """TFRecord's options that were given, in snake_case, as typed."""
    format_options: str | None
    """TFRecord's options as JSON."""


def run_export(settings: Settings, asked: Asked, *, is_cog: bool) -> Exit:
    """Export an asset.

    Raises:
        typer.BadParameter: A text of the command line is wrong.
        GeobatchError: It cannot be exported.
    """
    asset_id, _, commit = asked.asset.partition("@")
    region = None if asked.region is None else _region(asked.region)
    names = () if asked.bands is None else tuple(name.strip() for name in asked.bands.split(","))
    options = _options(asked)
    if is_cog and (asked.options or asked.format_options is not None):
        given = [f"--{name.replace('_', '-')}" for name in asked.options]
        first = given[0] if given else "--format-options"
        raise typer.BadParameter(f"`{first}` is an option of `--format tfrecord`")
    dimensions = asked.file_dimensions
    sides = None if dimensions is None else _sides("file_dimensions", dimensions)
    if sides is not None and not is_cog:
        raise typer.BadParameter("`--file-dimensions` is an option of `--format cog`")
    destination = Destination.parse(asked.destination, asset_id=asset_id)
    output = settings.output
    workers = settings.workers or processor_count()
    made: CogExport | TFRecordExport | TableExport
    with (
        reading(settings) as store,
        counting(
            asset_id,
            "pixels" if is_cog else "patches",
            is_quiet=output.is_quiet,
            is_json=output.is_json,
        ) as progress,
    ):
        head = store.at(commit) if commit else store.head()
        record = store.record(find_entry(head, asset_id))
        if record.table is not None:
            _refuse_of_table(asked, is_cog=is_cog)
            made = export_table(
                store, record, destination, overwrite=asked.overwrite, progress=progress
            )
            return _say(settings, asset_id, head, made)
        selection = select(record, names=names, level=asked.level, region=region)
        if is_cog:
            made = export_cog(
                store,
                selection,
                destination,
                file_dimensions=sides,
                overwrite=asked.overwrite,
                workers=workers,
                progress=progress,
            )
        else:
            made = export_tfrecord(
                store,
                selection,
                destination,
                options,
                overwrite=asked.overwrite,
                workers=workers,
                progress=progress,
            )
    return _say(settings, asset_id, head, made)


def _say(
    settings: Settings, asset_id: str, head: Head, made: CogExport | TFRecordExport | TableExport
) -> Exit:
    for line in export_lines(made):
        settings.output.line(line)
    settings.output.record("export", asset=asset_id, commit=head.digest, **export_json(made))
    return Exit.OK


def _refuse_of_table(asked: Asked, *, is_cog: bool) -> None:
    """Refuse options that do not apply to a table."""
    if is_cog:
        raise typer.BadParameter(
            f"`{asked.asset}` is a table and has no pixels: use `--format tfrecord`"
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
