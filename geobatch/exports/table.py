"""A table as one file: TFRecord as Earth Engine exports tables, GeoParquet, or CSV."""

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
from geobatch.table.csv import write_csv
from geobatch.table.read import rows_of

TABLE_FORMATS = ("tfrecord", "parquet", "csv")
"""What a table can be written as."""
_SUFFIXES = {"tfrecord": ".tfrecord.gz", "parquet": ".parquet", "csv": ".csv"}


class TableExport(Struct, frozen=True, kw_only=True):
    """What an export of a table wrote."""

    format: str
    """One of `TABLE_FORMATS`."""
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
    kind: str = "tfrecord",
    overwrite: bool = False,
    progress: Callable[[int, int], object] = lambda *_: None,
) -> TableExport:
    """Write a table as `PREFIX.tfrecord.gz`, `PREFIX.parquet` or `PREFIX.csv`.

    TFRecord and CSV leave the points to their x and y columns. In CSV, a list is a JSON array, and
    a missing value is empty. The GeoParquet file is that of the store, byte for byte.

    Args:
        store: The store.
        record: The table.
        destination: Folder and prefix of the file.
        kind: One of `TABLE_FORMATS`.
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
    suffix = _SUFFIXES[kind]
    if destination.prefix.lower().endswith(suffix):
        prefix = destination.prefix[: -len(suffix)]
        destination = Destination(folder=destination.folder, prefix=prefix)
    names = re.compile(re.escape(destination.prefix + suffix))
    destination.check_free(names, overwrite=overwrite)
    data = store.objects.get(stored.stored)
    with destination.writing() as hidden:
        file = hidden / f"{destination.prefix}{suffix}"
        if kind == "parquet":
            file.write_bytes(data)
            rows = stored.rows
        elif kind == "csv":
            rows = write_csv(file, data, stored)
        else:
            rows = write_table(
                file,
                stored.columns,
                rows_of(data, stored),
                progress=lambda count: progress(count, stored.rows),
            )
        progress(rows, stored.rows)
        (placed,) = destination.publish([file], replaced=names)
    is_exact = kind != "tfrecord"
    doubles = (c.name for c in stored.columns if c.type is ColumnType.FLOAT64)
    return TableExport(
        format=kind, file=placed, rows=rows, rounded=() if is_exact else tuple(doubles)
    )
