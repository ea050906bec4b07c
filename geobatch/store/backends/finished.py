"""Results of calls that are finished, for those who expect to wait."""

from __future__ import annotations

from concurrent.futures import Future


def _done(is_new: bool) -> Future[bool]:
    done: Future[bool] = Future()
    done.set_result(is_new)
    return done


_KNOWN = (_done(False), _done(True))
"""Made once: they never change again, and small images have several puts each."""


def known(is_new: bool) -> Future[bool]:
    """Return what is known already, for those who expect to wait for it."""
    return _KNOWN[is_new]
