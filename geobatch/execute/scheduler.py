"""The scheduler: turns a plan into tasks, and what an executor made of them into assets.

It alone writes the index pages that no task puts. It runs in one thread, and knows nothing of how
tasks are run.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from geobatch.errors import CorruptObjectError, InternalError, InterruptedRunError, SourceError
from geobatch.execute.allocator import keep_freed_memory, return_freed_memory
from geobatch.execute.counts import Counts
from geobatch.execute.executors.protocol import Outcome, RunningTasks, Share
from geobatch.execute.levels import AssetRun, Shared
from geobatch.execute.tasks.runner import TaskContext
from geobatch.execute.tasks.task import Task, TaskResult
from geobatch.model.assets.asset import Image
from geobatch.model.digest import Digest
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import AssetChange
from geobatch.model.published import AssetRecord, BandTiles

_REUSED_AT_A_TIME = 8
"""Assets without work that are taken in before outcomes are: each takes a millisecond."""


def execute(
    shares: Sequence[Share],
    *,
    base_commit: Digest | None,
    records: Mapping[str, AssetRecord],
    context: TaskContext,
    observer: Observer,
    counts: Counts,
    known: Mapping[Digest, BandTiles] = MappingProxyType({}),
    failures: dict[str, SourceError] | None = None,
) -> Generator[AssetRecord, None, None]:
    """Compute everything that some changes name, and yield each asset when its tiles are all put.

    Memory is bounded by the regions that the executor computes at a time: no pixels are held
    between regions.

    Args:
        shares: What to do, one share after the other, and how; the result depends on the changes
            alone. Assets to keep or delete are skipped, and tables.
        base_commit: Commit that the changes were planned against.
        records: Published records that the work builds upon, by asset id.
        context: What tasks are run with; the index is written, too.
        observer: Notified of the progress, from this thread.
        counts: Added to as tasks finish.
        known: Tiles of finished bands that are taken over, by pyramid fingerprint.
        failures: Where errors of sources are put, by asset id, while the other assets continue.

    Raises:
        SourceError: A source cannot be read, or changed since it was resolved; without `failures`.
        CorruptObjectError: A stored tile that is needed does not match its digest.
        InterruptedRunError: The user stopped the run; tiles in flight were finished.
    """
    shared = Shared(
        records=records,
        finished=known,
        index=context.index,
        inputs=context.inputs,
        sink=context.sink,
        base_commit=base_commit,
    )
    keep_freed_memory()
    try:
        for executor, changes in shares:
            due = [one for one in changes if one.asset is not None and one.table is None]
            if not due:  # a cluster need not be there
                continue
            with executor.start(context) as running:
                schedule = _Schedule(
                    running=running,
                    shared=shared,
                    context=context,
                    observer=observer,
                    counts=counts,
                    failures=failures,
                )
                yield from schedule.run(due)
        counts.settle()
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted; tiles in progress were finished, and nothing was published",
            hint="run the same command again: finished assets and regions are reused",
        ) from None
    finally:
        return_freed_memory()


class _Active(Struct, kw_only=True, eq=False):
    """An asset under work: the tasks of its pass that wait, and how many of them run."""

    run: AssetRun
    tasks: Iterator[Task]
    in_flight: int = 0
    is_failed: bool = False
    _following: Task | None = None

    def peek(self) -> Task | None:
        """Return the next task of the pass without taking it, or None if all were taken."""
        if self._following is None:
            self._following = next(self.tasks, None)
        return self._following

    def take(self) -> Task:
        """Take the next task, which `peek` has shown."""
        task, self._following = self._following, None
        if task is None:
            raise InternalError("no task to take")
        self.in_flight += 1
        return task

    def advance(self) -> bool:
        """End the pass and begin the next; return whether there is one.

        All tasks of the current pass of a failed asset are run, so that all errors are found.
        """
        if self.is_failed:
            return False
        self.run.finish_pass()
        tasks = self.run.next_pass()
        if tasks is not None:
            self.tasks = tasks
        return tasks is not None

    def fail(self, uris: Collection[str]) -> None:
        """Note which sources failed; where all did, no task can find another error."""
        self.is_failed = True
        asset = self.run.change.asset
        if isinstance(asset, Image):
            every = {source.uri for one in asset.tilesets for source in one.sources}
            if every.issubset(uris):
                self.tasks, self._following = iter(()), None

    @property
    def is_idle(self) -> bool:
        """Whether the pass is finished: every task was taken and has completed."""
        return self.in_flight == 0 and self.peek() is None


class _Schedule(Struct, frozen=True, kw_only=True, eq=False):
    """One run: its executor, and what is notified of it."""

    running: RunningTasks
    shared: Shared
    context: TaskContext
    observer: Observer
    counts: Counts
    failures: dict[str, SourceError] | None

    def run(self, changes: Sequence[AssetChange]) -> Iterator[AssetRecord]:
        """Yield assets as their tasks are done."""
        numbers = itertools.count()
        waiting = deque(change for change in changes if change.work)
        # Tasks run while that of which nothing is computed is taken in.
        reused = deque(change for change in changes if not change.work)
        active: list[_Active] = []
        in_flight: dict[int, _Active] = {}
        # Few assets at a time: those that are finished need not be computed by the next run.
        most_active = self.running.capacity // 2
        while waiting or active or reused:
            while len(in_flight) < self.running.capacity:
                picked = next((item for item in active if item.peek() is not None), None)
                if picked is not None:
                    number = next(numbers)
                    in_flight[number] = picked
                    self.running.submit(number, picked.take())
                elif waiting and len(active) <= most_active:
                    active.append(self._begin(waiting.popleft()))
                else:
                    break
            few = [reused.popleft() for _ in range(min(len(reused), _REUSED_AT_A_TIME))]
            active += map(self._begin, few)
            for item in [item for item in active if item.is_idle and not item.advance()]:
                active.remove(item)
                item.run.close()
                self.observer.asset_finished(item.run.change.id)
                if not item.is_failed:
                    if item.run.checks is not None:
                        self.counts.differing[item.run.change.id] = item.run.checks.differing
                    yield item.run.record()
            if in_flight:
                for outcome in self.running.completed():
                    self._take_in(outcome, in_flight.pop(outcome.number))

    def _begin(self, change: AssetChange) -> _Active:
        self.observer.asset_started(change.id, tiles=change.tiles.compute)
        run = AssetRun(change, self.shared)
        return _Active(run=run, tasks=run.next_pass() or iter(()))

    def _take_in(self, outcome: Outcome, item: _Active) -> None:
        """Take in what a task did, and notify the observer."""
        item.in_flight -= 1
        result = self._result(outcome, item)
        if result is None:
            return
        item.run.absorb(result)
        self.counts.add(result)
        self.observer.tiles_done(
            item.run.change.id,
            tiles=result.tiles,
            bytes_read=self.context.reader.bytes_read + self.counts.bytes_read,
        )

    def _result(self, outcome: Outcome, item: _Active) -> TaskResult | None:
        """Return what a task did; None if it failed and the other assets continue."""
        asset_id, error = item.run.change.id, outcome.error
        if isinstance(error, SourceError) and self.failures is not None:
            error.forget_frames()
            known = self.failures.setdefault(asset_id, error)
            known.join(error)
            item.fail({one.uri for one in known.every})
            return None
        if isinstance(error, CorruptObjectError):
            raise CorruptObjectError(f"`{asset_id}`, {error.message}", hint=error.hint) from error
        if error is not None:
            raise error
        return outcome.result
