"""A backend in a bucket: a name is a key below a prefix, and a new object is one request."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from operator import itemgetter
from typing import Any

from geobatch.buckets import writes
from geobatch.buckets.errors import BucketError, Failure
from geobatch.buckets.objects import list_objects
from geobatch.buckets.url import BucketUrl
from geobatch.errors import NotFoundError, StoreError
from geobatch.model.sources.pin import Remote
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.protocol import (
    RUNS,
    Backend,
    Data,
    Service,
    State,
    check_range,
    parse_name,
)
from geobatch.store.backends.workspace import workspace_of
from geobatch.store.identity import IDENTITY


class ObjectStoreBackend:
    """Names as keys below a prefix of a bucket."""

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

    def __reduce__(self) -> tuple[Any, ...]:
        return (ObjectStoreBackend, (self.root,))

    @property
    def location(self) -> str:
        """The url."""
        return str(self.root)

    @property
    def is_remote(self) -> bool:
        """It is a service."""
        return True

    @property
    def service(self) -> Service:
        """This backend."""
        return self

    @property
    def local(self) -> None:
        """Nothing: this is no disk."""
        return

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a name; see `Backend.get`."""
        check_range(start, length)
        if name == IDENTITY and self._identity is not None:
            return self._identity[start : None if length is None else start + length]
        with self._failing("read", name):
            return writes.read(self._url(name), start=start, length=length)

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

    def create(self, name: str, data: Data) -> bool:
        """Keep bytes under a free name; see `Backend.create`."""
        with self._failing("create", name):
            return writes.create(self._url(name), data) is None

    def replace(self, name: str, data: Data) -> None:
        """Keep bytes under any name; see `Backend.replace`."""
        with self._failing("write", name):
            writes.write(self._url(name), data)

    def size(self, name: str) -> int | None:
        """Return the length of a name's bytes; see `Backend.size`."""
        found = self.state(name)
        return None if found is None else found.size

    def state(self, name: str) -> State | None:
        """Return the size and age of a name; see `Backend.state`."""
        with self._failing("read the state of", name):
            found = writes.state(self._url(name))
        return None if found is None else _state(found)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield names in order; see `Backend.list`."""
        for name, _ in self._found(prefix):
            yield name

    def states(self, prefix: str) -> Iterator[tuple[str, State]]:
        """Yield names with their states, a thousand per request; see `Service.states`."""
        for name, found in self._found(prefix):
            yield name, _state(found)

    def copy(self, source: str, target: str) -> None:
        """Give a name the bytes of another one; see `Service.copy`."""
        with self._failing("read", source):
            writes.copy(self._url(source), self._url(target))

    def delete_all(self, names: Collection[str]) -> None:
        """Forget names, a thousand per request; see `Service.delete_all`."""
        with self._failing("delete", f"{len(names)} names"):
            writes.delete([self._url(name) for name in names])

    def _found(self, prefix: str) -> Iterator[tuple[str, Remote]]:
        folder = prefix.rpartition("/")[0]
        start = f"{parse_name(folder)}/" if folder else ""
        root = self.root.child(start) if start or self.root.key else self.root
        dropped = len(self.root.key) + 1 if self.root.key else 0
        with self._failing("list", start):
            # No service promises an order to all who list.
            names = sorted(
                ((key[dropped:], found) for key, found in list_objects(root)), key=itemgetter(0)
            )
        for name, found in names:
            if name.startswith(prefix) and (prefix.startswith(RUNS) or not name.startswith(RUNS)):
                yield name, found

    def delete(self, name: str) -> None:
        """Forget a name; see `Backend.delete`."""
        with self._failing("delete", name):
            writes.delete([self._url(name)])

    def sync(self) -> None:
        """Do nothing: what a service has answered is durable."""

    def beside(self, store_id: str) -> Backend:
        """Return the folder of this computer for a store; see `Backend.beside`."""
        return LocalBackend(workspace_of(store_id))

    def close(self) -> None:
        """Do nothing: the process keeps its clients."""

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


def _state(found: Remote) -> State:
    seconds = parsedate_to_datetime(found.modified).timestamp()
    return State(found.size, int(seconds) * 1_000_000_000)
