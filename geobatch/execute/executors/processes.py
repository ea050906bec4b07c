"""Runs tasks in several processes: threads that run small tasks wait for Python's lock.

Each process opens the store and the sources by itself, and returns what its tasks put. The pool
runs a task here that failed elsewhere, or was lost with its process. It saved 37 to 48 % of the
time of small images on free processors (docs/decisions/022-small-images-by-processes.md), and 18 %
of that of 2,000 on a busy machine (docs/decisions/041-one-pool.md).
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import Self, TypeAlias

from msgspec import Struct

from geobatch.errors import InternalError
from geobatch.execute.allocator import keep_freed_memory
from geobatch.execute.executors.protocol import Outcome, RunningTasks
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.runner import TaskContext, run_task
from geobatch.execute.tasks.task import RegionTask, Task, TaskResult
from geobatch.model.digest import Digest
from geobatch.processes.pool import Keep, Pool, Work, start
from geobatch.processes.worker import Location, arguments, kept, serve
from geobatch.sources.reader import Sources
from geobatch.sources.registry import session, stay_in_session
from geobatch.store.backends.protocol import RUNS, Backend, LocalDisk
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.index import Index
from geobatch.store.objects import Objects

_PER_PROCESS = 16
"""Tasks that another process has, so that none is idle while the coordinator indexes."""
_OWN = 4
"""Tasks that this process has."""
_MOST = 512
"""Tasks that all others have."""

_Value: TypeAlias = TaskResult | Exception
"""What a task put, or why it put nothing."""


class ProcessExecutor(Struct, frozen=True):
    """Some tasks at a time, each in a process of its own, of which one is this process.

    Threads of this process are used instead if no process can be started, if the store is in the
    memory of this process, or if tasks must not write to it.
    """

    workers: int
    """How many."""

    def start(self, context: TaskContext) -> RunningTasks:
        """Return what runs the tasks of one run."""
        backend, others = context.objects.backend, self.workers - 1
        near = backend if context.caches is None else context.caches
        local = backend.local or near.local
        if local is not None and others > 0 and not context.is_compared:
            disk, lock = local.share()
            store = disk if backend.local is not None else backend
            sink = None if context.sink is None else context.sink.for_processes(others, store)
            most_sent = min(others * _PER_PROCESS, _MOST)
            pool = start(
                _Computing(context),
                others=others,
                most_sent=most_sent,
                arguments=[pickle.dumps((store, disk, sink)).hex()],
                shared=[lock],
            )
            if pool is not None:
                return ProcessTasks(context, pool, capacity=2 * (most_sent + _OWN))
        return ThreadExecutor(self.workers).start(context)


class _Computing(Work[Task, _Value]):
    """The work of a pool: an item is a task, and its value what became of it."""

    module = __name__

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._sent: dict[Digest, Location] = {}
        """Where the inputs of tasks are, by digest."""

    def pack(self, item: Task, keep: Keep) -> bytes:
        if len(self._sent) > _MOST:
            self._sent.clear()
        for digest in item.inputs:
            if digest not in self._sent:
                self._sent[digest] = keep(self._context.inputs.packed(digest))
        locations = {digest: self._sent[digest] for digest in item.inputs}
        return pickle.dumps((item, locations), protocol=5)

    def unpack(self, answer: bytes) -> TaskResult:
        result: TaskResult = pickle.loads(answer)  # noqa: S301 - of a process that was started here
        return result

    def run(self, item: Task) -> _Value:
        try:
            return run_task(item, self._context)
        except Exception as error:  # noqa: BLE001 - raised where the outcome is used
            return error


class ProcessTasks:
    """The tasks of one run."""

    def __init__(self, context: TaskContext, pool: Pool[Task, _Value], *, capacity: int) -> None:
        self.capacity = capacity
        self._context = context
        self._pool = pool

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the other processes, where they are: objects are put whole or not at all."""
        if error is not None:
            self._context.reader.cancel()
        self._pool.__exit__(kind, error, trace)

    def submit(self, number: int, task: Task) -> None:
        """Send a task to the other processes, or keep it until they have less to do."""
        self._pool.submit(number, task, is_portable=task.is_portable and not task.is_streamed)

    def completed(self) -> Sequence[Outcome]:
        """Return what other processes have done; if that is nothing, run a task here."""
        if not self._pool.is_busy:
            raise InternalError("no task to wait for")
        with session():  # once for all of them
            return [_outcome(number, value) for number, value in self._pool.completed()]


def _outcome(number: int, value: _Value) -> Outcome:
    if isinstance(value, Exception):
        return Outcome(number=number, error=value)
    return Outcome(number=number, result=value)


class _Sent:
    """What other processes are sent besides the tasks, each value once."""

    def __init__(self) -> None:
        self._locations: dict[Digest, Location] = {}

    def task(self, item: bytes) -> Task:
        """Return the task of an item."""
        task: Task
        task, self._locations = pickle.loads(item)  # noqa: S301 - of the process that started this one
        return task

    def load(self, digest: Digest) -> bytes:
        """Return an input of the last task."""
        return kept(self._locations[digest])


def main() -> None:
    """Be one of the processes of a pool."""
    store: Backend
    disk: LocalDisk
    (packed,) = arguments()
    store, disk, sink = pickle.loads(bytes.fromhex(packed))  # noqa: S301 - the parent's own
    stay_in_session()
    keep_freed_memory()
    sent = _Sent()
    with (
        closing(disk),
        Sources(folder=disk.root / RUNS, cache=SourceCache.memory()) as reader,
    ):
        objects = Objects(store)
        context = TaskContext(
            objects=objects,
            index=Index(objects),
            reader=reader,
            inputs=Inputs(sent.load),
            regions=ValueCache(disk),
            folder=disk.root / RUNS,
            sink=sink,
        )
        serve(lambda item: _answer(sent.task(item), context, disk))


def _answer(task: Task, context: TaskContext, disk: LocalDisk) -> bytes:
    """Run a task; what it put is the answer."""
    before = context.reader.bytes_read
    result = run_task(task, context)
    result.bytes_read = context.reader.bytes_read - before
    _sink(task, result, context)
    # What is answered is committed.
    disk.sync_share()
    return pickle.dumps(result, protocol=5)


def _sink(task: Task, result: TaskResult, context: TaskContext) -> None:
    """Give the tiles of an image that consists of one task to the sink of this process."""
    if context.sink is not None and isinstance(task, RegionTask) and task.is_whole:
        asset = context.inputs.asset(task.asset)
        context.sink.tiles_put(asset, result.entries)
        result.sunk = context.sink.pack(asset.id)
