"""Runs one task: a function of the task, the store and the sources, in any thread or process."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, field

from geobatch import execute
from geobatch.errors import InterruptedRunError
from geobatch.execute import upkeep
from geobatch.execute.pages import records
from geobatch.execute.pages.compute import compute_pages, join_pages, regions_of
from geobatch.execute.reuse.region_cache import RegionCache, from_bytes, to_bytes
from geobatch.execute.reuse.tile_sink import TileSink
from geobatch.execute.tasks.ahead import begin_reading
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.recode import recode_tiles
from geobatch.execute.tasks.region import compute_region
from geobatch.execute.tasks.stored_counts import count_tiles
from geobatch.execute.tasks.task import (
    CheckTask,
    JoinTask,
    PagesTask,
    RecodeTask,
    RegionTask,
    TableTask,
    Task,
    TaskResult,
)
from geobatch.execute.upkeep.tasks import UpkeepTask
from geobatch.sources.driver import Reader
from geobatch.sources.reader import Sources
from geobatch.store.backends.protocol import Backend
from geobatch.store.index import Index
from geobatch.store.objects import Objects


class TaskContext(Struct, frozen=True, kw_only=True, eq=False):
    """What tasks are run with; it is the same for all tasks of a run, and stays in its process."""

    objects: Objects
    """Where tiles are put."""
    index: Index
    """Where tile indexes are read."""
    reader: Reader
    """Where source pixels come from."""
    inputs: Inputs = field(default_factory=Inputs)
    """What tasks name by digest."""
    regions: RegionCache | None = None
    """Where the results of finished regions are kept; None for nowhere."""
    is_compared: bool = False
    """Whether `objects` keeps in memory what is put: nothing may be written to the store."""
    folder: Path | None = None
    """Where rows of tables wait, on a disk; None for the folder of temporary files."""
    caches: Backend | None = None
    """Where caches and temporary files are; None where nothing is kept."""
    sink: TileSink | None = None
    """What receives the tiles of new assets, from the coordinator's thread; None for nothing."""

    def begin_reading(self, task: Task, *, is_soon: bool = False) -> None:
        """Start to fetch all that a task will read of objects; see `ahead.begin_reading`."""
        begin_reading(
            task, inputs=self.inputs, reader=self.reader, regions=self.regions, is_soon=is_soon
        )


def run_task(task: Task, context: TaskContext) -> TaskResult:
    """Return what a task put; its tiles are in the store, and no index names them yet.

    Raises:
        SourceError: A source cannot be read, or changed since it was resolved.
        CorruptObjectError: A stored tile that is needed does not match its digest.
        StoreError: The store cannot be written.
    """
    result = begin_task(task, context)
    result.settle()
    return result


def begin_task(task: Task, context: TaskContext) -> TaskResult:
    """Return what a task computed; `result.puts` may still be on the way. Errors as `run_task`."""
    if isinstance(task, UpkeepTask):
        return upkeep.run_upkeep(task, context.inputs, backend=context.objects.backend)
    if isinstance(task, RecodeTask | CheckTask | JoinTask):
        return _run_stored(task, context)
    if isinstance(task, TableTask):
        return execute.run_table(task, context)
    if isinstance(task, PagesTask):
        return _run_pages(task, context)
    return _begin_region(task, context)


def _run_stored(task: RecodeTask | CheckTask | JoinTask, context: TaskContext) -> TaskResult:
    """Run a task that reads no source."""
    objects, index = context.objects, context.index
    if isinstance(task, RecodeTask):
        return recode_tiles(task, objects=objects, index=index)
    if isinstance(task, CheckTask):
        return count_tiles(task, context.inputs, objects=objects, index=index)
    return join_pages(task, objects=objects, index=index)


def _begin_region(task: RegionTask, context: TaskContext) -> TaskResult:
    objects, index, cache = context.objects, context.index, context.regions
    if cache is not None and task.is_cached:
        found = cache.get(task.key)
        cached = None if found is None else from_bytes(found, objects)
        if cached is not None:
            return cached
    context.begin_reading(task)
    result = compute_region(
        task, context.inputs, objects=objects, index=index, reader=context.reader
    )
    if cache is not None and task.is_cached:
        cache.put(task.key, to_bytes(result))
    return result


def _run_pages(task: PagesTask, context: TaskContext) -> TaskResult:
    cache = context.regions if task.is_cached else None
    if cache is not None and (found := cache.get(task.key)) is not None:
        kept = records.from_bytes(found, context.objects, context.index)
        if kept is not None:
            return kept
    asset, roots = context.inputs.asset(task.asset), context.inputs.roots(task.roots)
    running = _Regions(context=context)
    result = compute_pages(
        task, asset, roots, objects=context.objects, index=context.index, running=running
    )
    if cache is not None:
        cache.put(task.key, records.to_bytes(result))
        cache.forget(region.key for region in regions_of(task) if region.is_cached)
    return result


class _Regions(Struct, frozen=True, kw_only=True, eq=False):
    """Runs the regions of a square."""

    context: TaskContext

    def begin(self, task: RegionTask) -> None:
        """Start to fetch what a region reads."""
        self.context.begin_reading(task, is_soon=True)

    def run(self, task: RegionTask) -> TaskResult:
        """Compute a region, if the run was not stopped meanwhile."""
        reader = self.context.reader
        if isinstance(reader, Sources) and reader.is_cancelled:
            raise InterruptedRunError("interrupted")
        return begin_task(task, self.context)
