"""The shortest executor: it shuffles the order of its tasks."""

from __future__ import annotations

import random
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from msgspec import Struct

from geobatch.execute import TaskContext
from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.executors.serial import run
from geobatch.execute.tasks.task import Task


class ShufflingExecutor(Struct, frozen=True):
    """A toy: takes several tasks, runs them in a random order, and returns them in another."""

    seed: int
    held: int = 7

    def start(self, context: TaskContext) -> ShuffledTasks:
        return ShuffledTasks(context, random.Random(self.seed), self.held)


class ShuffledTasks:
    """The tasks of one run."""

    def __init__(self, context: TaskContext, rng: random.Random, held: int) -> None:
        self.capacity = held
        self._context = context
        self._rng = rng
        self._waiting: list[tuple[int, Task]] = []
        self._done: list[Outcome] = []

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
        self._waiting.append((number, task))
        assert len(self._waiting) + len(self._done) <= self.capacity

    def completed(self) -> Sequence[Outcome]:
        self._rng.shuffle(self._waiting)
        for _ in range(self._rng.randint(0, len(self._waiting))):
            self._done.append(run(*self._waiting.pop(), self._context))
        if not self._done:
            self._done.append(run(*self._waiting.pop(), self._context))
        self._rng.shuffle(self._done)
        count = self._rng.randint(1, len(self._done))
        found, self._done = self._done[:count], self._done[count:]
        return found
