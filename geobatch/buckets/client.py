"""Clients of buckets: one per bucket and process, which all threads share."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from geobatch.buckets.access.access import Access
from geobatch.buckets.settings import Settings, read_settings
from geobatch.buckets.url import BucketUrl
from geobatch.errors import SettingError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_LONGEST = timedelta(hours=1)
"""Time of a whole request: only silence ends one earlier."""
_PAUSES: Any = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=15),
    "base": 2,
}

_clients: dict[tuple[str, str, str], Clients] = {}
_reached: set[tuple[str, str, str]] = set()
_lock = threading.Lock()


class Clients(NamedTuple):
    """What sends requests to one bucket."""

    patient: ObjectStore
    """Sends a request again that failed."""
    once: ObjectStore
    """Reports each failure: only so it is known whether an answer was lost."""
    access: Access
    """How both reach the bucket."""


def client(url: BucketUrl, *, retries: bool = True) -> ObjectStore:
    """Return the client of a url's bucket, which all threads share; its names are whole keys.

    Args:
        url: An object, or the bucket.
        retries: Whether it sends a request again that failed.

    Raises:
        BucketError: There are no credentials.
        SettingError: A variable of the environment cannot be used.
    """
    found = _connected(url)
    return found.patient if retries else found.once


def access_of(url: BucketUrl) -> Access:
    """Return how a url's bucket is reached.

    Raises:
        BucketError, SettingError: As `client`.
    """
    return _connected(url).access


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
        from geobatch.buckets.access.s3 import s3_access  # noqa: PLC0415 - one cloud is used

        return s3_access(url, environment, settings)
    if url.scheme == "gs":
        from geobatch.buckets.access.gs import gs_access  # noqa: PLC0415 - as above

        return gs_access(url, environment, settings)
    from geobatch.buckets.access.az import az_access  # noqa: PLC0415 - as above

    return az_access(url, environment, settings)


def forget_clients() -> None:
    """Forget all clients: the next request finds its credentials in the environment again."""
    with _lock:
        _clients.clear()
        _reached.clear()


def _key(url: BucketUrl) -> tuple[str, str, str]:
    return url.scheme, url.bucket, url.account


def _connected(url: BucketUrl) -> Clients:
    key = _key(url)
    with _lock:
        if key not in _clients:
            _clients[key] = _connect(url)
        return _clients[key]


def _connect(url: BucketUrl) -> Clients:
    from obstore import exceptions, store  # noqa: PLC0415 - slow to import

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
    try:
        patient, once = (
            kinds[url.scheme](
                url.bucket,
                config=access.config,
                client_options=options,
                retry_config=retry,
                credential_provider=access.provider,
            )
            for retry in (retries, {"max_retries": 0})
        )
    except (exceptions.BaseError, ValueError, OSError) as error:
        from geobatch.buckets.redaction import first_line  # noqa: PLC0415 - only to fail

        # The cause is not kept: its text may contain what could not be read as a key.
        message = f"the credentials of {access.way} cannot be used: {first_line(str(error))}"
        hint = "copy them again; `geobatch doctor` shows where they were found"
        raise SettingError(message, hint=hint) from None
    return Clients(patient=patient, once=once, access=access)
