"""Files read by several threads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeVar

Found = TypeVar("Found")

Meanwhile = Callable[[], object]
"""What a thread may do while others work."""


def nothing() -> None:
    """Do nothing."""


def on_threads(
    function: Callable[..., Found],
    *arguments: Collection[Any],
    workers: int,
    name: str,
    meanwhile: Meanwhile = nothing,
) -> Iterator[Found]:
    """Yield what a function returns, in the order of its arguments.

    Args:
        function: Is called once per item of the collections.
        *arguments: Its arguments, a collection for each of them, all of one length.
        workers: How many threads call it.
        name: Of the threads.
        meanwhile: Is called once by this thread while they work, if there is anything to do.

    Raises:
        Exception: What the function raises, instead of the value for these arguments.
    """
    if not arguments[0]:
        return
    # Only now the threads are loaded, too: if no file changed, there is nothing to do.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to import

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix=name) as pool:
        found = pool.map(function, *arguments)
        try:
            meanwhile()
        except BaseException:
            # Drop those that wait: `map` does that only when its results are read.
            pool.shutdown(cancel_futures=True)
            raise
        yield from found
