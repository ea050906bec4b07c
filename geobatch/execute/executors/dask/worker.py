"""What runs on a worker: it opens the store and the sources of a run once, and runs batches.

A worker that is not asked for a while closes what it has opened, so that nothing of a coordinator
that was killed is left. The next batch opens it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import shutil
import signal
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distributed import get_worker

from geobatch.errors import (
    CorruptObjectError,
    InterruptedRunError,
    SourceError,
    StoreError,
)
from geobatch.execute.allocator import keep_freed_memory, return_freed_memory
from geobatch.execute.executors.dask.checks import (
    differences,
    memory_problem,
    source_problem,
    store_problem,
    versions_here,
)
from geobatch.execute.executors.dask.failures import at_worker, portable
from geobatch.execute.executors.dask.origin import Devices
from geobatch.execute.executors.dask.session import Answer, Batch, Session, pack
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.runner import TaskContext, run_task
from geobatch.execute.tasks.task import PagesTask, RegionTask, Task, TaskResult
from geobatch.execute.verification.comparison import Rebuilt
from geobatch.model.digest import Digest, digest_bytes
from geobatch.sources.reader import Sources
from geobatch.sources.registry import session as source_session
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.index import Index
from geobatch.store.objects import Objects

_ATTEMPTS = 3
"""How often a task is tried that the store fails."""
_PAUSE = 0.5
"""Seconds before the second attempt; twice as many before each that follows."""
IDLE_SECONDS = 30.0
"""After so long without a batch, what a run has opened is closed."""
_ENDED = 256
"""Runs that are remembered to have ended."""


class _Opened:
    """The store and the sources of one run, in this process; for all of its threads."""

    def __init__(self, session: Session, worker: Any) -> None:
        self.session = session
        self._address: str = worker.address
        self._here = threading.local()
        self._devices = Devices()
        self._changed = threading.Condition()
        self._running = 0
        self._last = time.monotonic()
        self._is_ended = False
        self._counted = 0
        self.is_closed = False
        self._folder = Path(tempfile.mkdtemp(prefix="geobatch-", dir=worker.local_directory))
        self._cache = SourceCache.memory()
        self._records: set[Digest] = set()
        self._reader = Sources(folder=self._folder, cache=self._cache)
        self._objects = Objects(session.backend)
        self._objects.restores = session.restores
        self._kept = Rebuilt(self._objects) if session.is_compared else None
        self._context = TaskContext(
            objects=self._kept or self._objects,
            index=Index(self._objects),
            reader=self._reader,
            inputs=Inputs(self._load, located=self._devices.located),
            regions=ValueCache(session.backend) if session.is_cached else None,
            is_compared=session.is_compared,
            folder=self._folder,
        )
        self._is_synced = session.is_compared or session.origin.is_synced(session.backend)
        threading.Thread(target=self._watch, name="geobatch-idle", daemon=True).start()

    def problem(self, worker: Any) -> str:
        """Return why this worker must not run tasks of the run; empty if it may."""
        found = [*differences(self.session.versions, versions_here())]
        limit = worker.memory_manager.memory_limit
        found.append(memory_problem(limit, worker.state.nthreads))
        found.append(store_problem(self.session, self.session.backend))
        if self.session.sample is not None:
            try:
                self._reader.check(self._devices.source(self.session.sample))
            except SourceError as error:
                found.append(source_problem(error))
        return "; ".join(one for one in found if one)

    def run(self, batch: Batch, shared: tuple[bytes, ...]) -> list[TaskResult | Exception | None]:
        """Run tasks, one after the other, and make durable what they put."""
        self._here.inputs = {**batch.inputs, **dict(zip(batch.shared, shared, strict=False))}
        for packed in shared[len(batch.shared) :]:
            self._add_records(packed)
        try:
            with source_session():  # once for all of them
                values = [self._value(task) for task in batch.tasks]
            self._sync()
        except StoreError as error:
            return [at_worker(error, self._address)] * len(batch.tasks)
        else:
            return values
        finally:
            self._here.inputs = {}

    @contextlib.contextmanager
    def using(self) -> Iterator[bool]:
        """Keep it open; give false if it is closed already."""
        with self._changed:
            is_open = not self.is_closed
            self._running += is_open
        try:
            yield is_open
        finally:
            with self._changed:
                self._running -= is_open
                self._last = time.monotonic()
                self._changed.notify_all()

    def end(self) -> None:
        """Begin no more tasks, wait for those that run, and close all."""
        with self._changed:
            self._is_ended = True
        self._reader.cancel()
        with self._changed:
            while self._running:
                self._changed.wait()
            self._close()

    def _value(self, task: Task) -> TaskResult | Exception | None:
        try:
            return None if self._is_ended else self._result(task)
        except InterruptedRunError:
            return None
        except Exception as error:  # noqa: BLE001 - raised where the outcome is used
            return portable(error, self._address)

    def _result(self, task: Task) -> TaskResult:
        result = self._tried(task)
        if task.is_streamed and isinstance(task, RegionTask | PagesTask):
            asset = self._context.inputs.asset(task.asset)
            for source in (source for one in asset.tilesets for source in one.sources):
                self._reader.confirm(source)
        if self._kept is not None:
            tiles = (tile for rows in result.entries.values() for tile in rows)
            names = (tile.stored.hex() for tile in tiles)
            result.kept = [(name, self._kept.take(name)) for name in names]
        with self._changed:  # threads read at the same time, and each byte is counted once
            read = self._reader.bytes_read
            result.bytes_read, self._counted = read - self._counted, read
        return result

    def _tried(self, task: Task) -> TaskResult:
        """Run a task, again if the store fails; what is wrong with sources stays wrong."""
        for attempt in range(1, _ATTEMPTS):
            try:
                return self._put(task)
            except CorruptObjectError:
                raise
            except StoreError:
                time.sleep(_PAUSE * 2 ** (attempt - 1))
        return self._put(task)

    def _put(self, task: Task) -> TaskResult:
        """Run a task, and wait for the tiles that it puts: no future crosses to another machine."""
        result = run_task(task, self._context)
        result.settle()
        return result

    def _add_records(self, packed: bytes) -> None:
        """Take in which records streamed files have, so that only parts of them are read."""
        name = digest_bytes(packed)
        if name not in self._records:
            for digest, records in pickle.loads(packed).items():  # noqa: S301 - of the coordinator
                self._cache.put_records(digest, records)
            self._records.add(name)

    def _load(self, digest: Digest) -> bytes:
        """Return an input of the batch that this thread runs."""
        inputs: dict[Digest, bytes] = self._here.inputs
        return inputs.get(digest, b"")

    def _sync(self) -> None:
        disk = self.session.backend.local
        if self._is_synced and disk is not None:
            disk.sync_share()
        elif not self._is_synced:
            self.session.backend.sync()

    def _watch(self) -> None:
        with self._changed:
            while not self.is_closed:
                left = self._last + IDLE_SECONDS - time.monotonic()
                if not self._running and left <= 0:
                    self._close()
                else:
                    self._changed.wait(max(left, 1.0))

    def _close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._reader.__exit__(None, None, None)
            self.session.backend.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            return_freed_memory()
            self._changed.notify_all()


class _Runs:
    """The runs that this process works for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[_Opened, str]] = {}
        self._ended: deque[str] = deque(maxlen=_ENDED)

    def get(self, session: Session, worker: Any) -> tuple[_Opened | None, str]:
        """Return what is opened of a run, and why it cannot be used; None if the run has ended."""
        with self._lock:
            if session.name in self._ended:
                return None, ""
            found = self._opened.get(session.name)
            if found is None or found[0].is_closed:
                keep_freed_memory()
                opened = _Opened(session, worker)
                found = opened, opened.problem(worker)
                self._opened[session.name] = found
                closed = [name for name, (one, _) in self._opened.items() if one.is_closed]
                for name in closed:
                    del self._opened[name]
            return found

    def end(self, name: str) -> None:
        """End a run: wait until its tasks are finished, and close what it has opened."""
        with self._lock:
            self._ended.append(name)
            found = self._opened.pop(name, None)
        if found is not None:
            found[0].end()


_runs = _Runs()


def dask_setup(worker: Any) -> None:  # noqa: ARG001 - Dask passes it
    """Ignore Ctrl-C, in a process of `dask://local`: it is for the process that started it.

    Dask calls it if this module is preloaded.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def hold(value: bytes) -> bytes:
    """Return a value, which Dask keeps and passes to the workers that need it."""
    return value


async def open_run(packed: bytes, dask_worker: Any) -> str:
    """Open the store and the sources of a run; return why that is not possible, or nothing."""
    _, problem = await asyncio.to_thread(_runs.get, _unpack(packed), dask_worker)
    return problem


async def end_run(name: str) -> None:
    """End a run on this worker; see `_Opened.end`."""
    await asyncio.to_thread(_runs.end, name)


def run_batch(packed: bytes, batch: bytes, *shared: bytes) -> bytes:
    """Run the tasks of a batch, and return a packed `Answer`.

    Args:
        packed: The packed session.
        batch: The packed batch.
        shared: The values that its tasks name together with others.
    """
    started = time.monotonic()
    found: Batch = pickle.loads(batch)  # noqa: S301 - of the coordinator, by Dask
    while True:
        session = _unpack(packed)
        opened, problem = _runs.get(session, get_worker())
        values: list[TaskResult | Exception | None] = [None] * len(found.tasks)
        if opened is None or problem:
            break
        with opened.using() as is_open:
            if is_open:
                values = opened.run(found, shared)
                break
    seconds = time.monotonic() - started
    return pack(Answer(run=session.name, values=values, refused=problem, seconds=seconds))


def _unpack(packed: bytes) -> Session:
    session: Session = pickle.loads(packed)  # noqa: S301 - of the coordinator, by Dask
    return session
