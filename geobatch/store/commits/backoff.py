"""How long to wait before an attempt is repeated that another process has won."""

from __future__ import annotations

import os
import time

MOST_SECONDS = 5.0
"""Limit of one pause."""


class Backoff:
    """Pauses between attempts, each drawn from a window that doubles.

    The first window is as long as the attempt that was lost took, so the pauses suit a fast disk
    and a slow bucket. Without randomness, processes that met once would meet again.
    """

    def __init__(self) -> None:
        self.lost = 0
        """Attempts that were lost."""
        self._since = time.monotonic()

    def pause(self) -> None:
        """Wait, after an attempt was lost; the next attempt begins on return."""
        self.lost += 1
        took = time.monotonic() - self._since
        # Not from `random`, which is slow to import.
        share = int.from_bytes(os.urandom(4)) / 2**32
        time.sleep(share * min(took * 2**self.lost, MOST_SECONDS))
        self._since = time.monotonic()
