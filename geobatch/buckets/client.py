"""Clients of buckets: one per bucket and process, which all threads share."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

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

_clients: dict[tuple[str, str, str], tuple[ObjectStore, Access]] = {}
_lock = threading.Lock()


def client(url: BucketUrl) -> ObjectStore:
    """Return the client of a url's bucket, which all threads share; its names are whole keys.

    Raises:
        BucketError: There are no credentials.
        SettingError: A variable of the environment cannot be used.
    """
    return _connected(url)[0]


def access_of(url: BucketUrl) -> Access:
    """Return how a url's bucket is reached.

    Raises:
        BucketError, SettingError: As `client`.
    """
    return _connected(url)[1]


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


def _connected(url: BucketUrl) -> tuple[ObjectStore, Access]:
    key = (url.scheme, url.bucket, url.account)
    with _lock:
        if key not in _clients:
            _clients[key] = _connect(url)
        return _clients[key]


def _connect(url: BucketUrl) -> tuple[ObjectStore, Access]:
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
        made = kinds[url.scheme](
            url.bucket,
            config=access.config,
            client_options=options,
            retry_config=retries,
            credential_provider=access.provider,
        )
    except (exceptions.BaseError, ValueError, OSError) as error:
        from geobatch.buckets.redaction import first_line  # noqa: PLC0415 - only to fail

        # The cause is not kept: its text may contain what could not be read as a key.
        message = f"the credentials of {access.way} cannot be used: {first_line(str(error))}"
        raise SettingError(message) from None
    return made, access
