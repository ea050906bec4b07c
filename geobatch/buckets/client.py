"""Clients of buckets: one per bucket and process; credentials come from the environment."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from geobatch.buckets.url import BucketUrl

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_clients: dict[tuple[str, str, str], ObjectStore] = {}
_lock = threading.Lock()


def client(url: BucketUrl) -> ObjectStore:
    """Return the client of a url's bucket, which all threads share; its names are whole keys.

    Raises:
        BucketError: The settings of the environment cannot be used.
    """
    key = (url.scheme, url.bucket, url.account)
    with _lock:
        if key not in _clients:
            _clients[key] = _connect(url)
        return _clients[key]


def _connect(url: BucketUrl) -> ObjectStore:
    import os  # noqa: PLC0415

    from obstore.store import AzureStore, GCSStore, S3Store  # noqa: PLC0415 - slow to import

    options: Any = {"allow_http": True} if os.environ.get("AWS_ALLOW_HTTP") == "true" else {}
    if url.scheme == "s3":
        return S3Store(url.bucket, client_options=options)
    if url.scheme == "gs":
        return GCSStore(url.bucket, client_options=options)
    config: Any = {"account_name": url.account} if url.account else {}
    return AzureStore(url.bucket, config=config, client_options=options)
