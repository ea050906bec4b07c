"""Results of calls that are finished, for those who expect to wait."""

from __future__ import annotations

from concurrent.futures import Future


def known(is_new: bool) -> Future[bool]:
    """Return what is known already, for those who expect to wait for it."""
    done: Future[bool] = Future()
    done.set_result(is_new)
    return done
