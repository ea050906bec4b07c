"""A limit of processor time for regular expressions, which may take longer than anyone waits."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from geobatch.model.limits import PATTERN_SECONDS


class OverdueError(Exception):
    """The time is up."""


@contextmanager
def deadline() -> Iterator[None]:
    """Stop the regular expressions of a block after some seconds.

    Python's `re` runs signal handlers while it searches. They run in the main thread only, so there
    is no limit in other threads, nor on systems without this timer.

    Raises:
        OverdueError: The time is up.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not hasattr(signal, "SIGVTALRM"):
        yield
        return
    before = signal.signal(signal.SIGVTALRM, _stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATTERN_SECONDS.value)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise OverdueError
