"""Runs tasks on threads: decoding and encoding of large tiles release Python's lock."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Self

from msgspec import Struct

from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.tasks.runner import TaskContext, begin_task
from geobatch.execute.tasks.task import Task, TaskResult
from geobatch.sources.registry import stay_in_session

_PER_WORKER = 2
"""Tasks in flight per worker, so that none is idle while the coordinator indexes."""


class ThreadExecutor(Struct, frozen=True):
    """Some tasks at a time, each on a thread of this process."""

    workers: int
    """How many."""

    def start(self, context: TaskContext) -> ThreadTasks:
        """Return what runs the tasks of one run."""
        return ThreadTasks(context, workers=self.workers)


class ThreadTasks:
    """The tasks of one run."""

    def __init__(self, context: TaskContext, *, workers: int) -> None:
        self.capacity = workers * _PER_WORKER
        self._context = context
        self._pool = ThreadPoolExecutor(workers, "region", initializer=stay_in_session)
        self._numbers: dict[Future[TaskResult], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop the tasks that wait, and let those that run finish.

        However impatient the user is: what they read must not be closed under them, because GDAL
        would end the process.
        """
        if error is not None:
            # Tasks that run may wait for pixels that are minutes away.
            self._context.reader.cancel()
        interrupt: KeyboardInterrupt | None = None
        is_ended = False
        while not is_ended:
            try:
                self._pool.shutdown(wait=True, cancel_futures=True)
                is_ended = True
            except KeyboardInterrupt as again:
                interrupt = again
        if interrupt is not None:
            raise interrupt

    def submit(self, number: int, task: Task) -> None:
        """Have a thread run a task; what it reads of objects is fetched while others run."""
        self._context.begin_reading(task, is_soon=True)
        self._numbers[self._pool.submit(begin_task, task, self._context)] = number

    def completed(self) -> Sequence[Outcome]:
        """Wait for tasks."""
        done, _ = wait(self._numbers, return_when=FIRST_COMPLETED)
        return [_outcome(self._numbers.pop(future), future) for future in done]


def _outcome(number: int, future: Future[TaskResult]) -> Outcome:
    error = future.exception()
    if error is None:
        return Outcome(number=number, result=future.result())
    if not isinstance(error, Exception):
        raise error
    return Outcome(number=number, error=error)
