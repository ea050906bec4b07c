"""Runs tasks on a Dask cluster, in batches and without a graph.

Each worker opens the store and the sources by itself. What tasks share is sent once, as a task of
its own, so that Dask can compute it again if a worker is lost.
"""

from __future__ import annotations

from contextlib import ExitStack
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
