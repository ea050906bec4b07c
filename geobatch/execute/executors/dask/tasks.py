"""The tasks of one run on a cluster: which are sent, and what came of them."""

from __future__ import annotations

import pickle
import queue
import time
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self, TypeGuard, cast

from distributed import KilledWorker
from msgspec import Struct

from geobatch.errors import ExecutionError, InternalError, SourceError
from geobatch.execute.executors.dask.checks import versions_here
from geobatch.execute.executors.dask.cluster import WORKER_SECONDS, Cluster
from geobatch.execute.executors.dask.names import key_of, prefix_of
from geobatch.execute.executors.dask.origin import Origin
from geobatch.execute.executors.dask.session import Answer, Batch, Session, pack
from geobatch.execute.executors.dask.worker import end_run, hold, open_run, run_batch
from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.executors.serial import run
from geobatch.execute.tasks.runner import TaskContext
from geobatch.execute.tasks.task import RegionTask, Task
from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest, digest_bytes
from geobatch.sources.reader import Sources
from geobatch.sources.registry import stay_in_session
from geobatch.store.identity import IDENTITY

MOST_TASKS = 32
"""Tasks of a batch: more save little of what Dask takes for each."""
_BATCH_SECONDS = 0.5
"""How long a batch should take, so that its tasks take more time than what Dask does for it."""
_PER_THREAD, _SPARE = 2, 2
"""Batches in flight per thread of the cluster, and besides, so that none is idle."""
_FEWEST_THREADS = 8
"""Threads that a cluster is thought to have at least: workers may join later."""
_KEPT = 64
"""Inputs that the cluster keeps although no task that was sent names them."""
_REFRESH_SECONDS = 5.0
"""How often it is asked how many threads there are."""


class _Sent(Struct, frozen=True, eq=False):
    """Tasks that are in flight together."""

    numbered: list[tuple[int, Task]]
    """Each with its number."""
    attempt: int
    """How often they were sent before."""


class DaskTasks:
    """The tasks of one run."""

    def __init__(self, context: TaskContext, cluster: Cluster) -> None:
        self._context = context
        self._sources = cast("Sources", context.reader)  # as that of every run
        self._cluster = cluster
        self._client = cluster.client
        self._threads = cluster.threads()
        self._asked = time.monotonic()
        self._missing_since: float | None = None
        self.capacity = MOST_TASKS * _slots(max(self._threads, _FEWEST_THREADS))
        self._name = uuid.uuid4().hex
        self._waiting: deque[tuple[int, Task]] = deque()
        self._again: deque[_Sent] = deque()
        self._in_flight: dict[Any, _Sent] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """Futures of Dask that are done, and outcomes of tasks that were run here."""
        self._here: ThreadPoolExecutor | None = None
        self._local = 0
        self._session: Any = None
        self._inputs: dict[Digest, Any] = {}
        self._prefixes: set[str] = set()
        self._task_seconds = 0.0
        self._packed_records: dict[Digest, bytes] = {}
        """What is sent of the streamed sources of one asset."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop the tasks that wait; on each worker, wait for those that run."""
        with ExitStack() as stack:
            stack.callback(self._cluster.close)
            if self._here is not None:
                stack.callback(self._here.shutdown, wait=True, cancel_futures=True)
            if error is not None:
                self._context.reader.cancel()
            stack.callback(self._end_run)
            self._waiting.clear()
            self._again.clear()

    def submit(self, number: int, task: Task) -> None:
        """Keep a task until a batch is sent, or run it here if no other process can."""
        if task.is_portable:
            self._waiting.append((number, task))
            return
        if self._here is None:
            self._here = ThreadPoolExecutor(1, "region", initializer=stay_in_session)
        self._local += 1
        self._here.submit(self._run_here, number, task)

    def completed(self) -> Sequence[Outcome]:
        """Send what there is room for, and wait for outcomes.

        Raises:
            ExecutionError: The cluster is lost, or its workers cannot compute this run.
        """
        while True:
            self._send()
            if not self._in_flight and not self._local:
                raise InternalError("no task to wait for")
            found = self._take_in(self._wait())
            if found:
                return found

    def _run_here(self, number: int, task: Task) -> None:
        self._done.put(run(number, task, self._context))

    def _wait(self) -> list[Any]:
        """Return what is done since the last call, once there is something."""
        found: list[Any] = []
        while not found:
            with suppress(queue.Empty):
                found.append(self._done.get(timeout=1))
            self._check_cluster()
        with suppress(queue.Empty):
            while True:
                found.append(self._done.get_nowait())
        return found

    def _check_cluster(self) -> None:
        """Count the threads now and then.

        Raises:
            ExecutionError: The scheduler is lost, or all workers are, for too long.
        """
        if self._cluster.is_lost:
            raise self._lost()
        now = time.monotonic()
        if now - self._asked < _REFRESH_SECONDS:
            return
        try:
            self._threads = self._cluster.threads()
        except (OSError, TimeoutError) as error:
            raise self._lost() from error
        self._asked = time.monotonic()
        if self._threads:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since > WORKER_SECONDS:
            raise ExecutionError(
                f"the scheduler `{self._cluster.address}` has had no worker for"
                f" {WORKER_SECONDS:.0f} s",
                hint="start workers, and run the same command again: finished regions are reused",
            )

    def _lost(self) -> ExecutionError:
        return ExecutionError(
            f"the Dask scheduler `{self._cluster.address}` does not answer any more",
            hint="run the same command again: finished regions are reused",
        )

    # --- sending ----------------------------------------------------------------------------------

    def _send(self) -> None:
        while free := max(0, _slots(max(self._threads, 1)) - len(self._in_flight)):
            if self._again:
                self._send_batch(self._again.popleft())
            elif self._waiting:
                count = self._batch_size(free)
                taken = [self._waiting.popleft() for _ in range(count)]
                self._send_batch(_Sent(taken, 0))
            else:
                return

    def _batch_size(self, free: int) -> int:
        """Return how many tasks are sent together: more if they are fast, fewer if few are left."""
        most = 1
        if self._task_seconds:
            most = max(1, min(MOST_TASKS, round(_BATCH_SECONDS / self._task_seconds)))
        return min(most, -(-len(self._waiting) // free))

    def _send_batch(self, sent: _Sent) -> None:
        tasks = tuple(task for _, task in sent.numbered)
        if self._session is None:
            self._session = self._begin(tasks)
        own: dict[Digest, bytes] = {}
        shared: dict[Digest, Any] = {}
        for task in tasks:
            for digest in task.inputs:
                # What one task alone names is sent with it.
                if isinstance(task, RegionTask) and task.is_whole and digest not in self._inputs:
                    own[digest] = self._context.inputs.packed(digest)
                else:
                    shared[digest] = self._input(digest)
        records = {self._records(task.asset): None for task in tasks if _is_streamed(task)}
        batch = pack(Batch(tasks=tasks, inputs=own, shared=tuple(shared)))
        prefix = prefix_of(tasks, self._context.inputs, self._prefixes)
        store = self._context.objects.backend.location
        future = self._client.submit(
            run_batch,
            self._session,
            batch,
            *shared.values(),
            *records,
            key=key_of(prefix, tasks, [store, self._context.is_compared, sent.attempt]),
            pure=False,
        )
        self._in_flight[future] = sent
        future.add_done_callback(self._done.put)

    def _input(self, digest: Digest) -> Any:
        """Return the future of an input, which is sent once."""
        return self._hold(digest, self._context.inputs.packed(digest))

    def _hold(self, digest: Digest, packed: bytes) -> Any:
        """Return the future of some bytes, which the cluster keeps for tasks to come."""
        found = self._inputs.pop(digest, None)
        if found is None:
            found = self._client.submit(hold, packed, key=("geobatch input", digest), pure=False)
            while len(self._inputs) >= _KEPT:
                del self._inputs[next(iter(self._inputs))]
        self._inputs[digest] = found
        return found

    def _records(self, asset: Digest) -> Any:
        """Return the future of what workers must know to read only parts of streamed sources."""
        if asset not in self._packed_records:
            found: dict[Digest, bytes] = {}
            for tileset in self._context.inputs.asset(asset).tilesets:
                for source in tileset.sources:
                    found |= self._sources.records(source)
            self._packed_records = {asset: pickle.dumps(found)}
        packed = self._packed_records[asset]
        return self._hold(digest_bytes(packed), packed)

    def _begin(self, tasks: Iterable[Task]) -> Any:
        """Have each worker open the run and check what it needs; return the session's future.

        Raises:
            ExecutionError: A worker cannot run the tasks; names all such workers.
        """
        context, backend = self._context, self._context.objects.backend
        session = Session(
            name=self._name,
            backend=backend,
            identity=backend.get(IDENTITY),
            origin=Origin.of(backend, is_written=not context.is_compared),
            versions=versions_here(),
            sample=self._sample(tasks),
            is_compared=context.is_compared,
            is_cached=context.regions is not None,
            restores=context.objects.restores,
        )
        try:
            packed = pack(session)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise ExecutionError(
                f"workers cannot open the store in `{backend.location}`",
                hint="use `--executor threads`, or a store that all machines can reach",
            ) from error
        found = self._cluster.ask(open_run, packed)
        problems = [
            f"the worker `{address}` cannot run tasks: {_text(problem)}"
            for address, problem in sorted(found.items())
            if problem
        ]
        if problems:
            raise ExecutionError(
                "\n".join(problems),
                hint="run the workers in the coordinator's environment, or in a copy of its image;"
                " see docs/cluster.md",
            )
        return self._client.submit(hold, packed, key=("geobatch run", self._name), pure=False)

    def _sample(self, tasks: Iterable[Task]) -> Source | None:
        """Return a source that tasks need, if this process can read it."""
        for task in tasks:
            if isinstance(task, RegionTask) and any(one.from_sources for one in task.bands):
                asset = self._context.inputs.asset(task.asset)
                names = {asset.band(one.band).tileset for one in task.bands}
                sources = (s for t in asset.tilesets if t.id in names for s in t.sources)
                first = next(sources, None)
                with suppress(SourceError):
                    if first is not None:
                        self._sources.check(first)
                        return first
        return None

    # --- receiving --------------------------------------------------------------------------------

    def _take_in(self, done: Sequence[Any]) -> list[Outcome]:
        found = [one for one in done if isinstance(one, Outcome)]
        self._local -= len(found)
        futures = [one for one in done if not isinstance(one, Outcome)]
        finished = {one: one for one in futures if one.status == "finished"}
        try:
            answers = self._client.gather(finished, errors="skip") if finished else {}
        except (OSError, TimeoutError) as error:
            raise self._lost() from error
        for future in futures:
            sent = self._in_flight.pop(future)
            packed = answers.get(future)
            if packed is not None:
                found += self._outcomes(sent, pickle.loads(packed))  # noqa: S301 - of a worker
            else:
                self._send_again(future, sent)
            future.release()
        return found

    def _outcomes(self, sent: _Sent, answer: Answer) -> list[Outcome]:
        if answer.refused:
            raise ExecutionError(f"a worker cannot run tasks: {answer.refused}")
        seconds = answer.seconds / len(sent.numbered)
        self._task_seconds = (
            0.8 * self._task_seconds + 0.2 * seconds if self._task_seconds else seconds
        )
        found: list[Outcome] = []
        left: list[tuple[int, Task]] = []
        for (number, task), value in zip(sent.numbered, answer.values, strict=True):
            if value is None:
                left.append((number, task))
            elif isinstance(value, Exception):
                found.append(Outcome(number=number, error=value))
            else:
                found.append(Outcome(number=number, result=value))
        if left:  # another run, which has ended, had sent the same
            self._again.append(_Sent(left, sent.attempt + 1))
        return found

    def _send_again(self, future: Any, sent: _Sent) -> None:
        """Send tasks again, one by one, whose workers were killed.

        Raises:
            ExecutionError: A task alone had its workers killed, or Dask failed otherwise.
        """
        error = future.exception() if future.status == "error" else None
        if self._cluster.is_lost or error is None:
            raise self._lost()
        if not isinstance(error, KilledWorker):
            raise ExecutionError(
                f"a task failed on `{self._cluster.address}`: {_text(error)}"
            ) from error
        if len(sent.numbered) == 1 and sent.attempt:
            prefix = prefix_of([sent.numbered[0][1]], self._context.inputs, set())
            raise ExecutionError(
                f"`{prefix}`: every worker that began this task ended; the last was"
                f" `{error.last_worker.address}`",
                hint="its log says why; if it lacked memory, give it more, or fewer threads",
            ) from error
        self._again.extend(_Sent([one], sent.attempt + 1) for one in sent.numbered)

    def _end_run(self) -> None:
        """Cancel what was sent, and have each worker finish and close what it has opened."""
        futures = [*self._in_flight]
        self._in_flight.clear()
        with suppress(OSError, TimeoutError, RuntimeError):
            if futures:
                self._client.cancel(futures)
            if self._session is not None and not self._cluster.is_lost:
                self._cluster.ask(end_run, self._name)
        self._inputs.clear()
        self._session = None


def _is_streamed(task: Task) -> TypeGuard[RegionTask]:
    return isinstance(task, RegionTask) and task.is_streamed


def _slots(threads: int) -> int:
    return _PER_THREAD * threads + _SPARE


def _text(problem: object) -> str:
    """Return what is wrong, as a worker reports it, or the error of asking it."""
    if isinstance(problem, ModuleNotFoundError):
        return f"it lacks the module `{problem.name}`"
    if isinstance(problem, Exception):
        return f"{type(problem).__name__}: {problem}"
    return str(problem)
