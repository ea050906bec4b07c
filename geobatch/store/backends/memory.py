"""A backend in memory, lost with the process: for tests and for trying things out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from geobatch.errors import NotFoundError
from geobatch.store.backends.one_by_one import OneByOne
from geobatch.store.backends.protocol import RUNS, Data, State, check_range, parse_name


class MemoryBackend(OneByOne):
    """Names in a dictionary."""

    def __init__(self) -> None:
        self._data: dict[str, bytes] = {}
        self._times: dict[str, int] = {}
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        """That it is in memory."""
        return "memory"

    @property
    def local(self) -> None:
        """Nothing: this is no disk."""
        return

    def get(self, name: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return the bytes of a name; see `Backend.get`."""
        check_range(start, length)
        try:
            data = self._data[parse_name(name)]
        except KeyError:
            raise NotFoundError(f"`{name}` is not in the store") from None
        return data[start:] if length is None else data[start : start + length]

    def put(self, name: str, data: Data) -> bool:
        """Keep bytes under a name for good; see `Backend.put`."""
        kept = bytes(data)
        with self._lock:
            if self._data.get(parse_name(name)) == kept:
                return False
            self._keep(name, kept)
            return True

    def create(self, name: str, data: Data) -> bool:
        """Keep bytes under a free name; see `Backend.create`."""
        kept = bytes(data)
        with self._lock:
            if parse_name(name) in self._data:
                return False
            self._keep(name, kept)
            return True

    def replace(self, name: str, data: Data) -> None:
        """Keep bytes under any name; see `Backend.replace`."""
        kept = bytes(data)
        with self._lock:
            self._keep(parse_name(name), kept)

    def size(self, name: str) -> int | None:
        """Return the length of a name's bytes; see `Backend.size`."""
        found = self.state(name)
        return None if found is None else found.size

    def state(self, name: str) -> State | None:
        """Return the size and age of a name; see `Backend.state`."""
        with self._lock:
            data = self._data.get(parse_name(name))
            return None if data is None else State(len(data), self._times[name])

    def list(self, prefix: str) -> Iterator[str]:
        """Yield names in order; see `Backend.list`."""
        with self._lock:
            names = sorted(name for name in self._data if name.startswith(prefix))
        for name in names:
            if prefix.startswith(RUNS) or not name.startswith(RUNS):
                yield name

    def delete(self, name: str) -> None:
        """Forget a name; see `Backend.delete`."""
        with self._lock:
            self._data.pop(parse_name(name), None)

    def sync(self) -> None:
        """Do nothing: memory is as durable as it gets."""

    def close(self) -> None:
        """Do nothing."""

    def _keep(self, name: str, data: bytes) -> None:
        self._times[name] = time.time_ns()
        self._data[name] = data
