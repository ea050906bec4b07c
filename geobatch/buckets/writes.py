"""Objects written, read, copied and deleted. Any thread may call the functions."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Sequence
from random import SystemRandom
from typing import TYPE_CHECKING, Any, TypeAlias

import obstore

from geobatch.buckets.client import client
from geobatch.buckets.errors import BucketError, Failure, Operation
from geobatch.buckets.objects import explained, head
from geobatch.buckets.pool import requests_pool
from geobatch.buckets.url import BucketUrl
from geobatch.model.sources.pin import Remote

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Data: TypeAlias = bytes | bytearray | memoryview

_ATTEMPTS = 10
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 15.0
"""Seconds between attempts to create a name: the limit doubles from the first to the longest."""
_DELETED_AT_ONCE = 1000
_MD5 = re.compile('"?([0-9a-f]{32})"?')
_RANDOM = SystemRandom()


def read(url: BucketUrl, *, start: int = 0, length: int | None = None) -> bytes:
    """Return the bytes of an object, or those of a range, which may lie behind its end.

    Raises:
        BucketError: There is no such object, or the request failed.
    """
    options: Any = {}
    if length is not None:
        options["range"] = (start, start + max(length, 1))
    elif start:
        options["range"] = {"offset": start}
    try:
        with explained(url):
            data = bytes(obstore.get(client(url), url.key, options=options).bytes())
    except BucketError as error:
        # No service sends a range that starts at the end or behind it.
        if error.failure is Failure.OTHER and options and head(url).size <= start:
            return b""
        raise
    return data if length is None else data[:length]


def write(url: BucketUrl, data: Data) -> None:
    """Write an object, whatever has its name.

    Raises:
        BucketError: The request failed.
    """
    for attempt in range(_ATTEMPTS):
        try:
            _put(client(url), url, data, mode="overwrite")
        except BucketError as error:
            # A service may refuse a write while another one of the same name is in progress.
            if error.failure is not Failure.EXISTS or attempt == _ATTEMPTS - 1:
                raise
            _pause(attempt)
        else:
            return


def create(url: BucketUrl, data: Data) -> Remote | None:
    """Write an object unless its name is taken.

    An answer may be lost on the way, and a service may refuse a request of several at once without
    any of them having written: then what is there decides.

    Returns:
        None if this call created it; else the state of the object that has the name.

    Raises:
        BucketError: The request failed; the object may be there nevertheless.
    """
    doubt: BucketError | None = None
    for attempt in range(_ATTEMPTS):
        try:
            _put(client(url, retries=False), url, data, mode="create")
        except BucketError as error:
            if error.failure is Failure.EXISTS:
                # Only Azure refuses a taken name with 409; elsewhere another one is in progress.
                if error.status == 409 and url.scheme != "az":
                    doubt = error
            elif error.is_final:
                raise
            else:
                doubt = error
        else:
            return None
        found = state(url)
        if found is not None:
            is_own = doubt is not None and holds(url, found, data)
            return None if is_own else found
        _pause(attempt)
    raise doubt or BucketError(
        Failure.OTHER, f"the service refused {_ATTEMPTS} times to create it, though it is not there"
    )


def state(url: BucketUrl) -> Remote | None:
    """Return the state of an object, or None without one; for the errors see `head`."""
    try:
        return head(url)
    except BucketError as error:
        if error.failure is Failure.MISSING:
            return None
        raise


def holds(url: BucketUrl, found: Remote, data: Data) -> bool:
    """Return whether an object has these bytes.

    Where its tag is their MD5, as S3 and Google make it for most objects, they are not read.

    Args:
        url: The object.
        found: Its state.
        data: The bytes.

    Raises:
        BucketError: The request failed.
    """
    if found.size != len(memoryview(data).cast("B")):
        return False
    tag = _MD5.fullmatch(found.etag)
    if tag is not None and tag[1] == hashlib.md5(data, usedforsecurity=False).hexdigest():
        return True
    try:
        return read(url) == data
    except BucketError as error:
        if error.failure is Failure.MISSING:
            return False
        raise


def copy(source: BucketUrl, target: BucketUrl) -> None:
    """Copy an object in its bucket, without its bytes passing through here.

    Raises:
        BucketError: There is no such object, or the request failed.
    """
    with explained(target, Operation.WRITE):
        obstore.copy(client(source), source.key, target.key)


def delete(urls: Sequence[BucketUrl]) -> None:
    """Delete objects of one bucket; those that are not there are none.

    Raises:
        BucketError: A request failed.
    """
    for first in range(0, len(urls), _DELETED_AT_ONCE):
        some = urls[first : first + _DELETED_AT_ONCE]
        if len(some) == 1:
            _delete(some[0])
            continue
        try:
            with explained(some[0], Operation.DELETE):
                obstore.delete(client(some[0]), [url.key for url in some])
        except BucketError:  # some services refuse a batch with a name that is not there
            list(requests_pool().map(_delete, some))


def _delete(url: BucketUrl) -> None:
    try:
        with explained(url, Operation.DELETE):
            obstore.delete(client(url), url.key)
    except BucketError as error:
        if error.failure is not Failure.MISSING:
            raise


def _put(store: ObjectStore, url: BucketUrl, data: Data, *, mode: Any) -> None:
    with explained(url, Operation.WRITE):
        obstore.put(store, url.key, memoryview(data).cast("B"), mode=mode, use_multipart=False)


def _pause(attempt: int) -> None:
    time.sleep(_RANDOM.uniform(0.0, min(_FIRST_PAUSE * 2**attempt, _LONGEST_PAUSE)))
