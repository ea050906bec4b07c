"""Tiles of remote COGs that are requested at once: their blocks are fetched together.

A reader of Zarr requests the tiles of a region one by one, some at a time. With a request to the
server for each, a region would cost as many as it has tiles.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from geobatch.model.published import ArrayKey, AssetRecord

_PAUSE = 0.002
"""Seconds in which more requests are awaited after the first."""


class Tile(NamedTuple):
    """A tile of an external image."""

    record: AssetRecord
    """The asset."""
    key: ArrayKey
    """Its array."""
    row: int
    """Row of the tile."""
    col: int
    """Column of the tile."""


Pixels = memoryview | None


class Together:
    """Reads tiles in groups: all that are requested within 2 ms, and then the next.

    The tiles of a group are returned at the same time, so that what the reader requests next is a
    group again.
    """

    def __init__(
        self,
        threads: Executor,
        *,
        begin: Callable[[Sequence[Tile]], None],
        read: Callable[[Tile], Pixels],
    ) -> None:
        """Read nothing yet.

        Args:
            threads: Where both functions are called.
            begin: Starts to fetch what some tiles need.
            read: Returns the pixels of a tile, or raises.
        """
        self._threads, self._begin, self._read = threads, begin, read
        self._waiting: dict[
            asyncio.AbstractEventLoop, list[tuple[Tile, asyncio.Future[Pixels]]]
        ] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def read(self, tile: Tile) -> Pixels:
        """Return the pixels of a tile, or raise what the function does."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(loop, [])
        found: asyncio.Future[Pixels] = loop.create_future()
        waiting.append((tile, found))
        if len(waiting) == 1:
            loop.call_later(_PAUSE, self._start, loop)
        return await found

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._run(loop, self._waiting.pop(loop)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(
        self,
        loop: asyncio.AbstractEventLoop,
        group: Sequence[tuple[Tile, asyncio.Future[Pixels]]],
    ) -> None:
        tiles = [tile for tile, _ in group]
        if len(tiles) > 1:
            await loop.run_in_executor(self._threads, self._begin, tiles)
        reads = (loop.run_in_executor(self._threads, self._read, tile) for tile in tiles)
        results = await asyncio.gather(*reads, return_exceptions=True)
        for (_, found), result in zip(group, results, strict=True):
            if found.done():  # cancelled
                continue
            if isinstance(result, BaseException):
                found.set_exception(result)
            else:
                found.set_result(result)
