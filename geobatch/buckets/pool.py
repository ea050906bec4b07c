"""The threads that send requests, shared by the process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

REQUESTS = 64
"""Requests in flight at most, of a process."""

_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def requests_pool() -> ThreadPoolExecutor:
    """Return the threads that send requests, shared by the process."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to import

    global _pool  # noqa: PLW0603 - one limit per process
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(REQUESTS, thread_name_prefix="geobatch-bucket")
        return _pool
