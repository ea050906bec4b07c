"""After a failed sync: what was put since the last good one is written again."""

from __future__ import annotations

from collections.abc import Iterator

from geobatch.store.backends.local import UNSYNCED, LocalBackend
from geobatch.store.identity import IDENTITY
from geobatch.store.objects import Objects
from geobatch.store.refs import Refs
from geobatch.store.tilestore import TileStore


def settle(store: TileStore) -> None:
    """Write again what a failed sync may have lost, if any did; and make the head durable.

    A commit is put after a sync of all that it reaches. So what is older than the head's commit is
    durable, and whatever is newer may be lost.

    Raises:
        CorruptObjectError: The head is damaged.
        StoreError: The disk fails still.
    """
    backend = store.backend
    if isinstance(backend, LocalBackend) and backend.state(UNSYNCED) is not None:
        backend.settle(_doubtful(store, backend))


def _doubtful(store: TileStore, backend: LocalBackend) -> Iterator[str]:
    head = store.head()
    names = [IDENTITY]
    since = 0
    if head.digest is not None:
        names.append(Refs.path(head.number))
        found = [backend.state(name) for name in (names[1], Objects.path(head.digest))]
        since = min((state[1] for state in found if state is not None), default=0)
    for name in backend.list("objects/"):
        state = backend.state(name)
        if state is not None and state[1] >= since:
            yield name
    yield from names
