"""How many processors this process may use."""

from __future__ import annotations

import os


def processor_count() -> int:
    """Return how many processors the system lets this process use, where it says; else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
