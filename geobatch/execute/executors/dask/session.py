"""What workers know of a run, and what is sent to them and back: batches of tasks."""

from __future__ import annotations

import pickle

from msgspec import Struct

from geobatch.execute.executors.dask.origin import Origin
from geobatch.execute.tasks.task import Task, TaskResult
from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import Backend


class Session(Struct, frozen=True, kw_only=True):
    """A run, as its workers know it; it is sent once."""

    name: str
    """Differs from run to run."""
    backend: Backend
    """The store; a worker opens it by itself."""
    identity: bytes
    """Bytes of the file that says which store it is."""
    origin: Origin
    """Where the coordinator is."""
    versions: dict[str, str]
    """What decides bytes, with its version there."""
    sample: Source | None
    """A source that workers must be able to read."""
    is_compared: bool
    """Whether nothing is put in the store, and what tasks put is returned."""
    is_cached: bool
    """Whether results of regions are kept for the next run."""
    restores: bool
    """Whether objects that are read from quarantine are put back."""


class Batch(Struct, frozen=True, kw_only=True):
    """Tasks that are sent together."""

    tasks: tuple[Task, ...]
    """In the order in which they are run."""
    inputs: dict[Digest, bytes]
    """What only these tasks name."""
    shared: tuple[Digest, ...]
    """What other tasks name too: it is sent apart, in this order; then come records."""


class Answer(Struct, frozen=True, kw_only=True):
    """What became of the tasks of a batch."""

    run: str
    """Name of the run for which they were run: two may have sent the same."""
    values: list[TaskResult | Exception | None]
    """Per task, its result or error; None if the run has ended before it began."""
    refused: str = ""
    """Why the worker can run no task of this run; empty if it can."""
    seconds: float
    """How long it took."""


def pack(value: Session | Batch | Answer) -> bytes:
    """Return a value as bytes."""
    return pickle.dumps(value, protocol=5)
