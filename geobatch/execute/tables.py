"""Tables: records streamed into columns, and put into the store as one GeoParquet object."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import IO

from geobatch.errors import InternalError, InterruptedRunError, SourceError, SourceErrors
from geobatch.execute.counts import Counts
from geobatch.model.assets.fingerprint import table_fingerprint
from geobatch.model.assets.table import StoredTable, Table
from geobatch.model.digest import Digest
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import AssetChange, Plan
from geobatch.model.published import AssetRecord
from geobatch.sources.projections.crs import projjson
from geobatch.sources.registry import row_driver_of
from geobatch.store.objects import Objects
from geobatch.table.gather import Gatherer
from geobatch.table.library import arrow
from geobatch.table.spill import Spill
from geobatch.table.write import write_parquet


def execute_tables(
    plan: Plan,
    *,
    records: Mapping[str, AssetRecord],
    objects: Objects,
    folder: Path,
    observer: Observer,
    counts: Counts,
    failures: dict[str, SourceError] | None = None,
) -> Generator[AssetRecord, None, None]:
    """Make every table that a plan names, and yield each when its rows are in the store.

    Records are streamed and wait on disk as parts of columns, since only the last one tells which
    columns there are. In memory are two batches of 128 records, and a part: 32 MiB of
    values, or a single row; whatever the size of the table.

    Args:
        plan: What to do; images are passed over.
        records: Published records of the tables that are updated, by asset id.
        objects: Where the rows are put.
        folder: Where rows wait, on the store's disk.
        observer: Notified of the table in work.
        counts: Added to as tables finish.
        failures: Where errors of sources are put, by asset id, while the other assets go on.

    Raises:
        SourceError: A shard cannot be read, its records are no rows of one table, or TensorFlow or
            pyarrow is not installed; without `failures`.
        StoreError: The disk refused.
        InterruptedRunError: The user stopped the run.
    """
    try:
        for change in plan.changed:
            if change.table is None or change.asset is None:
                continue
            observer.asset_started(change.id, tiles=0)
            try:
                yield _record(change, records, objects, folder=folder, counts=counts)
            except SourceError as error:
                if failures is None:
                    raise
                failures[change.id] = error
            observer.asset_finished(change.id)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted while a table was read; nothing was published",
            hint="run the same command again",
        ) from None


def _record(
    change: AssetChange,
    records: Mapping[str, AssetRecord],
    objects: Objects,
    *,
    folder: Path,
    counts: Counts,
) -> AssetRecord:
    asset, work = change.asset, change.table
    if not isinstance(asset, Table) or work is None:
        raise InternalError(f"`{change.id}`: no table to make")
    if work.is_read:
        stored = read_table(asset, objects, folder=folder, counts=counts)
    else:
        found = records[change.id].table
        if found is None:
            raise InternalError(f"`{change.id}`: no rows to reuse")
        stored = found
    return AssetRecord(asset=asset, arrays=(), fingerprints=(), table=stored)


def read_table(table: Table, objects: Objects, *, folder: Path, counts: Counts) -> StoredTable:
    """Read the rows of a table from its sources, and put them as one object.

    Args:
        table: The table, with the files of its sources.
        objects: Where the rows are put.
        folder: Where rows wait, on a disk.
        counts: Added to.

    Raises:
        SourceError: See `execute_tables`.
        StoreError: The disk refused.
    """
    arrow()  # what cannot be written need not be read
    # The files of a table are of one kind.
    reader = row_driver_of(table.sources[0].uri).open_reader(table)
    gatherer = Gatherer(table, types=reader.types, where=reader.where)
    errors = SourceErrors()
    with Spill(folder) as spill:
        for source in table.sources:
            if source.stat is None:
                raise InternalError(f"`{source.uri}`: it was never probed")
            with errors.collecting(source.uri):
                for number, features in reader.rows(source):
                    if errors.first is not None:  # what is left is read to find what is wrong
                        continue
                    if gatherer.is_full:
                        spill.write(*gatherer.parts())
                    gatherer.add(features, uri=source.uri, number=number)
            counts.bytes_read += source.stat.size
        errors.raise_all()
        if not gatherer.columns:
            wanted = "records with features" if gatherer.rows else "records"
            raise SourceError(
                f"expected {wanted}, got none in"
                f" {', '.join(f'`{source.uri}`' for source in table.sources[:8])}",
                hint="name the files that hold the rows",
            )
        spill.write(*gatherer.parts())
        with tempfile.TemporaryFile(dir=folder) as file:
            written = write_parquet(
                file, spill, gatherer.columns, table=table, crs=projjson(table.crs)
            )
            digest, size, is_new = _put(file, objects)
    counts.rows += gatherer.rows
    counts.bytes_written += size if is_new else 0
    return StoredTable(
        rows=gatherer.rows,
        columns=written.columns,
        geometry=written.geometry,
        bounds=written.bounds,
        fingerprint=table_fingerprint(table),
        stored=digest,
        size=size,
    )


def _put(file: IO[bytes], objects: Objects) -> tuple[Digest, int, bool]:
    """Put what a file of ours holds, and return its digest, its length, and whether it is new.

    It is mapped, not read: a table may be larger than memory.
    """
    file.flush()
    with (
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
        memoryview(mapped) as view,
    ):
        digest, is_new = objects.put(view)
        return digest, len(view), is_new
