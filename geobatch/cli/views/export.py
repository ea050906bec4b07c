"""What an export wrote, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from geobatch.cli.words import byte_text, count_text
from geobatch.exports.cog import CogExport
from geobatch.exports.cog_levels import MaskKind
from geobatch.exports.records import TFRecordExport
from geobatch.exports.table import TableExport

_MASKS = {
    MaskKind.NONE: "no pixel is masked",
    MaskKind.NODATA: "masked by nodata",
    MaskKind.ALPHA: "masked by an alpha band",
    MaskKind.INTERNAL: "masked by an internal mask",
}


def export_lines(made: CogExport | TFRecordExport | TableExport) -> Iterator[str]:
    """Yield what an export wrote, and what it left out."""
    if isinstance(made, TableExport):
        yield from _table_lines(made)
    else:
        yield from _cog_lines(made) if isinstance(made, CogExport) else _tfrecord_lines(made)


def export_json(made: CogExport | TFRecordExport | TableExport) -> dict[str, Any]:
    """Return the machine form of the same."""
    if isinstance(made, TableExport):
        return {
            "format": made.format,
            "files": [str(made.file)],
            "records": made.rows,
            "rounded": list(made.rounded),
            "bytes": made.bytes,
        }
    return _cog_json(made) if isinstance(made, CogExport) else _tfrecord_json(made)


def _table_lines(made: TableExport) -> Iterator[str]:
    yield str(made.file)
    yield f"{count_text(made.rows, 'row')}, {byte_text(made.bytes)}"
    if made.rounded:
        yield f"rounded to float32: {', '.join(made.rounded)}"


def _tfrecord_lines(made: TFRecordExport) -> Iterator[str]:
    for path in (*made.shards, *([made.mixer] if made.mixer else [])):
        yield str(path)
    grid = made.grid
    yield (
        f"{count_text(made.records, 'record')}, {byte_text(made.bytes)}: "
        f"{made.patches:,} of {grid.columns:,} x {grid.rows:,} patches of "
        f"{grid.patch_width} x {grid.patch_height} pixels"
    )
    if dropped := grid.count - made.patches:
        yield f"dropped {dropped:,} of {grid.count:,} patches, which have too many masked pixels"
    if grid.dropped_pixels:
        pixels = grid.width * grid.height
        yield (
            f"dropped {grid.dropped_pixels:,} of {pixels:,} pixels at the right and lower edges, "
            "which do not fill a patch; `--pad-border` keeps them"
        )
    if made.rounded:
        yield f"rounded to float32: {', '.join(made.rounded)}"


def _tfrecord_json(made: TFRecordExport) -> dict[str, Any]:
    grid = made.grid
    return {
        "format": "tfrecord",
        "files": [str(path) for path in made.shards],
        "mixer": None if made.mixer is None else str(made.mixer),
        "records": made.records,
        "patches": made.patches,
        "patches_per_row": grid.columns,
        "dropped_patches": grid.count - made.patches,
        "dropped_pixels": grid.dropped_pixels,
        "rounded_bands": list(made.rounded),
        "bytes": made.bytes,
    }


def _cog_lines(made: CogExport) -> Iterator[str]:
    for file in made.files:
        yield (
            f"{file.path}  {file.overviews} of {count_text(made.levels, 'level')} above as "
            f"overviews; {_MASKS[file.mask]}"
        )
    yield f"{count_text(len(made.files), 'file')}, {byte_text(made.bytes)}"
    if made.files[0].interleave == "pixel":
        yield "interleaved by pixel; Earth Engine recommends by band, which needs GDAL 3.11"
    if bands := made.files[0].without_palette:
        yield f"colour table not written: {', '.join(bands)}"


def _cog_json(made: CogExport) -> dict[str, Any]:
    return {
        "format": "cog",
        "files": [str(file.path) for file in made.files],
        "overviews": [file.overviews for file in made.files],
        "masks": [file.mask.value for file in made.files],
        "interleave": made.files[0].interleave,
        "bands_without_palette": list(made.files[0].without_palette),
        "levels": made.levels,
        "bytes": made.bytes,
    }
