"""A function of many items, of which several are worked on at a time where calls are requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from geobatch import store
from geobatch.store.backends.protocol import Backend

Item = TypeVar("Item")
Value = TypeVar("Value")


def several(
    backend: Backend,
    function: Callable[[Item], Value],
    items: Iterable[Item],
    *,
    most: int = 64,
) -> Iterator[Value]:
    """Yield what a function returns for each item, in order, or raise what it raises.

    Args:
        backend: What the function reads; if calls are no requests, it is called here.
        function: Called in other threads.
        items: The items; taken as they are needed.
        most: Items that are worked on at a time.
    """
    if not backend.is_remote:
        yield from map(function, items)
        return
    yield from store.in_threads(function, items, most=most)
