"""Objects in buckets and on servers, in one state: which one it is, and all bytes in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice

from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.pin import PinnedObject
from geobatch.sources.naming import LostStateError
from geobatch.sources.remote.remote_file import Request, open_remote

FIRST = 256 << 10
"""Bytes of the first request, after which a reader may know enough."""
CHUNK = 4 << 20
"""Bytes of the others."""
AHEAD = 4
"""Requests in flight ahead of the reader: at 30 ms, some 500 MB/s."""
PIECE = 256 << 10
"""Most bytes that a reader receives at once."""


def pin(source: DeclaredSource) -> PinnedObject:
    """Return an object in the state that it is known to have, or else has now.

    Args:
        source: A source with a url.

    Raises:
        UnnamedError: There is no such object, the request failed, or nothing distinguishes one
            state from the next.
    """
    state = source.state
    if state is None:
        file = open_remote(source.url, servers=source.servers)
        try:
            state = file.ask()
            if file.settle():
                file.fetch(0, 1)
            file.check_pinnable()
        finally:
            file.close()
    return PinnedObject(url=source.url, state=state, servers=source.servers)


def read_whole(pinned: PinnedObject) -> bytes:
    """Return all bytes of a small object.

    Raises:
        UnnamedError: It is in another state, or a request failed.
    """
    file = open_remote(pinned.url, remote=pinned.state, servers=pinned.servers)
    try:
        return file.fetch(0, pinned.state.size)
    finally:
        file.close()


def pieces_of(pinned: PinnedObject, *, what: str) -> Iterator[bytes]:
    """Yield all bytes of an object in order, a few requests ahead; memory is bounded.

    Args:
        pinned: The object.
        what: What it is, in messages: `the TFRecord file`.

    Raises:
        UnnamedError: It is in another state, or a request failed.
    """
    file = open_remote(pinned.url, remote=pinned.state, servers=pinned.servers)
    spans = _spans(pinned.state.size)
    waiting: deque[Request] = deque(file.submit(list(islice(spans, 1))))
    try:
        while waiting:
            data = waiting.popleft().data.result()
            for start in range(0, len(data), PIECE):
                yield data[start : start + PIECE]
            for span in islice(spans, AHEAD - len(waiting)):
                waiting.extend(file.submit([span]))
    except LostStateError as error:
        hint = "it changed, or is gone, since the plan was made: run again"
        raise LostStateError(error.generation, hint=hint, what=what) from error
    finally:
        for one in waiting:
            one.data.cancel()
        file.close()


def _spans(size: int) -> Iterator[tuple[int, int]]:
    if size:
        yield 0, min(FIRST, size)
    for start in range(FIRST, size, CHUNK):
        yield start, min(start + CHUNK, size)
