"""What an executor is: it takes tasks, and gives back their results as they complete."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from msgspec import Struct

from geobatch.execute.tasks.runner import TaskContext
from geobatch.execute.tasks.task import Task, TaskResult
from geobatch.model.plans.plan import AssetChange


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a task: a result, or else an error."""

    number: int
    """The number under which the task was submitted."""
    result: TaskResult | None = None
    """What it put."""
    error: Exception | None = None
    """Why it put nothing."""


class RunningTasks(Protocol):
    """The tasks of one run; it is used from one thread, as a context manager."""

    def __enter__(self) -> Self:
        """Start what runs the tasks."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Drop the tasks that wait; after that, none reads or writes any more."""

    @property
    def capacity(self) -> int:
        """How many tasks may be submitted and not yet completed, at most."""

    def submit(self, number: int, task: Task) -> None:
        """Take a task, which has a number of its own; do not wait for it."""

    def completed(self) -> Sequence[Outcome]:
        """Return the outcomes of tasks that completed since the last call, in any order.

        Wait until there is one; tasks that were submitted and are not yet completed must exist.
        """


class Executor(Protocol):
    """A way to run tasks: a value that is an argument of a run.

    Results do not depend on it: not on the order of the tasks, nor on their number at a time.
    """

    def start(self, context: TaskContext) -> RunningTasks:
        """Return what runs the tasks of one run with `run_task`."""


Share: TypeAlias = tuple[Executor, Sequence[AssetChange]]
"""Some changes, and how their tasks are run."""
