"""Objects in buckets: states, ranges of bytes, lists. Any thread may call the functions."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from geobatch.buckets.client import client
from geobatch.buckets.errors import Operation
from geobatch.buckets.url import BucketUrl
from geobatch.model.sources.pin import Remote

if TYPE_CHECKING:
    from obstore import ObjectMeta

GAP_BYTES = 256 << 10
"""Gap between two ranges up to which one request brings both."""
REQUESTS = 64
"""Requests in flight at most, of a process."""
PAGE = 1000
"""Names that one request lists."""

_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()
_in_flight = threading.BoundedSemaphore(REQUESTS)


def requests_pool() -> ThreadPoolExecutor:
    """Return the threads that send requests, shared by the process."""
    global _pool  # noqa: PLW0603 - one limit per process
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="geobatch-bucket")
        return _pool


def head(url: BucketUrl, *, version: str = "") -> Remote:
    """Return the state of an object.

    Args:
        url: The object.
        version: Generation or version id; empty for the newest.

    Raises:
        BucketError: There is no such object, or the request failed.
    """
    import obstore  # noqa: PLC0415 - slow to import

    with explained(url):
        if not version:
            return state_of(obstore.head(client(url), url.key))
        options: Any = {"head": True, "version": version}
        return state_of(obstore.get(client(url), url.key, options=options).meta)


def fetch(url: BucketUrl, ranges: Sequence[tuple[int, int]], state: Remote) -> list[bytes]:
    """Return ranges of an object's bytes; neighbours are read by one request, all in parallel.

    Args:
        url: The object.
        ranges: (start, stop) offsets in any order; inside the object.
        state: The state in which it must be; see `head`.

    Raises:
        BucketError: `Failure.CHANGED` if it is in another state; or the request failed.
    """
    merged = merge(ranges)
    parts = list(requests_pool().map(lambda span: _get(url, span, state), merged))
    found = []
    for start, stop in ranges:
        number = next(n for n, span in enumerate(merged) if span[0] <= start and stop <= span[1])
        low = start - merged[number][0]
        found.append(parts[number][low : low + stop - start])
    return found


def merge(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ranges that cover some others, in order: those that are close are one."""
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(set(ranges)):
        if merged and start <= merged[-1][1] + GAP_BYTES:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def list_objects(prefix: BucketUrl, *, after: str = "") -> Iterator[tuple[str, Remote]]:
    """Yield the key and state of objects below a prefix, a thousand per request, in no order.

    Args:
        prefix: Its key ends at a `/`, or is empty.
        after: Only keys after this one.

    Raises:
        BucketError: There is no such bucket, or a request failed.
    """
    import obstore  # noqa: PLC0415 - slow to import

    with explained(prefix, Operation.LIST):
        pages = obstore.list(
            client(prefix), prefix.key or None, offset=after or None, chunk_size=PAGE
        )
    while True:
        with explained(prefix, Operation.LIST):
            page = next(pages, None)
        if page is None:
            return
        for meta in page:
            yield meta["path"], state_of(meta)


def state_of(meta: ObjectMeta) -> Remote:
    """Return the state that a bucket's answer reports."""
    version = meta.get("version") or ""
    return Remote(
        size=meta["size"],
        version="" if version == "null" else version,
        etag=meta.get("e_tag") or "",
        modified=meta["last_modified"].strftime("%a, %d %b %Y %H:%M:%S GMT"),
    )


def _get(url: BucketUrl, span: tuple[int, int], state: Remote) -> bytes:
    import obstore  # noqa: PLC0415 - slow to import

    options: Any = {"range": span}
    if state.version:
        options["version"] = state.version
    elif state.etag:
        options["if_match"] = state.etag
    with explained(url):
        answer = obstore.get(client(url), url.key, options=options)
        return bytes(answer.bytes())


@contextmanager
def explained(url: BucketUrl, operation: Operation = Operation.READ) -> Iterator[None]:
    """Send a request: wait until one may start, and turn the errors of the library into ours.

    Args:
        url: The object or the prefix.
        operation: What is done, as far as it needs a permission.
    """
    from obstore import exceptions  # noqa: PLC0415 - slow to import

    try:
        with _in_flight:
            yield
    except (exceptions.BaseError, OSError, ValueError) as error:
        from geobatch.buckets.explanations.explanation import explain  # noqa: PLC0415 - to fail

        # The cause is not kept: its text may contain secrets.
        raise explain(url, operation, error) from None
