"""Objects in buckets and on servers, in one state: which one it is, and all bytes in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from itertools import islice

from geobatch.buckets.errors import BucketError
from geobatch.buckets.objects import fetch, head, requests_pool
from geobatch.buckets.url import BucketUrl, is_bucket_url, parse_bucket_url
from geobatch.errors import InternalError
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.pin import PinnedObject
from geobatch.sources.naming import refused
from geobatch.sources.remote.ranges import RemoteObject

CHUNK = 4 << 20
"""Bytes of a request."""
FIRST = 256 << 10
"""Bytes of the first request, after which a reader may know enough."""
AHEAD = 4
"""Requests in flight ahead of the reader: at 30 ms, some 500 MB/s."""
PIECE = 256 << 10
"""Most bytes that a reader receives at once."""


def pin(source: DeclaredSource) -> PinnedObject:
    """Return an object in the state that it is known to have, or else has now.

    Args:
        source: A source with a url.

    Raises:
        UnnamedError: There is no such object, the request failed, or the server does not report
            what distinguishes one state from the next.
    """
    state = source.state
    if is_bucket_url(source.url):
        try:
            state = state or head(parse_bucket_url(source.url))
        except BucketError as error:
            raise refused(error, None) from error
        return PinnedObject(url=source.url, state=state)
    there = RemoteObject(source.url, servers=source.servers)
    try:
        there.fetch(0, 1)
        if there.settle():
            there.fetch(0, 1)
        if not source.allow_unpinned:
            there.check_pinnable()
        state = there.remote
    finally:
        there.close()
    if state is None:
        raise InternalError(f"`{source.url}`: it was read, and has no state")
    return PinnedObject(url=source.url, state=state, servers=source.servers)


def pieces_of(pinned: PinnedObject, *, what: str) -> Iterator[bytes]:
    """Yield all bytes of an object in order, a few requests ahead; memory is bounded.

    Args:
        pinned: The object.
        what: What it is, in messages: `the TFRecord file`.

    Raises:
        UnnamedError: It is in another state, or a request failed.
    """
    spans = _spans(pinned.state.size)
    if is_bucket_url(pinned.url):
        yield from _of_bucket(parse_bucket_url(pinned.url), pinned, spans, what)
        return
    there = RemoteObject(pinned.url, remote=pinned.state, servers=pinned.servers)
    try:
        for start, stop in spans:
            yield from _pieces(there.fetch(start, stop))
    finally:
        there.close()


def _of_bucket(
    url: BucketUrl, pinned: PinnedObject, spans: Iterator[tuple[int, int]], what: str
) -> Iterator[bytes]:
    waiting: deque[Future[list[bytes]]] = deque()

    def send(count: int) -> None:
        for span in islice(spans, count):
            waiting.append(requests_pool().submit(fetch, url, [span], pinned.state))

    send(1)
    try:
        while waiting:
            [data] = waiting.popleft().result()
            yield from _pieces(data)
            send(AHEAD - len(waiting))
    except BucketError as error:
        raise refused(error, pinned.state, what=what) from error
    finally:
        for one in waiting:
            one.cancel()


def _spans(size: int) -> Iterator[tuple[int, int]]:
    if size:
        yield 0, min(FIRST, size)
    for start in range(FIRST, size, CHUNK):
        yield start, min(start + CHUNK, size)


def _pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]
