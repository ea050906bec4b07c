"""The threads that send requests, shared by the process."""

from __future__ import annotations

import threading
from concurrent import futures

REQUESTS = 64
"""Requests in flight at most, of a process."""

_pool: futures.ThreadPoolExecutor | None = None
_lock = threading.Lock()


def requests_pool() -> futures.ThreadPoolExecutor:
    """Return the threads that send requests, shared by the process."""
    global _pool  # noqa: PLW0603 - one limit per process
    with _lock:
        if _pool is None:
            _pool = futures.ThreadPoolExecutor(REQUESTS, thread_name_prefix="geobatch-bucket")
        return _pool
