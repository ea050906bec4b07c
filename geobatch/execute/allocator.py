"""The C library's memory: what the pixels of one tile took is kept for those of the next.

It saves half of the time of workers that live long, such as those of a cluster, and nothing of a
process that applies one plan and ends (docs/decisions/041-one-pool.md).
"""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
_KEPT = 64 << 20
"""Free bytes that each thread's heap may keep: as many as such a heap can have."""
_LARGE = 32 << 20
"""Bytes from which an array is a matter of its own; glibc takes no higher bound."""


def keep_freed_memory() -> None:
    """Have glibc keep what is freed, until `return_freed_memory`; nothing with other libraries.

    By default it may return the arrays of every tile to the system, and request them again page by
    page. It depends on their addresses: one run in four did, and took 6 % longer.
    """
    _call("mallopt", _M_MMAP_THRESHOLD, _LARGE)
    _call("mallopt", _M_TOP_PAD, _KEPT)


def return_freed_memory() -> None:
    """Give the system what is kept."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    function = getattr(ctypes.CDLL(None), name, None)
    if function is not None:
        function(*arguments)
