"""Tables: records streamed into columns, and put into the store as one GeoParquet object."""

from __future__ import annotations

import mmap
import tempfile
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, TypeAlias

from geobatch.errors import InternalError, InterruptedRunError, SourceError, SourceErrors
from geobatch.execute.counts import Counts
from geobatch.execute.executors.protocol import Executor, Outcome
from geobatch.execute.tasks.runner import TaskContext
from geobatch.execute.tasks.task import TableTask, TaskResult
from geobatch.execute.verification.comparison import Unkept
from geobatch.format.documents import decode_asset, encode_asset
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

_MOST_COLUMNS = 48
"""Columns that a task returns of a table: some 100 bytes each."""
_MOST_NAMES = 4096
"""Characters of their names."""

_Read: TypeAlias = StoredTable | SourceError | None
"""Rows that were put, or why not; None if none were read."""


def execute_tables(
    plan: Plan,
    *,
    records: Mapping[str, AssetRecord],
    objects: Objects,
    folder: Path,
    observer: Observer,
    counts: Counts,
    failures: dict[str, SourceError] | None = None,
    executor: Executor | None = None,
    context: TaskContext | None = None,
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
        executor: What reads tables, each as a task; None to read them here, one after the other.
        context: What tasks are run with.

    Raises:
        SourceError: A shard cannot be read, its records are no rows of one table, or TensorFlow or
            pyarrow is not installed; without `failures`.
        StoreError: The disk refused.
        InterruptedRunError: The user stopped the run.
    """
    due = [one for one in plan.changed if one.table is not None and one.asset is not None]
    read = _read_here
    if executor is not None and context is not None and any(map(_is_read, due)):
        read = partial(_read_elsewhere, executor=executor, context=context)
    try:
        for change, stored in read(due, objects, folder=folder, counts=counts, observer=observer):
            if isinstance(stored, SourceError):
                if failures is None:
                    raise stored
                failures[change.id] = stored
            else:
                yield _record(change, records, stored)
            observer.asset_finished(change.id)
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted while a table was read; nothing was published",
            hint="run the same command again",
        ) from None


def _is_read(change: AssetChange) -> bool:
    return change.table is not None and change.table.is_read


def _table(change: AssetChange) -> Table:
    if not isinstance(change.asset, Table):
        raise InternalError(f"`{change.id}`: no table to make")
    return change.asset


def _read_here(
    changes: Sequence[AssetChange],
    objects: Objects,
    *,
    folder: Path,
    counts: Counts,
    observer: Observer,
) -> Iterator[tuple[AssetChange, _Read]]:
    """Yield changes with the rows that were put, or why not; None if rows are reused."""
    for change in changes:
        observer.asset_started(change.id, tiles=0)
        stored: _Read = None
        if _is_read(change):
            try:
                stored = read_table(_table(change), objects, folder=folder, counts=counts)
            except SourceError as error:
                stored = error
        yield change, stored


def _read_elsewhere(
    changes: Sequence[AssetChange],
    objects: Objects,
    *,
    folder: Path,
    counts: Counts,
    observer: Observer,
    executor: Executor,
    context: TaskContext,
) -> Iterator[tuple[AssetChange, _Read]]:
    """Yield what `_read_here` does, of tables that an executor reads."""
    reused = [one for one in changes if not _is_read(one)]
    yield from _read_here(reused, objects, folder=folder, counts=counts, observer=observer)
    waiting = deque(one for one in changes if _is_read(one))
    in_flight: dict[int, tuple[AssetChange, Digest]] = {}
    with executor.start(context) as running:
        while waiting or in_flight:
            while waiting and len(in_flight) < running.capacity:
                change, number = waiting.popleft(), len(changes) - len(waiting)
                observer.asset_started(change.id, tiles=0)
                table = _table(change)
                task = TableTask(key=table_fingerprint(table), asset=context.inputs.add(table))
                in_flight[number] = change, task.asset
                running.submit(number, task)
            for outcome in running.completed():
                change, asset = in_flight.pop(outcome.number)
                context.inputs.forget(asset)
                yield change, _taken_in(outcome, _table(change), counts, objects)


def _taken_in(outcome: Outcome, table: Table, counts: Counts, objects: Objects) -> _Read:
    """Return what became of a table, and count it."""
    if isinstance(outcome.error, SourceError):
        return outcome.error
    if outcome.error is not None:
        raise outcome.error
    result = outcome.result
    stored = None if result is None else result.table
    if result is not None and result.document is not None:
        name = f"asset `{table.id}` (`{Objects.path(result.document)}`)"
        stored = decode_asset(objects.get(result.document), name=name).table
    if result is None or stored is None:
        raise InternalError(f"`{table.id}`: a task put no rows")
    counts.rows += stored.rows
    counts.bytes_written += result.bytes_written
    counts.bytes_read += sum(one.stat.size for one in table.sources if one.stat is not None)
    return stored


def run_table(task: TableTask, context: TaskContext) -> TaskResult:
    """Return the rows of a table that a task puts; of a run that only compares, none are kept.

    Raises:
        SourceError: See `execute_tables`.
        StoreError: The store cannot be written.
    """
    counts = Counts()
    objects = Unkept(context.objects.backend) if context.is_compared else context.objects
    folder = context.folder or Path(tempfile.gettempdir())
    table = context.inputs.table(task.asset)
    stored = read_table(table, objects, folder=folder, counts=counts)
    if context.is_compared or not _is_wide(stored):
        return TaskResult(table=stored, bytes_written=counts.bytes_written)
    # It is published, too: nothing is put that would not be there otherwise.
    document, _ = objects.put(encode_asset(_made(table, stored)))
    return TaskResult(document=document, bytes_written=counts.bytes_written)


def _is_wide(stored: StoredTable) -> bool:
    names = sum(len(column.name) for column in stored.columns)
    return len(stored.columns) > _MOST_COLUMNS or names > _MOST_NAMES


def _record(
    change: AssetChange, records: Mapping[str, AssetRecord], stored: StoredTable | None
) -> AssetRecord:
    found = records[change.id].table if stored is None else stored
    if found is None:
        raise InternalError(f"`{change.id}`: no rows to reuse")
    return _made(_table(change), found)


def _made(table: Table, stored: StoredTable) -> AssetRecord:
    return AssetRecord(asset=table, arrays=(), fingerprints=(), table=stored)


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
