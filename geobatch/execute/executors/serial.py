"""Runs one task after the other, in the thread that waits for it."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from msgspec import Struct

from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.tasks.runner import TaskContext, run_task
from geobatch.execute.tasks.task import Task


class SerialExecutor(Struct, frozen=True):
    """One task at a time, and no other thread: for debugging, and to compare others with."""

    def start(self, context: TaskContext) -> SerialTasks:
        """Return what runs the tasks of one run."""
        return SerialTasks(context)


class SerialTasks:
    """The tasks of one run."""

    capacity = 1

    def __init__(self, context: TaskContext) -> None:
        self._context = context
        self._waiting: list[tuple[int, Task]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._waiting.clear()

    def submit(self, number: int, task: Task) -> None:
        """Keep a task until it is waited for."""
        self._waiting.append((number, task))

    def completed(self) -> Sequence[Outcome]:
        """Run the task that waits."""
        number, task = self._waiting.pop(0)
        return [run(number, task, self._context)]


def run(number: int, task: Task, context: TaskContext) -> Outcome:
    """Run a task in this thread, and return what became of it."""
    try:
        return Outcome(number=number, result=run_task(task, context))
    except Exception as error:  # noqa: BLE001 - raised where the outcome is used
        return Outcome(number=number, error=error)
