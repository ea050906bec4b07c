"""What keeps `gc` and those who publish from harming each other.

`gc` moves unreferenced objects to quarantine while it holds the lock of the store alone; whoever
publishes holds it together with others, while it creates a ref. Before that, it puts back what a
`gc` has moved since the run began. So no ref appears whose objects are moved, at no instant.

Where a backend has no locks, the same order (`gc` names what it moves before it moves it; whoever
publishes compares after its ref is there, and so does `gc` after it has moved) leaves an instant
in which an object is missing, and no longer.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from geobatch.errors import ConflictError, LockedError, StoreError
from geobatch.model.digest import Digest
from geobatch.store.backends.protocol import Backend, LocalDisk
from geobatch.store.commits.drops import Drops
from geobatch.store.identity import IDENTITY
from geobatch.store.maintenance.quarantine import Quarantine, find_object
from geobatch.store.maintenance.reachable import (
    Digests,
    DigestSet,
    Reachable,
    digests_of,
    hex_of,
    object_digests,
)
from geobatch.store.objects import Objects

LEAST_GRACE = timedelta(days=1)
"""Shortest grace time of a `gc` in a bucket, where it is not known which runs are live."""
WAIT_SECONDS = 60.0
"""How long to wait for the lock."""
_GC_LOCK = "runs/gc.lock"
_STEP_SECONDS = 0.02
_MARGIN = timedelta(days=1)
"""Age from which on a batch was certainly complete before a run began."""
_HELD = {errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN}


class Needed(Struct, frozen=True, kw_only=True):
    """What must be there before a ref appears, or a rehearsal is kept."""

    documents: Sequence[Digest] = ()
    """Asset documents, with all below them."""
    commits: Sequence[Digest] = ()
    """Commits, with all below them."""
    others: Sequence[Digest] = ()
    """Other objects."""

    def reached(self, reachable: Reachable) -> Iterator[Digests]:
        """Yield all of it, in parts, each before what is below it is read."""
        yield digests_of(self.others)
        yield from reachable.commits(self.commits)
        yield from reachable.documents(self.documents)


class Guard:
    """Guards one writer of a store."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._quarantine = Quarantine(backend)
        self._opened = datetime.now(UTC)
        self._complete: frozenset[str] | None = None

    def begin(self) -> None:
        """Show that a run is live, and note which batches were complete before."""
        local = self._backend.local
        if local is None:
            self._complete = self._old_batches()
            return
        local.scratch("begin")
        lock = _flocked(local, IDENTITY, fcntl.LOCK_SH)
        try:
            # If the lock is held, a `gc` is moving objects right now.
            found = self._old_batches() if lock is None else self._quarantine.ids()
            self._complete = frozenset(found)
        finally:
            if lock is not None:
                os.close(lock)

    @contextmanager
    def publishing(self) -> Iterator[None]:
        """Hold the lock together with others, so that no `gc` moves anything.

        Raises:
            LockedError: A `gc` holds it for too long.
        """
        with _held(self._backend, fcntl.LOCK_SH, "`geobatch gc` is moving objects"):
            yield

    def restore(self, objects: Objects, needed: Needed) -> None:
        """Put back what a commit needs and a `gc` has moved since the run began.

        Args:
            objects: The objects.
            needed: What it needs.

        Raises:
            ConflictError: Something cannot be put back; nothing may be published.
            CorruptObjectError: An object is missing or damaged.
        """
        moved: DigestSet | None = None  # if `gc` did not know of this run, all may be missing
        if self._complete is None or self._backend.is_remote:
            last = Drops(self._backend).last_run()
            if last is None or last < self._opened - _MARGIN:
                return
        if self._complete is not None and not self._is_long():
            batches = [batch for batch in self._quarantine.ids() if batch not in self._complete]
            moved = DigestSet()
            for batch in batches:
                moved.add(digests_of(object_digests(self._quarantine.held(batch))))
            if not len(moved):
                return
        for part in needed.reached(Reachable(objects)):
            self._put_back(part, moved)
        self._backend.sync()

    def _put_back(self, digests: Digests, moved: DigestSet | None) -> None:
        wanted = list(hex_of(digests if moved is None else digests[moved.has(digests)]))
        states = self._backend.states([Objects.path(digest) for digest in wanted])
        for digest, state in zip(wanted, states, strict=True):
            if state is not None:
                continue
            if find_object(self._backend, digest, is_restored=True) is None:
                raise ConflictError(
                    f"`geobatch gc` removed `{Objects.path(digest)}`, which this run was about"
                    " to publish; nothing was published",
                    hint="run the same command again: what is missing is computed again",
                )

    def _is_long(self) -> bool:
        """Return whether a `gc` of a bucket, which knows of no runs, may have deleted a batch."""
        return self._backend.is_remote and datetime.now(UTC) - self._opened > LEAST_GRACE / 2

    def _old_batches(self) -> frozenset[str]:
        before = f"{datetime.now(UTC) - _MARGIN:%Y%m%dT%H%M%SZ}"
        return frozenset(batch for batch in self._quarantine.ids() if batch < before)


@contextmanager
def moving(backend: Backend) -> Iterator[None]:
    """Hold the lock alone: nobody publishes meanwhile.

    Raises:
        LockedError: Others hold it for too long.
    """
    with _held(backend, fcntl.LOCK_EX, "another process is publishing"):
        yield


@contextmanager
def only_gc(backend: Backend) -> Iterator[None]:
    """Be the only `gc` of a store.

    Raises:
        LockedError: Another one runs.
    """
    if (local := backend.local) is None:
        yield
        return
    local.scratch("gc")  # so that the folder of runs exists
    path = local.path(_GC_LOCK)
    while True:
        lock = _flocked(local, _GC_LOCK, fcntl.LOCK_EX, flags=os.O_CREAT | os.O_RDWR)
        if lock is None:
            raise LockedError(
                f"another `geobatch gc` is running in `{backend.location}`",
                hint="wait until it has ended",
            )
        try:
            if not _is_at(path, lock):  # the one before has just removed the file
                continue
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return
        finally:
            os.close(lock)


@contextmanager
def _held(backend: Backend, kind: int, by_whom: str) -> Iterator[None]:
    if (local := backend.local) is None:
        yield
        return
    until = time.monotonic() + WAIT_SECONDS
    while (lock := _flocked(local, IDENTITY, kind)) is None:
        if time.monotonic() > until:
            raise LockedError(
                f"{by_whom} in `{backend.location}` for more than {WAIT_SECONDS:.0f} s; nothing was"
                " changed",
                hint="run the same command again later: finished work is kept",
            )
        time.sleep(_STEP_SECONDS)
    try:
        yield
    finally:
        os.close(lock)


def _flocked(local: LocalDisk, name: str, kind: int, *, flags: int = os.O_RDONLY) -> int | None:
    """Return a descriptor that holds the `flock` of a file, or None if others hold it."""
    try:
        lock = os.open(local.path(name), flags | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreError(f"cannot lock `{name}` in `{local.root}`: {error.strerror}") from error
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if error.errno in _HELD:
            return None
        raise StoreError(
            f"cannot lock `{name}` in `{local.root}`: {error.strerror}",
            hint="a store needs a file system with `flock`",
        ) from error
    return lock


def _is_at(path: os.PathLike[str], lock: int) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))  # noqa: PTH116
    except FileNotFoundError:
        return False
