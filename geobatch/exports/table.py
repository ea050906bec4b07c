"""A table as one TFRecord file, as Earth Engine exports tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from geobatch.errors import ExportError
from geobatch.exports.destination import Destination
from geobatch.model.assets.table import ColumnType
from geobatch.model.published import AssetRecord
from geobatch.sources.tfrecord.writing.table import write_table
from geobatch.store.tilestore import TileStore
from geobatch.table.read import rows_of

SUFFIX = ".tfrecord.gz"


class TableExport(Struct, frozen=True, kw_only=True):
    """What an export of a table wrote."""

    file: Path
    """The file."""
    rows: int
    """Rows in it."""
    rounded: tuple[str, ...]
    """Columns with values that float32 may not hold exactly."""

    @property
    def bytes(self) -> int:
        """Bytes of the file."""
        return self.file.stat().st_size


def export_table(
    store: TileStore,
    record: AssetRecord,
    destination: Destination,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> TableExport:
    """Write a table as `PREFIX.tfrecord.gz`; the points are left to their x and y columns.

    Args:
        store: The store.
        record: The table.
        destination: Folder and prefix of the file.
        overwrite: Whether a file of an earlier export is replaced.
        progress: Told how many of how many rows are written.

    Raises:
        ExportError: It is no table, a file is in the way, TensorFlow is not installed, or the disk
            refused.
        CorruptObjectError: The table is damaged; no file is written.
        InterruptedRunError: The user stopped the run.
    """
    stored = record.table
    if stored is None:
        raise ExportError(f"`{record.asset.id}` is an image, expected a table")
    names = re.compile(re.escape(destination.prefix + SUFFIX))
    destination.check_free(names, overwrite=overwrite)
    data = store.objects.get(stored.stored)
    with destination.writing() as hidden:
        file = hidden / f"{destination.prefix}{SUFFIX}"
        rows = write_table(
            file,
            stored.columns,
            rows_of(data, stored),
            progress=lambda count: progress(count, stored.rows),
        )
        (placed,) = destination.publish([file], replaced=names)
    return TableExport(
        file=placed,
        rows=rows,
        rounded=tuple(c.name for c in stored.columns if c.type is ColumnType.FLOAT64),
    )
