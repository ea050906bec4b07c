"""Threads that use GDAL often: its options are set once for each, when it is used first."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Thread(threading.local):
    is_inside = False
    """Whether GDAL has geobatch's options."""
    stays = False
    """Whether it keeps them once it has them."""
    leave: Callable[[], None] | None = None
    """Resets options that a session has kept."""


THREAD = _Thread()
"""What is known of the calling thread; `environment` sets its options."""


def stay_in_environment() -> None:
    """Keep GDAL's options until the calling thread ends, from its first use of GDAL on.

    For threads that do nothing but read sources: entering costs a tenth of what a tile does. Where
    the options are set already, whoever did so resets them.
    """
    THREAD.stays = THREAD.stays or not THREAD.is_inside


@contextmanager
def gdal_session() -> Iterator[None]:
    """Keep GDAL's options until the block ends, from its first use of GDAL on."""
    if THREAD.stays or THREAD.is_inside:
        yield
        return
    THREAD.stays = True
    try:
        yield
    finally:
        THREAD.stays = False
        leave, THREAD.leave = THREAD.leave, None
        if leave is not None:
            leave()
