"""The tasks of one run on a cluster: which are sent, and what came of them."""

from __future__ import annotations

import pickle
import queue
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from distributed import KilledWorker
from msgspec import Struct

from geobatch.errors import ExecutionError, InternalError
from geobatch.execute.executors.dask.cluster import Cluster
from geobatch.execute.executors.dask.failures import text_of
from geobatch.execute.executors.dask.names import may_share, prefix_of
from geobatch.execute.executors.dask.sending import Sender
from geobatch.execute.executors.dask.session import Answer
from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.executors.serial import run
from geobatch.execute.tasks.runner import TaskContext
from geobatch.execute.tasks.task import Task
from geobatch.sources.registry import stay_in_session

MOST_TASKS = 32
"""Tasks of a batch: more save little of what Dask takes for each."""
_BATCH_SECONDS = 0.5
"""How long a batch should take, so that its tasks take more time than what Dask does for it."""
_PER_THREAD, _SPARE = 2, 2
"""Batches in flight per thread of the cluster, and besides, so that none is idle."""
_FEWEST_THREADS = 8
"""Threads that a cluster is thought to have at least: workers may join later."""


class _Sent(Struct, frozen=True, eq=False):
    """Tasks that are in flight together."""

    numbered: list[tuple[int, Task]]
    """Each with its number."""
    attempt: int
    """How often they were sent before."""
    deaths: int = 0
    """How often Dask gave up, because the workers that ran them ended."""


class DaskTasks:
    """The tasks of one run."""

    def __init__(self, context: TaskContext, cluster: Cluster) -> None:
        self._context = context
        self._cluster = cluster
        self._sender = Sender(context, cluster)
        self.capacity = MOST_TASKS * _slots(max(cluster.threads(), _FEWEST_THREADS))
        self._waiting: deque[tuple[int, Task]] = deque()
        self._again: deque[_Sent] = deque()
        self._in_flight: dict[Any, _Sent] = {}
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        """Futures of Dask that are done, and outcomes of tasks that were run here."""
        self._here: ThreadPoolExecutor | None = None
        self._local = 0
        self._task_seconds = 0.0

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
            stack.callback(self._sender.end, [*self._in_flight])
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
            self._cluster.threads()
        with suppress(queue.Empty):
            while True:
                found.append(self._done.get_nowait())
        return found

    # --- sending ----------------------------------------------------------------------------------

    def _send(self) -> None:
        while free := max(0, _slots(max(self._cluster.threads(), 1)) - len(self._in_flight)):
            if self._again:
                self._send_batch(self._again.popleft())
            elif self._waiting:
                self._send_batch(_Sent(self._take(self._batch_size(free)), 0))
            else:
                return

    def _take(self, most: int) -> list[tuple[int, Task]]:
        taken = [self._waiting.popleft()]
        while self._waiting and len(taken) < most:
            if not may_share(taken[0][1], self._waiting[0][1]):
                break
            taken.append(self._waiting.popleft())
        return taken

    def _batch_size(self, free: int) -> int:
        """Return how many tasks are sent together: more if they are fast, fewer if few are left."""
        most = 1
        if self._task_seconds:
            most = max(1, min(MOST_TASKS, round(_BATCH_SECONDS / self._task_seconds)))
        return min(most, -(-len(self._waiting) // free))

    def _send_batch(self, sent: _Sent) -> None:
        future = self._sender.send([task for _, task in sent.numbered], attempt=sent.attempt)
        self._in_flight[future] = sent
        future.add_done_callback(self._done.put)

    # --- receiving --------------------------------------------------------------------------------

    def _take_in(self, done: Sequence[Any]) -> list[Outcome]:
        found = [one for one in done if isinstance(one, Outcome)]
        self._local -= len(found)
        futures = [one for one in done if not isinstance(one, Outcome)]
        finished = {one: one for one in futures if one.status == "finished"}
        try:
            answers = self._cluster.client.gather(finished, errors="skip") if finished else {}
        except (OSError, TimeoutError) as error:
            raise self._cluster.lost() from error
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
        if answer.refused and answer.run == self._sender.name:
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
            self._again.append(_Sent(left, sent.attempt + 1, sent.deaths))
        return found

    def _send_again(self, future: Any, sent: _Sent) -> None:
        """Send tasks again, one by one, whose workers were killed.

        Raises:
            ExecutionError: A task alone had its workers killed, or Dask failed otherwise.
        """
        error = future.exception() if future.status == "error" else None
        if self._cluster.is_lost:
            raise self._cluster.lost()
        if error is None:  # the worker was killed that kept the answer
            self._again.append(_Sent(sent.numbered, sent.attempt + 1, sent.deaths))
            return
        if not isinstance(error, KilledWorker):
            raise ExecutionError(
                f"a task failed on `{self._cluster.address}`: {text_of(error)}"
            ) from error
        # Otherwise it was what the task needs that was lost too often.
        is_own = error.task == future.key
        if is_own and len(sent.numbered) == 1 and sent.deaths:
            prefix = prefix_of([sent.numbered[0][1]], self._context.inputs, set())
            raise ExecutionError(
                f"`{prefix}`: every worker that began this task ended; the last was"
                f" `{error.last_worker.address}`",
                hint="its log says why; if it lacked memory, give it more, or fewer threads",
            ) from error
        self._sender.renew()
        deaths = sent.deaths + is_own
        self._again.extend(_Sent([one], sent.attempt + 1, deaths) for one in sent.numbered)


def _slots(threads: int) -> int:
    return _PER_THREAD * threads + _SPARE
