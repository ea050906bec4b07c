"""After a failed sync: what was put since the last good one is written again."""

from __future__ import annotations

from collections.abc import Iterator

from geobatch.store.backends.protocol import Backend
from geobatch.store.commits.refs import Refs
from geobatch.store.identity import IDENTITY
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore


def settle(store: TileStore) -> None:
    """Write again what a failed sync may have lost, if any did; and make the head durable.

    A commit is put after a sync of all that it reaches. So what is older than the head's commit is
    durable, and whatever is newer may be lost.

    Raises:
        CorruptObjectError: The head is damaged.
        StoreError: The disk still fails.
    """
    local = store.backend.local
    if local is not None and local.is_unsynced:
        local.settle(_doubtful(store, store.backend))


def _doubtful(store: TileStore, backend: Backend) -> Iterator[str]:
    head = store.head()
    names = [IDENTITY]
    since = 0
    if head.digest is not None:
        names.append(Refs.path(head.number))
        found = [backend.state(name) for name in (names[1], Objects.path(head.digest))]
        since = min((state.modified_ns for state in found if state is not None), default=0)
    for name in backend.list("objects/"):
        state = backend.state(name)
        if state is not None and state.modified_ns >= since:
            yield name
    yield from names
