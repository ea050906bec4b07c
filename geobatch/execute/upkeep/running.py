"""Runs one task that keeps a store, in any thread or process."""

from __future__ import annotations

from geobatch.errors import InternalError, StoreError
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import TaskResult
from geobatch.execute.upkeep.tasks import DeleteTask, ReadTask, SweepTask, UpkeepTask
from geobatch.store.backends.protocol import Backend
from geobatch.store.maintenance.quarantine import Quarantine
from geobatch.store.maintenance.reachable import DigestSet, from_bytes
from geobatch.store.maintenance.sweeping.sweep import sweep
from geobatch.store.objects import Objects

MOST_GARBAGE = 112
"""Objects that an answer names at most: 56 bytes each."""


def run_upkeep(task: UpkeepTask, inputs: Inputs, *, backend: Backend) -> TaskResult:
    """Return what a task found or did.

    Raises:
        StoreError: The store cannot be listed, or a file not deleted.
    """
    if isinstance(task, ReadTask):
        return TaskResult(damaged=_damaged(task, backend))
    if isinstance(task, SweepTask):
        needed = DigestSet()
        needed.add(from_bytes(inputs.data(task.needed)))
        return TaskResult(
            swept=sweep(
                backend,
                needed,
                until_ns=task.until_ns,
                prefix=task.prefix,
                after=task.after,
                most=MOST_GARBAGE,
            )
        )
    if isinstance(task, DeleteTask):
        return TaskResult(deleted=Quarantine(backend).delete_part(task.batch, task.prefix))
    raise InternalError(f"no task is a `{type(task).__name__}`")


def _damaged(task: ReadTask, backend: Backend) -> list[int]:
    found = Objects(backend, is_strict=True).try_all(task.names())
    return [number for number, one in enumerate(found) if isinstance(one, StoreError)]
