"""Clients of buckets: one per bucket and process, which all threads share."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from obstore import exceptions, store

from geobatch.buckets import access as ways
from geobatch.buckets.access.access import Access
from geobatch.buckets.errors import BucketError
from geobatch.buckets.redaction import first_line
from geobatch.buckets.settings import Settings, read_settings
from geobatch.buckets.url import BucketUrl
from geobatch.errors import GeobatchError, SettingError

if TYPE_CHECKING:
    from obstore.store import ObjectStore, RetryConfig

_AGAIN = 10.0
"""Seconds after which credentials that were not found are searched for again."""
_LONGEST = timedelta(hours=1)
"""Time of a whole request: only silence ends one earlier."""
_PAUSES: Any = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=15),
    "base": 2,
}

_clients: dict[tuple[str, str, str], tuple[Connection, Access]] = {}
_refused: dict[tuple[str, str, str], tuple[float, GeobatchError]] = {}
_reached: set[tuple[str, str, str]] = set()
_lock = threading.Lock()


class Connection:
    """What sends requests to one bucket."""

    def __init__(self, make: Callable[[RetryConfig], ObjectStore], retries: RetryConfig) -> None:
        """Make a client, which takes some milliseconds.

        Args:
            make: Makes one that sends failed requests again as it is told.
            retries: How often, and when.
        """
        self._make = make
        self._once: ObjectStore | None = None
        self.patient = make(retries)
        """Sends a request again that failed."""

    @property
    def once(self) -> ObjectStore:
        """What reports each failure: only so it is known whether an answer was lost."""
        if self._once is None:
            self._once = self._make({"max_retries": 0})
        return self._once


def client(url: BucketUrl, *, retries: bool = True) -> ObjectStore:
    """Return the client of a url's bucket, which all threads share; its names are whole keys.

    Args:
        url: An object, or the bucket.
        retries: Whether it sends a request again that failed.

    Raises:
        BucketError: There are no credentials.
        SettingError: A variable of the environment cannot be used.
    """
    found = _connected(url)[0]
    return found.patient if retries else found.once


def access_of(url: BucketUrl) -> Access:
    """Return how a url's bucket is reached.

    Raises:
        BucketError, SettingError: As `client`.
    """
    return _connected(url)[1]


def mark_reached(url: BucketUrl) -> None:
    """Remember that a url's bucket exists: what is missing in it is an object."""
    _reached.add(_key(url))


def is_reached(url: BucketUrl) -> bool:
    """Return whether a url's bucket is known to exist."""
    return _key(url) in _reached


def find_access(url: BucketUrl, environment: Mapping[str, str], settings: Settings) -> Access:
    """Return how a bucket is reached, without a request to the bucket.

    Raises:
        BucketError, SettingError: As `client`.
    """
    if url.scheme == "s3":
        return ways.s3_access(url, environment, settings)
    if url.scheme == "gs":
        return ways.gs_access(url, environment, settings)
    return ways.az_access(url, environment, settings)


def forget_clients() -> None:
    """Forget all clients: the next request finds its credentials in the environment again."""
    with _lock:
        _clients.clear()
        _refused.clear()
        _reached.clear()


def _key(url: BucketUrl) -> tuple[str, str, str]:
    return url.scheme, url.bucket, url.account


def _connected(url: BucketUrl) -> tuple[Connection, Access]:
    key = _key(url)
    with _lock:
        if key in _clients:
            return _clients[key]
        tried, error = _refused.get(key, (-_AGAIN, None))
        if error is not None and time.monotonic() < tried + _AGAIN:
            # Thousands of objects may be asked for: the machine is not searched for each of them.
            raise error.with_traceback(None)
        try:
            _clients[key] = _connect(url)
        except (BucketError, SettingError) as refused:
            _refused[key] = (time.monotonic(), refused)
            raise
        return _clients[key]


def _connect(url: BucketUrl) -> tuple[Connection, Access]:
    settings = read_settings(os.environ)
    access = find_access(url, os.environ, settings)
    options: Any = {
        # Bytes and signatures are sent in the clear only where the user writes `http://`.
        "allow_http": access.endpoint.startswith("http://"),
        "connect_timeout": timedelta(seconds=settings.connect_seconds),
        "read_timeout": timedelta(seconds=settings.stall_seconds),
        "timeout": _LONGEST,
    }
    certificates = settings.certificates(url.scheme, os.environ)
    if certificates is not None:
        options["root_certificate"] = certificates
    if access.headers:
        options["default_headers"] = access.headers
    retries: Any = {
        "max_retries": settings.retries,
        "retry_timeout": timedelta(seconds=settings.retry_seconds),
        "backoff": _PAUSES,
    }
    kinds: Any = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}
    make = partial(
        kinds[url.scheme],
        url.bucket,
        config=access.config,
        client_options=options,
        credential_provider=access.provider,
    )
    try:
        made = Connection(lambda retry: make(retry_config=retry), retries)
    except (exceptions.BaseError, ValueError, OSError) as error:
        # The cause is not kept: its text may contain what could not be read as a key.
        message = f"what {access.way} says cannot be used: {first_line(str(error))}"
        hint = "copy them again; `geobatch doctor` shows where they were found"
        raise SettingError(message, hint=hint) from None
    return made, access
