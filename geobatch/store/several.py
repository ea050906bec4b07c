"""A function of many items, of which several are worked on at a time where calls are requests."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

from geobatch.store.backends.protocol import Backend

if TYPE_CHECKING:
    from concurrent.futures import Future

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
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to import

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
