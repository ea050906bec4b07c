"""Objects in buckets: states, ranges of bytes, lists. Any thread may call the functions."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import obstore
from obstore import exceptions

from geobatch.buckets import explanations
from geobatch.buckets.client import client, mark_reached
from geobatch.buckets.errors import BucketError, Failure, Operation
from geobatch.buckets.pool import REQUESTS, requests_pool
from geobatch.buckets.ranges import cut, merge
from geobatch.buckets.url import BucketUrl
from geobatch.model.sources.pin import Remote

if TYPE_CHECKING:
    from obstore import ObjectMeta

PAGE = 1000
"""Names that one request lists."""

_in_flight = threading.BoundedSemaphore(REQUESTS)


def head(url: BucketUrl, *, version: str = "") -> Remote:
    """Return the state of an object.

    Args:
        url: The object.
        version: Generation or version id; empty for the newest.

    Raises:
        BucketError: There is no such object or version, or the request failed.
    """
    with explained(url):
        if not version:
            return state_of(obstore.head(client(url), url.key))
        options: Any = {"head": True, "version": version}
        meta = obstore.get(client(url), url.key, options=options).meta
        if meta.get("version") != version:  # a service without versions answers with the newest
            raise BucketError(Failure.MISSING, "no such version of the object")
        return state_of(meta)


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
    if len(merged) == 1:  # by this thread, which may be one of the pool
        parts = [fetch_one(url, merged[0], state)]
    else:
        parts = list(requests_pool().map(lambda span: fetch_one(url, span, state), merged))
    return cut(ranges, merged, parts)


def list_objects(
    prefix: BucketUrl, *, after: str = "", is_deep: bool = True
) -> Iterator[tuple[str, Remote]]:
    """Yield the key and state of objects below a prefix, a thousand per request, in no order.

    Args:
        prefix: Its key ends at a `/`, or is empty.
        after: Only keys after this one.
        is_deep: Whether objects in folders below the prefix are wanted; without, they are not
            listed either, and the list is in memory before the first is yielded.

    Raises:
        BucketError: There is no such bucket, or a request failed.
    """
    store, name = client(prefix), prefix.key or None
    with explained(prefix, Operation.LIST):
        pages: Iterator[Sequence[ObjectMeta]]
        if is_deep:
            pages = obstore.list(store, name, offset=after or None, chunk_size=PAGE)
        else:
            found = obstore.list_with_delimiter(store, name)
            pages = iter([[meta for meta in found["objects"] if meta["path"] > after]])
    while True:
        with explained(prefix, Operation.LIST):
            page = next(pages, None)
        if page is None:
            return
        for meta in page:
            yield meta["path"], state_of(meta)


def state_of(meta: ObjectMeta) -> Remote:
    """Return the state that a bucket's answer reports."""
    version, etag = meta.get("version") or "", meta.get("e_tag") or ""
    if etag and not etag.endswith('"'):
        etag = f'"{etag}"'  # as lists of Azure do not write it, and heads do
    return Remote(
        size=meta["size"],
        version="" if version == "null" else version,
        etag=etag,
        modified=meta["last_modified"].strftime("%a, %d %b %Y %H:%M:%S GMT"),
    )


def fetch_one(url: BucketUrl, span: tuple[int, int], state: Remote) -> bytes:
    """Return one range of an object's bytes, by one request; for the errors see `fetch`."""
    options: Any = {"range": span}
    if state.version:
        options["version"] = state.version
    elif state.etag:
        options["if_match"] = state.etag
    with explained(url):
        answer = obstore.get(client(url), url.key, options=options)
        # A service may ignore the condition.
        if not state.is_same(state_of(answer.meta)):
            raise BucketError(Failure.CHANGED, "the object changed")
        return bytes(answer.bytes())


@contextmanager
def explained(url: BucketUrl, operation: Operation = Operation.READ) -> Iterator[None]:
    """Send a request: wait until one may start, and turn the errors of the library into ours.

    Args:
        url: The object or the prefix.
        operation: What is done, as far as it needs a permission.
    """
    try:
        with _in_flight:
            yield
        mark_reached(url)
    except (exceptions.BaseError, OSError, ValueError) as error:
        # The cause is not kept: its text may contain secrets.
        raise explanations.explain(url, operation, error) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a bug of the library, not a class of it
            raise
        message = "obstore failed: an endpoint, a proxy or a key in the environment is not valid"
        hint = "`geobatch doctor` shows which variables are set"
        raise BucketError(Failure.OTHER, message, hint=hint) from None
