"""A function of many items, called by threads that send requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Value = TypeVar("Value")


def in_threads(
    function: Callable[[Item], Value], items: Iterable[Item], *, most: int
) -> Iterator[Value]:
    """Yield what a function returns for each item, in order, or raise what it raises.

    Args:
        function: Called in other threads.
        items: The items; taken as they are needed.
        most: Items that are worked on at a time.
    """
    pool = ThreadPoolExecutor(most, thread_name_prefix="geobatch-store")
    waiting: deque[Future[Value]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) == most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
