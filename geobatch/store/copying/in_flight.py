"""Many requests at the same time, of which only so many bytes are in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_BYTES = 256 << 20
"""Bytes of objects in memory at most, unless one object is larger."""


def in_flight(
    pool: Executor,
    function: Callable[[Item], Result],
    items: Iterable[tuple[Item, int]],
    *,
    most: int,
) -> Iterator[Result]:
    """Yield what a function returns for each item, in the order in which the calls end.

    Args:
        pool: Where it is called.
        function: The function.
        items: Items, each with the bytes that its call has in memory; taken as calls end.
        most: Calls at the same time.
    """
    done: SimpleQueue[tuple[int, Future[Result]]] = SimpleQueue()
    calls = held = 0

    def finished() -> Result:
        nonlocal calls, held
        size, future = done.get()
        calls, held = calls - 1, held - size
        return future.result()

    for item, size in items:
        while calls and (calls >= most or held + size > MOST_BYTES):
            yield finished()
        calls, held = calls + 1, held + size
        pool.submit(function, item).add_done_callback(
            lambda future, size=size: done.put((size, future))  # type: ignore[misc]
        )
    while calls:
        yield finished()
