"""A backend that fails at a chosen operation, and loses what was not durable then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TypeVar

from geobatch.errors import NotFoundError
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.one_by_one import OneByOne
from geobatch.store.backends.protocol import Data, State

Result = TypeVar("Result")


class KilledError(BaseException):
    """The process was killed; no handler may go on as if it were alive."""


class Fate(StrEnum):
    """What a power loss makes of bytes that were put and not synced."""

    KEPT = "kept"
    LOST = "lost"
    TORN = "torn"
    """The name is there, the bytes are not."""


class CrashBackend(OneByOne):
    """A disk with a write cache, in memory.

    `put` and `replace` go to the cache, `sync` empties it onto the disk, `create` and `delete` are
    durable at once.
    """

    def __init__(
        self,
        *,
        disk: MemoryBackend | None = None,
        crash_at: int | None = None,
        is_done: bool = False,
    ) -> None:
        """Make a disk that fails.

        Args:
            disk: What is durable already.
            crash_at: The writing operation, from 0, at which the process is killed; None for never.
            is_done: Whether that operation takes effect although its caller never learns of it.
        """
        self.disk = disk or MemoryBackend()
        self.operations = 0
        self._cache = MemoryBackend()
        self._crash_at = crash_at
        self._is_done = is_done
        self._is_dead = False
        self._lock = threading.Lock()

    def reboot(self, fate: Callable[[str], Fate] = lambda _: Fate.KEPT) -> MemoryBackend:
        """Return what is on the disk when the power is back, by the fate of each unsynced name."""
        for name in self._cache.list(""):
            match fate(name):
                case Fate.KEPT:
                    self.disk.replace(name, self._cache.get(name))
                case Fate.TORN:
                    self.disk.replace(name, b"")
                case Fate.LOST:
                    pass
        return self.disk

    @property
    def location(self) -> str:
        """That it is in memory."""
        return self.disk.location

    @property
    def local(self) -> None:
        """Nothing: the disk is in memory."""
        return

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a name; see `Backend.get`."""
        self._check_alive()
        try:
            return self._cache.get(name, start=start, length=length)
        except NotFoundError:
            return self.disk.get(name, start=start, length=length)

    def _cache_holds(self, name: str, data: Data) -> bool:
        return self.size(name) == len(data) and self.get(name) == data

    def put(self, name: str, data: Data) -> bool:
        """Keep bytes in the cache; see `Backend.put`."""

        def do() -> bool:
            if self._cache_holds(name, data):
                return False
            self._cache.replace(name, data)
            return True

        return self._operation(do)

    def create(self, name: str, data: Data) -> bool:
        """Keep bytes on the disk; see `Backend.create`."""
        return self._operation(lambda: self.disk.create(name, data))

    def replace(self, name: str, data: Data) -> None:
        """Keep bytes in the cache; see `Backend.replace`."""
        self._operation(lambda: self._cache.replace(name, data))

    def size(self, name: str) -> int | None:
        """Return the length of a name's bytes; see `Backend.size`."""
        self._check_alive()
        cached = self._cache.size(name)
        return self.disk.size(name) if cached is None else cached

    def state(self, name: str) -> State | None:
        """Return the size and age of a name; see `Backend.state`."""
        self._check_alive()
        return self._cache.state(name) or self.disk.state(name)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield names in order; see `Backend.list`."""
        self._check_alive()
        yield from sorted({*self._cache.list(prefix), *self.disk.list(prefix)})

    def delete(self, name: str) -> None:
        """Forget a name; see `Backend.delete`."""

        def do() -> None:
            self._cache.delete(name)
            self.disk.delete(name)

        self._operation(do)

    def sync(self) -> None:
        """Empty the cache onto the disk; see `Backend.sync`."""

        def do() -> None:
            self.reboot()
            self._cache = MemoryBackend()

        self._operation(do)

    def close(self) -> None:
        """Do nothing."""

    def _check_alive(self) -> None:
        if self._is_dead:
            raise KilledError

    def _operation(self, do: Callable[[], Result]) -> Result:
        with self._lock:
            self._check_alive()
            is_last = self.operations == self._crash_at
            self.operations += 1
            if is_last and not self._is_done:
                self._is_dead = True
                raise KilledError
            result = do()
            if is_last:
                self._is_dead = True
                raise KilledError
            return result
