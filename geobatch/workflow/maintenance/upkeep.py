"""Who reads, lists and deletes objects for `fsck` and `gc`: this process, or an executor."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geobatch.execute import TaskContext, upkeep
from geobatch.processors import processor_count
from geobatch.sources.reader import Sources
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.index import Index
from geobatch.store.maintenance.fsck.contents import Progress, no_progress
from geobatch.store.maintenance.gc import GcResult, collect, plan_gc
from geobatch.store.maintenance.gc_plan import GcOptions, GcPlan
from geobatch.store.maintenance.sweeping.parts import Parts, Start, here
from geobatch.store.objects import Objects
from geobatch.store.tilestore import Location, TileStore
from geobatch.workflow.executors import executor_of, project_here

if TYPE_CHECKING:
    from geobatch.execute import Executor
    from geobatch.execute.upkeep import Workers


def executor_here(asked: Any, *, workers: int | None) -> Executor | None:
    """Return the executor that was asked for, or that the project of the current folder names.

    Raises:
        SettingError: It cannot be used.
    """
    count = workers or processor_count()
    return executor_of(asked, [project_here()], workers=count, is_confined=False)


@contextmanager
def working(
    executor: Executor,
    backend: Backend,
    *,
    is_written: bool,
    progress: Progress = no_progress,
) -> Iterator[Workers]:
    """Have an executor work for a store meanwhile.

    Args:
        executor: What runs tasks.
        backend: The store.
        is_written: Whether tasks delete anything.
        progress: Notified of the parts of a `gc`.

    Raises:
        ExecutionError: The workers are not there, are lost, or cannot use the store.
    """
    with (
        tempfile.TemporaryDirectory(prefix="geobatch-upkeep-") as folder,
        Sources(folder=Path(folder), cache=SourceCache.memory()) as reader,
    ):
        objects = Objects(backend)
        context = TaskContext(
            objects=objects, index=Index(objects), reader=reader, is_compared=not is_written
        )
        with executor.start(context) as running:
            yield upkeep.Workers(running, context.inputs, progress=progress)


def gc(
    store: Location,
    options: GcOptions,
    *,
    is_applied: bool,
    executor: Any = None,
    workers: int | None = None,
    progress: Progress = no_progress,
) -> tuple[GcPlan, GcResult | None]:
    """Find what no kept commit needs, and move it to quarantine if that is wanted.

    Locks, what is kept, and what is moved are decided and done here. An executor lists objects, and
    deletes batches that are due.

    Args:
        store: Where the store is.
        options: What to keep.
        is_applied: Whether to do it.
        executor: What runs tasks; see `Request.executor`.
        workers: Tasks that are run at a time on this machine; by default one per processor.
        progress: Notified of parts that were listed, by an executor.

    Returns:
        What was found, and what was done.

    Raises:
        ExecutionError: The workers of the executor cannot be used; nothing that is kept is lost.
        SettingError: The executor cannot be used.
        GeobatchError: See `plan_gc` and `collect`.
    """
    chosen = executor_here(executor, workers=workers)
    start = here if chosen is None else _start(chosen, is_applied=is_applied, progress=progress)
    if not is_applied:
        return plan_gc(store, options, start=start), None
    result = collect(store, options, start=start)
    return result.plan, result


def _start(executor: Executor, *, is_applied: bool, progress: Progress) -> Start:
    @contextmanager
    def start(store: TileStore) -> Iterator[Parts]:
        with working(executor, store.backend, is_written=is_applied, progress=progress) as found:
            yield found

    return start
