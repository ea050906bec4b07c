"""What an export wrote, as lines and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from geobatch.cli.words import byte_text, count_text
from geobatch.export.records import TFRecordExport


def tfrecord_lines(made: TFRecordExport) -> Iterator[str]:
    """Yield what a TFRecord export wrote, and what it left out."""
    for path in (*made.shards, *([made.mixer] if made.mixer else [])):
        yield str(path)
    grid = made.grid
    yield (
        f"{count_text(made.records, 'record')}, {byte_text(made.bytes)}: "
        f"{made.patches:,} of {grid.columns:,} x {grid.rows:,} patches of "
        f"{grid.patch_width} x {grid.patch_height} pixels"
    )
    if dropped := grid.count - made.patches:
        yield f"dropped for their masked pixels: {dropped:,} of {grid.count:,} patches"
    if grid.dropped_pixels:
        pixels = grid.width * grid.height
        yield (
            f"dropped {grid.dropped_pixels:,} of {pixels:,} pixels at the right and lower edges, "
            "which fill no patch; `--pad-border` keeps them"
        )
    if made.rounded:
        yield f"rounded to float32: {', '.join(made.rounded)}"


def tfrecord_json(made: TFRecordExport) -> dict[str, Any]:
    """Return the machine form of the same."""
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
