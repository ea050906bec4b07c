"""What a backend does for several names at a time, where a call is no request: one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from geobatch.errors import NotFoundError, StoreError
from geobatch.store import backends

if TYPE_CHECKING:
    from concurrent.futures import Future

    from geobatch.store.backends.protocol import Backend, Data, State


class OneByOne:
    """A base for backends in this process and on its disks."""

    is_remote = False
    """A call is no request."""

    def put_soon(self: Backend, name: str, data: Data) -> Future[bool]:
        """Put at once; see `Backend.put_soon`."""
        return backends.known(self.put(name, data))

    def get_all(self: Backend, names: Sequence[str]) -> Iterator[bytes | StoreError]:
        """Yield bytes or errors; see `Backend.get_all`."""
        for name in names:
            try:
                yield self.get(name)
            except StoreError as error:
                yield error

    def states(self: Backend, names: Sequence[str]) -> Iterator[State | None]:
        """Yield states; see `Backend.states`."""
        return map(self.state, names)

    def scan(self: Backend, prefix: str) -> Iterator[tuple[str, State]]:
        """Yield names with their states; see `Backend.scan`."""
        for name in self.list(prefix):
            if (state := self.state(name)) is not None:  # another process may have removed it
                yield name, state

    def copy_all(self: Backend, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        """Copy names; see `Backend.copy_all`."""
        found = []
        for source, target in pairs:
            try:
                self.put(target, self.get(source))
            except NotFoundError:
                found.append(False)
            else:
                found.append(True)
        return found

    def delete_all(self: Backend, names: Iterable[str]) -> None:
        """Forget names; see `Backend.delete_all`."""
        for name in names:
            self.delete(name)

    def beside(self: Backend, store_id: str) -> Backend:  # noqa: ARG002 - with the store
        """Return this backend; see `Backend.beside`."""
        return self

    def prove(self) -> None:
        """Do nothing: a disk is proved when a run begins; see `Backend.prove`."""
