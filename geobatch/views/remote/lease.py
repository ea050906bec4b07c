"""A lease of a store without locks: one process updates the views, others wait.

Leases are numbered names, each created only if absent, so one of several processes gets the next. A
process that holds one renews it; one that was not renewed for long belongs to a dead process. The
highest name stays, so a process that was stopped finds out that another one has taken over.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from geobatch.errors import LockedError, NotFoundError, StoreError
from geobatch.store.backends.protocol import RUNS, Backend

LEASES = f"{RUNS}views/"
"""Folder of the leases."""
_FREE = b"free\n"
"""What the name of a lease says that nobody holds."""
SECONDS = 30.0
"""After so long without renewal, a lease is taken over."""
_WAIT_SECONDS = 600.0
_POLLS = 30
"""Looks at a lease until it counts as abandoned."""


class Lease:
    """A lease that this process holds."""

    def __init__(self, backend: Backend, name: str) -> None:
        self._backend = backend
        self.name = name
        """Its name."""
        self._owner = uuid.uuid4().hex
        self._count = 0

    @property
    def data(self) -> bytes:
        """What the name says now: it differs after each renewal."""
        return f"{self._owner} {self._count}\n".encode()

    def renew(self) -> None:
        """Show that the process lives."""
        self._count += 1
        self._backend.replace(self.name, self.data)

    def is_held(self) -> bool:
        """Return whether no other process has taken the lease over."""
        return max(self._backend.list(LEASES), default="") == self.name

    def end(self) -> None:
        """Let other processes have it."""
        with suppress(StoreError):  # then the next process waits until it counts as abandoned
            if self.is_held():
                self._backend.replace(self.name, _FREE)


@contextmanager
def leased(backend: Backend, *, seconds: float = SECONDS) -> Iterator[Lease]:
    """Hold the lease; wait for it.

    Args:
        backend: The store.
        seconds: After so long without renewal, the lease of another process is taken over.

    Raises:
        LockedError: Others held it for ten minutes.
    """
    lease = _take(backend, seconds)
    is_over = threading.Event()

    def renew() -> None:
        while not is_over.wait(seconds / 5):
            with suppress(StoreError):  # the next renewal may succeed
                lease.renew()

    thread = threading.Thread(target=renew, name="geobatch-lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        is_over.set()
        thread.join()
        lease.end()


def _take(backend: Backend, seconds: float) -> Lease:
    until = time.monotonic() + _WAIT_SECONDS + seconds
    seen: tuple[str, bytes] = ("", b"")
    since = time.monotonic()
    while time.monotonic() < until:
        last = max(backend.list(LEASES), default="")
        try:
            state = (last, backend.get(last) if last else b"")
        except NotFoundError:  # it has just ended
            continue
        if state != seen:
            seen, since = state, time.monotonic()
        if state[1] in (b"", _FREE) or time.monotonic() - since >= seconds:
            number = int(last.removeprefix(LEASES), 16) + 1 if last else 1
            lease = Lease(backend, f"{LEASES}{number:016x}")
            if backend.create(lease.name, lease.data):
                backend.delete_all(one for one in backend.list(LEASES) if one < lease.name)
                return lease
            continue
        time.sleep(seconds / _POLLS)
    raise LockedError(
        f"another process has been updating the views of `{backend.location}` for more than "
        f"{_WAIT_SECONDS / 60:.0f} minutes",
        hint="run the same command again later: the commits are published",
    )
