"""What was decoded or drawn last, up to a number of bytes; threads share it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key; those that were used longest ago are forgotten first."""

    def __init__(self, limit: int) -> None:
        """Hold nothing yet.

        Args:
            limit: Most bytes of all values; a larger one is not kept.
        """
        self._limit = limit
        self._size = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """Return the value of a key; it is made if it is not there, and what that raises is raised.

        Args:
            key: Names the value.
            make: Makes it; two threads may both.
            size: Returns its bytes.
        """
        with self._lock:
            found = self._values.get(key)
            if found is not None:
                self._values.move_to_end(key)
                return found[0]
        value = make()
        self._keep(key, value, size(value))
        return value

    def _keep(self, key: Hashable, value: Value, size: int) -> None:
        with self._lock:
            if key in self._values or size > self._limit:
                return
            self._values[key] = (value, size)
            self._size += size
            while self._size > self._limit:
                self._size -= self._values.popitem(last=False)[1][1]

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return self._size
