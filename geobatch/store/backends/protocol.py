"""The few operations that a store needs to keep bytes under names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from geobatch.errors import StoreError

if TYPE_CHECKING:
    from concurrent.futures import Future

Data: TypeAlias = bytes | bytearray | memoryview
"""Bytes to write: anything flat with a C-contiguous buffer."""

RUNS = "runs/"
"""Names below belong to live runs; `list` skips them unless they are requested."""

_PART = r"(?!\.{1,2}(?:/|\Z))[^/\\\x00-\x1f\x7f]+"
_NAME = re.compile(f"{_PART}(?:/{_PART})*")


class State(NamedTuple):
    """What is known of a name without reading its bytes."""

    size: int
    """How many bytes it has."""
    modified_ns: int
    """When they were written, in nanoseconds of the backend's own clock."""
    links: int = 1
    """How many names on the disk are these bytes: more than 1 if other files are hard links."""


class Backend(Protocol):
    """A flat space of names, each with bytes that appear complete or not at all.

    Names are `/`-separated; no part is empty, `.` or `..`. Every method may be called from any
    thread, and raises `StoreError` where the backend fails or the name is not one.
    """

    @property
    def location(self) -> str:
        """Where the bytes are, for messages: a folder or a URL."""

    @property
    def local(self) -> LocalDisk | None:
        """What only a local disk can do; None elsewhere."""

    @property
    def is_remote(self) -> bool:
        """Whether each call is a request over a network: what need not be called is not."""

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a name, or those of a range.

        Args:
            name: The name.
            start: Offset of the first byte; not negative.
            length: How many bytes; fewer are returned if the bytes end before. None for all that
                follow.

        Raises:
            NotFoundError: There is no such name.
            ValueError: The offset or the length is negative.
        """

    def put(self, name: str, data: Data) -> bool:
        """Keep bytes under a name that never names other bytes; durable after the next `sync`.

        Returns:
            False where the name already names these bytes. One that names other bytes is torn
            or damaged, and is written again.
        """

    def put_soon(self, name: str, data: Data) -> Future[bool]:
        """Begin to `put` bytes that are not changed any more.

        Who reads the name meanwhile waits for it. A failure is raised by the result, and by `sync`.
        """

    def create(self, name: str, data: Data) -> bool:
        """Keep bytes under a name that does not exist yet; durable on return.

        Of any number of racing callers exactly one gets True.
        """

    def replace(self, name: str, data: Data) -> None:
        """Keep bytes under a name that may name other bytes before and after; for caches."""

    def size(self, name: str) -> int | None:
        """Return the number of bytes of a name, or None where there is no such name."""

    def state(self, name: str) -> State | None:
        """Return the size and age of a name, or None where there is no such name."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the names that start with a prefix, in the order of their code points."""

    def delete(self, name: str) -> None:
        """Forget a name; no error where there is none."""

    def get_all(self, names: Sequence[str]) -> Iterator[bytes | StoreError]:
        """Yield the bytes of each name, in order, or why not; several are read at a time."""

    def states(self, names: Sequence[str]) -> Iterator[State | None]:
        """Yield the `state` of each name, in order; several are requested at a time."""

    def scan(self, prefix: str) -> Iterator[tuple[str, State]]:
        """Yield the names that `list` yields, each with its state."""

    def copy_all(self, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        """Copy names to others, which the next `sync` makes durable.

        Args:
            pairs: (source, target) names; a target names the bytes of its source or none.

        Returns:
            Of each pair, whether there is such a source.
        """

    def delete_all(self, names: Iterable[str]) -> None:
        """Forget several names, as `delete` does."""

    def sync(self) -> None:
        """Return when everything that was put before is durable."""

    def beside(self, store_id: str) -> Backend:
        """Return where the caches of a store are kept: here, or on a disk of this computer.

        Args:
            store_id: Id of the store, of which these are the bytes.
        """

    def prove(self) -> None:
        """Refuse a service that does not keep what a store relies on; asked before writing.

        Raises:
            StoreError: It does not.
        """

    def close(self) -> None:
        """Release what the backend holds; it must not be used afterwards."""


class LocalDisk(Backend, Protocol):
    """What a backend can do only on a local disk: paths, the files of a run, a sync that failed."""

    @property
    def root(self) -> Path:
        """The folder that all names are files in; they can be linked to."""

    def path(self, name: str) -> Path:
        """Return the file of a name, whether it exists or not."""

    def get_cached(self, name: str) -> Data | None:
        """Return the bytes of a name, or None if they cannot be had without a wait for the disk."""

    def scratch(self, name: str) -> Path:
        """Return a path in the folder of this run, which is removed when the run ends."""

    def leave(self) -> None:
        """End the run, and leave to the next one what was made ahead."""

    def share(self) -> tuple[LocalDisk, int]:
        """Return what another process works with on behalf of this run, and a descriptor.

        The first pickles; its files are made in the folder of this run. The process must hold the
        descriptor: the folder is not removed before.
        """

    def sync_share(self) -> None:
        """Make durable, in such a process, what the sync of this one would not know of."""

    @property
    def is_unsynced(self) -> bool:
        """Whether something that was put may be lost, since a sync failed."""

    def settle(self, names: Iterable[str]) -> None:
        """Write names again that a failed sync may have lost, and make them durable.

        The system may have dropped their bytes from what it is to write, although it still shows
        them to readers. Each is there whole all the time, with its time of modification.

        Args:
            names: Those that were put since the last sync that did not fail.

        Raises:
            StoreError: The disk still fails.
        """


def check_range(start: int, length: int | None) -> None:
    """Refuse a range that cannot be.

    Raises:
        ValueError: The offset or the length is negative.
    """
    if start < 0 or (length is not None and length < 0):
        raise ValueError(f"a range of {length} bytes from offset {start}")


def parse_name(name: str) -> str:
    """Return a name if it is one.

    Raises:
        StoreError: It has an empty, `.` or `..` part, a control character or a backslash.
    """
    if _NAME.fullmatch(name) is None:
        raise StoreError(
            f"`{name}` is not a valid name in a store",
            hint="a name is parts separated by `/`; no part is empty, `.` or `..`",
        )
    return name
