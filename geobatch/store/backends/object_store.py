"""A backend in a bucket: a name is a key below a prefix, and a new object is one request."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import Any

from geobatch.buckets import writes
from geobatch.buckets.conditions import prove_conditions
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.objects import list_objects
from geobatch.buckets.pool import requests_pool
from geobatch.buckets.url import BucketUrl
from geobatch.errors import NotFoundError, StoreError
from geobatch.model.sources.pin import Remote
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.protocol import (
    RUNS,
    Backend,
    Data,
    State,
    check_range,
    parse_name,
)
from geobatch.store.backends.workspace import workspace_of
from geobatch.store.identity import IDENTITY

_MOST_BYTES = 32 << 20
"""Bytes that wait to be put; a larger object waits alone."""
_MOST_NAMES = 1 << 16
"""Names that are remembered because this process has put them."""


class ObjectStoreBackend:
    """Names as keys below a prefix of a bucket."""

    is_remote = True
    """Each call is a request."""

    def __init__(self, root: BucketUrl, *, identity: bytes | None = None) -> None:
        """Send nothing yet.

        Args:
            root: The bucket and the prefix.
            identity: The document that identifies the store, if it was read before; it never
                changes.
        """
        self._identity = identity
        self.root = BucketUrl(
            scheme=root.scheme, bucket=root.bucket, key=root.key.strip("/"), account=root.account
        )
        self._is_proved = False
        self._room = threading.Condition()
        self._waiting: dict[str, Future[bool]] = {}
        """What is being put, by name, until `sync`."""
        self._bytes = 0
        self._there: dict[str, None] = {}
        """Names that `put_soon` has put or found, the latest last."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (ObjectStoreBackend, (self.root,))

    @property
    def location(self) -> str:
        """The url."""
        return str(self.root)

    @property
    def local(self) -> None:
        """Nothing: this is no disk."""
        return

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a name; see `Backend.get`."""
        check_range(start, length)
        if name == IDENTITY and self._identity is not None:
            return self._identity[start : None if length is None else start + length]
        url = self._url(name)
        self._wait_for(name)
        with self._failing("read", name):
            return writes.read(url, start=start, length=length)

    def put(self, name: str, data: Data) -> bool:
        """Keep bytes under a name for good; see `Backend.put`."""
        url = self._url(name)
        with self._failing("write", name):
            found = writes.create(url, data)
            if found is None:
                return True
            if writes.holds(url, found, data):
                return False
            writes.write(url, data)
        return True

    def put_soon(self, name: str, data: Data) -> Future[bool]:
        """Put while the caller goes on; see `Backend.put_soon`."""
        size = len(memoryview(data).cast("B"))
        with self._room:
            before = self._waiting.get(name)
            if before is not None or name in self._there:
                return _later(before)
            self._room.wait_for(lambda: not self._bytes or self._bytes + size <= _MOST_BYTES)
            self._bytes += size
            made = self._waiting[name] = requests_pool().submit(self.put, name, data)
        made.add_done_callback(lambda done: self._note(name, size, done))
        return made

    def create(self, name: str, data: Data) -> bool:
        """Keep bytes under a free name; see `Backend.create`."""
        url = self._url(name)
        with self._failing("create", name):
            return writes.create(url, data) is None

    def replace(self, name: str, data: Data) -> None:
        """Keep bytes under any name; see `Backend.replace`."""
        url = self._url(name)
        self._there.pop(name, None)
        with self._failing("write", name):
            writes.write(url, data)

    def size(self, name: str) -> int | None:
        """Return the length of a name's bytes; see `Backend.size`."""
        found = self.state(name)
        return None if found is None else found.size

    def state(self, name: str) -> State | None:
        """Return the size and age of a name; see `Backend.state`."""
        url = self._url(name)
        self._wait_for(name)
        with self._failing("read the state of", name):
            found = writes.state(url)
        return None if found is None else _state(found)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield names in order; see `Backend.list`."""
        for name, _ in self._listed(prefix):
            yield name

    def scan(self, prefix: str) -> Iterator[tuple[str, State]]:
        """Yield names with their states, of the same requests; see `Backend.scan`."""
        for name, found in self._listed(prefix):
            yield name, _state(found)

    def get_all(self, names: Sequence[str]) -> Iterator[bytes | StoreError]:
        """Yield bytes or errors; see `Backend.get_all`."""
        return requests_pool().map(self._get_or_error, names)

    def states(self, names: Sequence[str]) -> Iterator[State | None]:
        """Yield states; see `Backend.states`."""
        return requests_pool().map(self.state, names)

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        """Copy names in the bucket; see `Backend.copy_all`."""
        return list(requests_pool().map(self._copy, pairs))

    def delete(self, name: str) -> None:
        """Forget a name; see `Backend.delete`."""
        self.delete_all([name])

    def delete_all(self, names: Iterable[str]) -> None:
        """Forget names, many of them by one request; see `Backend.delete_all`."""
        gone = list(names)
        urls = [self._url(name) for name in gone]
        for name in gone:
            self._wait_for(name)
            self._there.pop(name, None)
        with self._failing("delete", gone[0] if len(gone) == 1 else f"{len(gone)} names"):
            writes.delete(urls)

    def sync(self) -> None:
        """Wait for what is being put: what a service has answered is durable."""
        with self._room:
            waiting = list(self._waiting.items())
        first: BaseException | None = None
        for name, future in waiting:
            first = future.exception() or first
            with self._room:
                if self._waiting.get(name) is future:
                    del self._waiting[name]
        if first is not None:
            raise first

    def beside(self, store_id: str) -> Backend:
        """Return the folder of this computer for a store; see `Backend.beside`."""
        return LocalBackend(workspace_of(store_id))

    def prove(self) -> None:
        """Refuse a service that ignores conditions; see `Backend.prove`."""
        if not self._is_proved:
            try:
                prove_conditions(self.root)
            except BucketError as error:
                raise StoreError(
                    f"a store cannot be kept in `{self.root}`: {error.message}", hint=error.hint
                ) from error
            self._is_proved = True

    def close(self) -> None:
        """Wait for what is being put, whatever becomes of it; the process keeps its clients."""
        for future in list(self._waiting.values()):
            future.exception()

    def _get_or_error(self, name: str) -> bytes | StoreError:
        try:
            return self.get(name)
        except StoreError as error:
            return error

    def _copy(self, pair: tuple[str, str]) -> bool:
        source, target = pair
        self._wait_for(source)
        try:
            with self._failing("read", source):
                writes.copy(self._url(source), self._url(target))
        except NotFoundError:
            return False
        return True

    def _listed(self, prefix: str) -> Iterator[tuple[str, Remote]]:
        folder = prefix.rpartition("/")[0]
        start = f"{parse_name(folder)}/" if folder else ""
        root = self.root.child(start) if start or self.root.key else self.root
        dropped = len(self.root.key) + 1 if self.root.key else 0
        for future in list(self._waiting.values()):
            future.exception()
        with self._failing("list", start or "all names"):
            # No service promises an order to all who list.
            found = sorted((key[dropped:], state) for key, state in list_objects(root))
        for name, state in found:
            is_hidden = name.startswith(RUNS) and not prefix.startswith(RUNS)
            if name.startswith(prefix) and not is_hidden:
                yield name, state

    def _wait_for(self, name: str) -> None:
        """Return when a name is there that is being put; who reads it finds out what failed."""
        future = self._waiting.get(name)
        if future is not None:
            future.exception()

    def _note(self, name: str, size: int, done: Future[bool]) -> None:
        """Make room for what waits."""
        with self._room:
            self._bytes -= size
            if not done.cancelled() and done.exception() is None:
                if self._waiting.get(name) is done:
                    del self._waiting[name]
                self._there[name] = None
                if len(self._there) > _MOST_NAMES:
                    del self._there[next(iter(self._there))]
            self._room.notify_all()

    def _url(self, name: str) -> BucketUrl:
        return self.root.child(parse_name(name))

    @contextmanager
    def _failing(self, verb: str, name: str) -> Iterator[None]:
        """Turn the errors of requests into those of a store."""
        try:
            yield
        except BucketError as error:
            if error.failure is Failure.MISSING and verb == "read":
                raise NotFoundError(f"`{name}` is not in the store `{self.root}`") from None
            raise StoreError(
                f"cannot {verb} `{name}` in `{self.root}`: {error.message}", hint=error.hint
            ) from error


def _later(before: Future[bool] | None) -> Future[bool]:
    """Return that bytes were there before, once they are."""
    known: Future[bool] = Future()
    if before is None:
        known.set_result(False)
        return known

    def settle(done: Future[bool]) -> None:
        error = None if done.cancelled() else done.exception()
        if error is not None:
            known.set_exception(error)
        else:
            known.set_result(False)

    before.add_done_callback(settle)
    return known


def _state(found: Remote) -> State:
    seconds = parsedate_to_datetime(found.modified).timestamp()
    return State(found.size, int(seconds) * 1_000_000_000)
