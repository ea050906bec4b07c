"""Runs tasks in several processes: threads that run small tasks wait for Python's lock.

Each process opens the store and the sources by itself, and returns what its tasks put. Nothing
relies on them: a task that fails, or is lost with its process, is run again in this one.
"""

from __future__ import annotations

import pickle
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from types import TracebackType
from typing import Self

from msgspec import Struct

from geobatch.errors import GeobatchError, InternalError
from geobatch.execute.allocator import keep_freed_memory
from geobatch.execute.executors.protocol import Outcome, RunningTasks
from geobatch.execute.executors.serial import run
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.reuse.tile_sink import TileSink
from geobatch.execute.tasks.runner import TaskContext, run_task
from geobatch.execute.tasks.task import RegionTask, Task, TaskResult
from geobatch.processes import PAUSE, Feed, Item, alone, can_start, serve
from geobatch.sources.reader import Sources
from geobatch.sources.registry import session, stay_in_session
from geobatch.store.backends.protocol import RUNS, LocalDisk
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.index import Index
from geobatch.store.objects import Objects

_PROGRAM = "from geobatch.execute.executors.processes import main; main()"
_PER_PROCESS = 16
"""Tasks that another process has, so that none is idle while the coordinator indexes."""
_OWN = 4
"""Tasks that this process has."""
_OWN_SECONDS = 0.02
"""How long this process runs tasks before it takes in what others have done."""
_MOST = 512
"""Tasks that all others have."""
_FIRST_ARGUMENT = 5

Answer = tuple[int, TaskResult | None]
"""Number of a task, and what it put; None if it failed, for whatever reason."""


class ProcessExecutor(Struct, frozen=True):
    """Some tasks at a time, each in a process of its own, of which one is this process.

    Threads of this process are used instead if no process can be started, or if the store is not on
    a local disk.
    """

    workers: int
    """How many."""

    def start(self, context: TaskContext) -> RunningTasks:
        """Return what runs the tasks of one run."""
        feed = None
        if self.workers > 1 and can_start():
            feed = _start(context, others=self.workers - 1)
        if feed is None:
            return ThreadExecutor(self.workers).start(context)
        return ProcessTasks(context, feed, others=self.workers - 1)


def _start(context: TaskContext, *, others: int) -> Feed | None:
    """Start other processes; None if that is not possible."""
    local = context.objects.backend.local
    if local is None:
        return None
    disk, lock = local.share()
    sink = None if context.sink is None else context.sink.for_processes(others, disk)
    arguments = [pickle.dumps((disk, sink)).hex()]
    try:
        return Feed(_PROGRAM, others=others, arguments=arguments, shared=[lock])
    except OSError:
        return None


class ProcessTasks:
    """The tasks of one run."""

    def __init__(self, context: TaskContext, feed: Feed, *, others: int) -> None:
        self._context = context
        self._feed = feed
        self._most_sent = min(others * _PER_PROCESS, _MOST)
        self.capacity = 2 * (self._most_sent + _OWN)
        self._waiting: deque[tuple[int, Task]] = deque()
        self._sent: dict[int, Task] = {}
        """Tasks that other processes have, by number."""
        self._kept: deque[tuple[int, Task]] = deque()
        """Tasks that this process must run."""
        self._is_feeding = True

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
        self._feed.__exit__(kind, error, trace)

    def submit(self, number: int, task: Task) -> None:
        """Send a task to the other processes, or keep it until they have less to do."""
        (self._waiting if task.is_portable else self._kept).append((number, task))
        self._send()

    def completed(self) -> Sequence[Outcome]:
        """Return what other processes have done; if that is nothing, run a task here."""
        while True:
            outcomes = list(self._receive(self._feed.answers()))
            if self._is_feeding and self._feed.has_lost_one():
                # Which tasks it had is known when the others have done theirs.
                self._is_feeding = False
                outcomes += self._receive(self._feed.rest())
                self._kept.extend(self._sent.items())
                self._sent.clear()
            self._send()
            if outcomes:
                return outcomes
            if outcomes := self._run_own():
                return outcomes
            if not self._sent and not self._waiting:
                raise InternalError("no task to wait for")
            time.sleep(PAUSE)

    def _run_own(self) -> list[Outcome]:
        """Run some tasks in this process, for a short time; none if other processes have all."""
        outcomes: list[Outcome] = []
        deadline = time.monotonic() + _OWN_SECONDS
        with alone(), session():  # once for all of them
            while (not outcomes or time.monotonic() < deadline) and (own := self._take()):
                outcomes.append(run(*own, self._context))
        return outcomes

    def _take(self) -> tuple[int, Task] | None:
        """Return a task to run in this process; None if other processes have them all."""
        waiting = self._kept or self._waiting
        return waiting.popleft() if waiting else None

    def _send(self) -> None:
        while self._is_feeding and self._waiting and len(self._sent) < self._most_sent:
            number, task = self._waiting.popleft()
            try:
                self._feed.put(pickle.dumps((number, task), protocol=5))
            except OSError:
                self._kept.append((number, task))
            else:
                self._sent[number] = task

    def _receive(self, answers: Iterator[bytes]) -> Iterator[Outcome]:
        for answer in answers:
            number, result = pickle.loads(answer)  # noqa: S301 - of a process that was started here
            task = self._sent.pop(number)
            if result is None:
                # Run here, so that its error is raised here.
                self._kept.append((number, task))
            else:
                yield Outcome(number=number, result=result)


def main() -> None:
    """Be one of the other processes."""
    disk: LocalDisk
    disk, sink = pickle.loads(bytes.fromhex(sys.argv[_FIRST_ARGUMENT]))  # noqa: S301 - the parent's own
    stay_in_session()
    keep_freed_memory()
    with (
        closing(disk),
        Sources(folder=disk.root / RUNS, cache=SourceCache.memory()) as reader,
    ):
        objects = Objects(disk)
        context = TaskContext(
            objects=objects,
            index=Index(objects),
            reader=reader,
            regions=ValueCache(disk),
            sink=sink,
        )
        serve(partial(_answer, context=context, disk=disk))


def _answer(items: Sequence[Item], context: TaskContext, disk: LocalDisk) -> bytes:
    """Run a task; its number and what it put is the answer."""
    ((_, item),) = items
    number, task = pickle.loads(item)  # noqa: S301 - of the process that started this one
    before = context.reader.bytes_read
    answer: Answer = (number, None)
    try:
        result = run_task(task, context)
        result.bytes_read = context.reader.bytes_read - before
        _sink(task, result, context.sink)
        # What is answered is committed.
        disk.sync_share()
        answer = (number, result)
    except (GeobatchError, OSError):
        pass
    return pickle.dumps(answer, protocol=5)


def _sink(task: Task, result: TaskResult, sink: TileSink | None) -> None:
    """Give the tiles of an image that consists of one task to the sink of this process."""
    if sink is not None and isinstance(task, RegionTask) and task.is_whole:
        sink.tiles_put(task.asset, result.entries)
        result.sunk = sink.pack(task.asset.id)
