"""Runs tasks on a Dask cluster, in batches and without a graph.

Each worker opens the store and the sources by itself. What tasks share is sent once, as a task of
its own, so that Dask can compute it again if a worker is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from msgspec import Struct

from geobatch.execute.executors.dask.cluster import Cluster
from geobatch.execute.executors.dask.tasks import DaskTasks
from geobatch.execute.tasks.runner import TaskContext


class DaskExecutor(Struct, frozen=True, eq=False):
    """Tasks on the workers of a scheduler; it connects when a run has something to compute."""

    address: str = ""
    """Of the scheduler, such as `tcp://host:8786`; empty for a cluster on this machine."""
    workers: int = 1
    """Processes of a cluster on this machine."""
    client: Any = None
    """A `distributed.Client` in place of an address; it stays open."""

    def start(self, context: TaskContext) -> DaskTasks:
        """Return what runs the tasks of one run.

        Raises:
            ExecutionError: The scheduler does not answer, or there is no worker.
        """
        with ExitStack() as stack:
            cluster = Cluster(self.client, self.address, workers=self.workers)
            stack.callback(cluster.close)
            tasks = DaskTasks(context, cluster)
            stack.pop_all()
            return tasks

    @contextmanager
    def connected(self) -> Iterator[Connected]:
        """Give an executor that connects once, for all runs meanwhile, and then disconnects."""
        with ExitStack() as stack:
            yield Connected(self, stack)


class Connected:
    """Tasks of several runs on one cluster, which the first of them connects to."""

    def __init__(self, executor: DaskExecutor, stack: ExitStack) -> None:
        """Connect to nothing yet.

        Args:
            executor: Says to what.
            stack: Disconnects when it is closed.
        """
        self._executor = executor
        self._stack = stack
        self._client = executor.client

    def start(self, context: TaskContext) -> DaskTasks:
        """Return what runs the tasks of one run; see `DaskExecutor.start`."""
        if self._client is None:
            cluster = Cluster(None, self._executor.address, workers=self._executor.workers)
            self._stack.callback(cluster.close)
            self._client = cluster.client
        return DaskExecutor(client=self._client).start(context)
