"""Reads, lists and deletes parts of a store by tasks; what is decided stays in this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import count
from typing import TypeVar

from geobatch.errors import InternalError
from geobatch.execute.executors.protocol import RunningTasks
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import TaskResult
from geobatch.execute.upkeep.tasks import DeleteTask, ReadTask, SweepTask, UpkeepTask
from geobatch.model.digest import Digest
from geobatch.store.maintenance.fsck.contents import (
    Progress,
    Read,
    Subset,
    no_progress,
    problems,
)
from geobatch.store.maintenance.quarantine import Quarantine, Removed
from geobatch.store.maintenance.reachable import DigestSet
from geobatch.store.maintenance.sweeping.sweep import Sweep, joined
from geobatch.store.objects import Objects

_MOST_OBJECTS = 32
"""Objects that a task reads: their digests are 1 KB."""
_MOST_BYTES = 32 << 20
"""Their bytes, unless it is one: in a bucket, all are in memory at a time."""
_FIRST = [f"{number:02x}" for number in range(256)]
"""First bytes of digests, each of which is a part."""

_Task = TypeVar("_Task", bound=UpkeepTask)


class Workers:
    """What `fsck` and `gc` have others do, while an executor runs."""

    def __init__(
        self, running: RunningTasks, inputs: Inputs, *, progress: Progress = no_progress
    ) -> None:
        """Do nothing yet.

        Args:
            running: Runs the tasks.
            inputs: Receives what they name.
            progress: Notified of the parts of a `gc`.
        """
        self._running = running
        self._inputs = inputs
        self._progress = progress

    def read(
        self,
        objects: Objects,
        found: Iterable[tuple[Digest, int]],
        *,
        subset: Subset,
        progress: Progress,
        total: int,
    ) -> Read:
        """Read objects of a subset, and compare each with its digest; see `read_all`.

        What a worker finds damaged is read here, too: its own disk or memory may be at fault.

        Raises:
            ExecutionError: The workers are lost, or cannot use the store.
        """
        damaged: dict[Digest, str] = {}
        doubted: list[Digest] = []
        counts = {"objects": 0, "bytes": 0, "passed": 0}

        def tasks() -> Iterator[ReadTask]:
            digests, size = list[Digest](), 0
            for digest, length in found:
                if digest not in subset:
                    counts["passed"] += 1
                    continue
                is_full = len(digests) == _MOST_OBJECTS or size + length > _MOST_BYTES
                if digests and is_full:
                    yield ReadTask(digests=bytes.fromhex("".join(digests)))
                    digests, size = [], 0
                digests.append(digest)
                size += length
                counts["bytes"] += length
            if digests:
                yield ReadTask(digests=bytes.fromhex("".join(digests)))

        for task, result in self._results(tasks() if subset.number else iter(())):
            names = task.names()
            wrong = [names[number] for number in result.damaged]
            confirmed = dict(problems(objects, wrong))
            damaged |= confirmed
            doubted += [one for one in wrong if one not in confirmed]
            counts["objects"] += len(names)
            progress(counts["passed"] + counts["objects"], total)
        return Read(damaged, counts["objects"], counts["bytes"], tuple(sorted(doubted)))

    def sweep(self, needed: DigestSet, *, until_ns: int) -> Sweep:
        """List all objects, and return those that nothing needs; see `sweep`.

        Raises:
            ExecutionError: The workers are lost, or cannot use the store.
            StoreError: The store cannot be listed.
        """
        found: list[Sweep] = []
        more: deque[SweepTask] = deque()

        def tasks() -> Iterator[SweepTask]:
            for first in _FIRST:
                digests = needed.beginning_with(bytes.fromhex(first))
                yield SweepTask(
                    prefix=f"objects/{first}/",
                    needed=self._inputs.add(digests.tobytes()),
                    until_ns=until_ns,
                    after="",
                )

        done = 0
        for task, result in self._results(tasks(), more):
            if result.swept is None:
                raise InternalError("a part of a list is missing")
            found.append(result.swept)
            if result.swept.rest:
                more.append(task.following(result.swept.rest))
                continue
            self._inputs.forget(task.needed)
            done += 1
            self._progress(done, len(_FIRST))
        return joined(found)

    def delete(self, batch: str, quarantine: Quarantine) -> Removed:
        """Delete a batch and what it holds, its document last; see `Quarantine.delete`.

        Raises:
            ExecutionError: The workers are lost, or cannot use the store.
            StoreError: A file cannot be deleted; the rest can be deleted later.
        """
        tasks = (DeleteTask(batch=batch, prefix=f"objects/{first}/") for first in _FIRST)
        names = freed = 0
        for _, result in self._results(tasks):
            if result.deleted is not None:
                names, freed = names + result.deleted.names, freed + result.deleted.freed
        rest = quarantine.delete(batch)
        return Removed(names=names + rest.names, freed=freed + rest.freed)

    def _results(
        self, tasks: Iterator[_Task], more: deque[_Task] | None = None
    ) -> Iterator[tuple[_Task, TaskResult]]:
        """Run tasks, a bounded number at a time, and yield what came of each.

        Args:
            tasks: Taken as there is room.
            more: Others, which the caller adds meanwhile; they go first.
        """
        running, numbers = self._running, count()
        in_flight: dict[int, _Task] = {}
        while True:
            while len(in_flight) < running.capacity:
                task = more.popleft() if more else next(tasks, None)
                if task is None:
                    break
                number = next(numbers)
                in_flight[number] = task
                running.submit(number, task)
            if not in_flight:
                return
            for outcome in running.completed():
                task = in_flight.pop(outcome.number)
                if outcome.error is not None:
                    raise outcome.error
                if outcome.result is None:
                    raise InternalError("a task has neither a result nor an error")
                yield task, outcome.result
