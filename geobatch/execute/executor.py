"""The one busy room: runs the regions of a plan on threads and returns finished assets."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import MappingProxyType

from msgspec import Struct

from geobatch.errors import CorruptObjectError, InternalError, InterruptedRunError, SourceError
from geobatch.execute.allocator import keep_freed_memory, return_freed_memory
from geobatch.execute.counts import Counts
from geobatch.execute.levels import AssetRun, Shared, Task
from geobatch.execute.region import RegionResult
from geobatch.execute.region_cache import Memory
from geobatch.execute.tile_sink import TileSink
from geobatch.model.digest import Digest
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import AssetChange, Plan
from geobatch.model.published import AssetRecord, BandTiles
from geobatch.sources.driver import Reader
from geobatch.sources.geotiff import stay_in_environment
from geobatch.store.index import Index
from geobatch.store.objects import Objects

_AHEAD = 2
"""Tasks waiting per worker, so that none idles while the coordinator indexes."""

_MANY = 600
"""Assets from which it may pay to start processes."""


def execute(
    plan: Plan,
    *,
    records: Mapping[str, AssetRecord],
    objects: Objects,
    index: Index,
    reader: Reader,
    workers: int,
    observer: Observer,
    counts: Counts,
    memory: Memory | None = None,
    sink: TileSink | None = None,
    known: Mapping[Digest, BandTiles] = MappingProxyType({}),
    failures: dict[str, SourceError] | None = None,
) -> Generator[AssetRecord, None, None]:
    """Compute everything that a plan names, and yield each asset when its tiles are all put.

    Memory is bounded by the workers' regions: at most `workers` regions are computed at a time, and
    no pixels are held between regions.

    Args:
        plan: What to do; assets to keep or delete are passed over, and tables.
        records: Published records that the plan's work builds upon, by asset id.
        objects: Where tiles are put.
        index: Where tile indexes are read and written.
        reader: Where source pixels come from.
        workers: Threads that compute regions.
        observer: Told of the progress, from this thread.
        counts: Added to as regions finish.
        memory: Where finished regions are remembered, for the case that this run is killed.
        sink: What receives the tiles of new assets as they are put.
        known: Tiles of finished bands that the plan takes over, by pyramid fingerprint.
        failures: Where errors of sources are put, by asset id, while the other assets go on.

    Raises:
        SourceError: A source cannot be read, or changed since it was resolved; without `failures`.
        CorruptObjectError: A stored tile that is needed does not match its digest.
        InterruptedRunError: The user stopped the run; tiles in flight were finished.
    """
    shared = Shared(
        records=records,
        known=known,
        objects=objects,
        index=index,
        reader=reader,
        memory=memory,
        sink=sink,
        base_commit=plan.base_commit,
    )
    run = _Run(shared=shared, workers=workers, observer=observer, counts=counts, failures=failures)
    waiting = [
        change for change in plan.changes if change.asset is not None and change.table is None
    ]
    keep_freed_memory()
    try:
        is_done = set()
        for record in run.by_processes(waiting):
            is_done.add(record.asset.id)
            yield record
        yield from run.by_threads([change for change in waiting if change.id not in is_done])
    finally:
        return_freed_memory()


class _Run(Struct, frozen=True, kw_only=True, eq=False):
    """One run: how it works, and who hears of it."""

    shared: Shared
    workers: int
    observer: Observer
    counts: Counts
    failures: dict[str, SourceError] | None

    def by_processes(self, waiting: Sequence[AssetChange]) -> Iterator[AssetRecord]:
        """Yield small new images, where there are many; what is left out is to be done still."""
        if len(waiting) < _MANY:
            return
        from geobatch.execute.by_processes import execute_apart  # noqa: PLC0415 - rarely needed

        shared, counts, observer = self.shared, self.counts, self.observer
        keep_going = self.failures is not None
        try:
            for finished in execute_apart(
                waiting, shared=shared, workers=self.workers, keep_going=keep_going
            ):
                asset_id, tiles = finished.record.asset.id, finished.counts.tiles
                counts.add(finished.counts)
                bytes_read = shared.reader.bytes_read + counts.bytes_read
                observer.asset_started(asset_id, tiles=tiles)
                observer.tiles_done(asset_id, tiles=tiles, bytes_read=bytes_read)
                observer.asset_finished(asset_id)
                yield finished.record
        except BaseException as error:  # noqa: BLE001 - raised again
            raise _failure(error)  # noqa: B904 - mostly the error itself

    def by_threads(self, changes: Sequence[AssetChange]) -> Iterator[AssetRecord]:
        """Yield assets as their regions are done."""
        reader, observer = self.shared.reader, self.observer
        waiting = deque(changes)
        active: list[_Active] = []
        in_flight: dict[Future[RegionResult], _Active] = {}
        with _threads(self.workers) as pool:
            try:
                while waiting or active:
                    while len(in_flight) < self.workers * _AHEAD:
                        picked = next((item for item in active if item.peek() is not None), None)
                        if picked is not None:
                            in_flight[pool.submit(picked.take())] = picked
                        elif waiting and len(active) <= self.workers:
                            change = waiting.popleft()
                            observer.asset_started(change.id, tiles=change.tiles.compute)
                            run = AssetRun.of(change, self.shared)
                            active.append(_Active(run=run, tasks=run.stage() or iter(())))
                        else:
                            break
                    for item in [item for item in active if item.is_idle and not item.advance()]:
                        active.remove(item)
                        observer.asset_finished(item.run.change.id)
                        if not item.is_failed:
                            yield item.run.record()
                    if not in_flight:
                        continue
                    done, _ = wait(in_flight, return_when=FIRST_COMPLETED)
                    for future in done:
                        self._take_in(future, in_flight.pop(future))
            except BaseException as error:  # noqa: BLE001 - raised again
                # Tasks in flight may wait for pixels that are minutes away.
                reader.cancel()
                raise _failure(error)  # noqa: B904 - mostly the error itself

    def _take_in(self, future: Future[RegionResult], item: _Active) -> None:
        """Take in what a task did, and tell of it."""
        result = _result(future, item, self.failures)
        item.absorb(result)
        if result is not None:
            self.counts.add(result)
            self.observer.tiles_done(
                item.run.change.id,
                tiles=result.tiles,
                bytes_read=self.shared.reader.bytes_read + self.counts.bytes_read,
            )


class _Active(Struct, kw_only=True, eq=False):
    """An asset under work: the tasks of its stage that wait, and how many of them run."""

    run: AssetRun
    tasks: Iterator[Task]
    in_flight: int = 0
    is_failed: bool = False
    _following: Task | None = None

    def peek(self) -> Task | None:
        """Return the next task of the stage without taking it, or None if all are handed out."""
        if self._following is None:
            self._following = next(self.tasks, None)
        return self._following

    def take(self) -> Task:
        """Hand out the next task, which `peek` has shown."""
        task, self._following = self._following, None
        if task is None:
            raise InternalError("no task to take")
        self.in_flight += 1
        return task

    def absorb(self, result: RegionResult | None) -> None:
        """Take in the result of a task that was handed out; None of one that failed."""
        self.in_flight -= 1
        if result is not None:
            self.run.absorb(result)

    def advance(self) -> bool:
        """End the stage and begin the next; return whether there is one.

        Of a failed asset, the stage is worked on to its end, so that all errors are found.
        """
        if self.is_failed:
            return False
        self.run.finish_stage()
        tasks = self.run.stage()
        if tasks is not None:
            self.tasks = tasks
        return tasks is not None

    @property
    def is_idle(self) -> bool:
        """Whether the stage is finished: every task was handed out and came back."""
        return self.in_flight == 0 and self.peek() is None


@contextmanager
def _threads(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Open threads that read; at the end drop the tasks that wait, and let those in flight finish.

    However impatient the user is: what they read must not be closed under them, for GDAL would end
    the process.
    """
    pool = ThreadPoolExecutor(workers, "region", initializer=stay_in_environment)
    is_interrupted = False
    try:
        yield pool
    finally:
        is_ended = False
        while not is_ended:
            try:
                pool.shutdown(wait=True, cancel_futures=True)
                is_ended = True
            except KeyboardInterrupt:
                is_interrupted = True
    if is_interrupted:
        raise _failure(KeyboardInterrupt())


def _failure(error: BaseException) -> BaseException:
    if not isinstance(error, KeyboardInterrupt):
        return error
    return InterruptedRunError(
        "interrupted; tiles in progress were finished, and nothing was published",
        hint="run the same command again: finished assets and regions are reused",
    )


def _result(
    future: Future[RegionResult], item: _Active, failures: dict[str, SourceError] | None
) -> RegionResult | None:
    """Return what a task did; None where it failed and the other assets go on."""
    try:
        return future.result()
    except SourceError as error:
        if failures is None:
            raise
        failures.setdefault(item.run.change.id, error).join(error)
        item.is_failed = True
        return None
    except CorruptObjectError as error:
        raise CorruptObjectError(
            f"`{item.run.change.id}`, {error.message}", hint=error.hint
        ) from error
