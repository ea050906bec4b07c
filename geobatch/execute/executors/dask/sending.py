"""What is sent to a cluster: the run and the inputs of tasks once, and batches of tasks."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeGuard, cast

from geobatch.errors import ExecutionError, SourceError
from geobatch.execute.executors.dask.checks import versions_here
from geobatch.execute.executors.dask.cluster import Cluster
from geobatch.execute.executors.dask.failures import text_of
from geobatch.execute.executors.dask.names import key_of, prefix_of
from geobatch.execute.executors.dask.origin import Origin
from geobatch.execute.executors.dask.session import Batch, Session, pack
from geobatch.execute.executors.dask.worker import end_run, hold, open_run, run_batch
from geobatch.execute.tasks.runner import TaskContext
from geobatch.execute.tasks.task import ComputingTask, PagesTask, RegionTask, Task
from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest, digest_bytes
from geobatch.sources.reader import Sources
from geobatch.store.identity import IDENTITY

_KEPT = 64
"""Inputs that the cluster keeps although no task that was sent names them."""


class Sender:
    """Sends the tasks of one run."""

    def __init__(self, context: TaskContext, cluster: Cluster) -> None:
        """Send nothing yet.

        Args:
            context: What the tasks would be run with here.
            cluster: Where they are run.
        """
        self._context = context
        self._sources = cast("Sources", context.reader)  # as that of every run
        self._cluster = cluster
        self._client = cluster.client
        self.name = uuid.uuid4().hex
        """Of the run."""
        self._session: Any = None
        self._packed_session = b""
        self._generation = 0
        """How often what the cluster keeps for tasks was sent again under other keys."""
        self._store: Digest = ""
        """Differs from store to store, also of two that were at one location."""
        self._inputs: dict[Digest, Any] = {}
        self._prefixes: set[str] = set()
        self._packed_records: dict[Digest, bytes] = {}
        """What is sent of the streamed sources of one asset."""

    def send(self, tasks: Sequence[Task], *, attempt: int) -> Any:
        """Return the future of a packed `Answer` to some tasks.

        Args:
            tasks: They are run one after the other.
            attempt: How often they were sent before.

        Raises:
            ExecutionError: A worker cannot run them.
        """
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
        batch = Batch(tasks=tuple(tasks), inputs=own, shared=tuple(shared))
        prefix = prefix_of(tasks, self._context.inputs, self._prefixes)
        return self._client.submit(
            run_batch,
            self._session,
            pack(batch),
            *shared.values(),
            *records,
            key=key_of(prefix, tasks, [self._store, self._context.is_compared, attempt]),
            pure=False,
        )

    def renew(self) -> None:
        """Send again what the cluster keeps for tasks: too many workers died that had it."""
        self._generation += 1
        self._inputs.clear()
        if self._session is not None:
            self._session = self._submit_session()

    def end(self, futures: Sequence[Any]) -> None:
        """Cancel what was sent, and have each worker finish and close what it has opened."""
        with suppress(OSError, TimeoutError, RuntimeError):
            if futures:
                self._client.cancel(futures)
            if self._session is not None and not self._cluster.is_lost:
                self._cluster.ask(end_run, self.name)
        self._inputs.clear()
        self._session = None

    def _input(self, digest: Digest) -> Any:
        """Return the future of an input, which is sent once."""
        return self._hold(digest, self._context.inputs.packed(digest))

    def _hold(self, digest: Digest, packed: bytes) -> Any:
        """Return the future of some bytes, which the cluster keeps for tasks to come."""
        found = self._inputs.pop(digest, None)
        if found is None:
            key = ("geobatch input", f"{digest}-{self._generation}")
            found = self._client.submit(hold, packed, key=key, pure=False)
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
        identity = backend.get(IDENTITY)
        self._store = digest_bytes(identity)
        session = Session(
            name=self.name,
            backend=backend,
            identity=identity,
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
            f"the worker `{address}` cannot run tasks: {text_of(problem)}"
            for address, problem in sorted(found.items())
            if problem and not isinstance(problem, OSError)  # one that ends just now
        ]
        if problems:
            raise ExecutionError(
                "\n".join(problems),
                hint="run the workers in the coordinator's environment, or in a copy of its image;"
                " see docs/cluster.md",
            )
        self._packed_session = packed
        return self._submit_session()

    def _submit_session(self) -> Any:
        key = ("geobatch run", f"{self.name}-{self._generation}")
        return self._client.submit(hold, self._packed_session, key=key, pure=False)

    def _sample(self, tasks: Iterable[Task]) -> Source | None:
        """Return a source that tasks need, if this process can read it."""
        for task in tasks:
            if isinstance(task, RegionTask | PagesTask) and any(
                one.from_sources for one in task.bands
            ):
                asset = self._context.inputs.asset(task.asset)
                names = {asset.band(one.band).tileset for one in task.bands}
                sources = (s for t in asset.tilesets if t.id in names for s in t.sources)
                first = next(sources, None)
                with suppress(SourceError):
                    if first is not None:
                        self._sources.check(first)
                        return first
        return None


def _is_streamed(task: Task) -> TypeGuard[ComputingTask]:
    return isinstance(task, RegionTask | PagesTask) and task.is_streamed
