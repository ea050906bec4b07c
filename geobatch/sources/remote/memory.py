"""Fetched parts of objects, those last used, up to a number of bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock

from geobatch.sources.remote.remote_file import RemoteFile, Request

MEMORY_BYTES = 128 << 20
"""Bytes that are kept."""
AHEAD_BYTES = 64 << 20
"""Bytes of these that may be fetched before anything needs them."""

Extent = tuple[int, int]
"""First byte of a block in its object, and its length."""


class Memory:
    """Parts of objects, by their position; threads share it.

    A part that is dropped lives as long as somebody has its request.
    """

    def __init__(self, *, limit: int = MEMORY_BYTES, ahead: int = AHEAD_BYTES) -> None:
        """Keep nothing yet."""
        self._limit, self._most_ahead = limit, ahead
        self._lock = Lock()
        self._order: OrderedDict[Request, list[tuple[RemoteFile, int]]] = OrderedDict()
        self._requests: dict[tuple[RemoteFile, int], Request] = {}
        self._size = 0
        self._unread: set[Request] = set()

    def get(self, file: RemoteFile, extents: Sequence[Extent]) -> list[Request]:
        """Return the request that has each of some blocks; what is missing is being fetched.

        Args:
            file: The object, of known state.
            extents: Blocks that are not empty.
        """
        with self._lock:
            found = self._found(file, extents)
            self._unread.difference_update(found)
            self._drop(keep=set(found))
        return found

    def begin(self, file: RemoteFile, extents: Sequence[Extent]) -> None:
        """Start to fetch blocks that will be needed soon, unless too much waits already."""
        with self._lock:
            waiting = sum(one.stop - one.start for one in self._unread)
            missing = [one for one in extents if self._kept(file, one) is None]
            if not missing or waiting + sum(size for _, size in missing) > self._most_ahead:
                return
            found = set(self._found(file, missing))
            self._unread |= found
            self._drop(keep=found)

    def put(self, file: RemoteFile, start: int, data: bytes) -> None:
        """Keep a block that was fetched for another purpose."""
        future: Future[bytes] = Future()
        future.set_result(data)
        made = Request(start=start, stop=start + len(data), data=future)
        with self._lock:
            self._add(made, [(file, start)])
            self._drop(keep={made})

    def cancel(self) -> None:
        """Drop all; requests that were not sent are cancelled, and raise `CancelledError`."""
        with self._lock:
            for request in list(self._order):
                self._remove(request)
                request.data.cancel()

    def forget(self, request: Request) -> None:
        """Drop a request that failed, so that the next one asks again."""
        with self._lock:
            if request in self._order:
                self._remove(request)

    def _kept(self, file: RemoteFile, extent: Extent) -> Request | None:
        found = self._requests.get((file, extent[0]))
        return found if found is not None and sum(extent) <= found.stop else None

    def _found(self, file: RemoteFile, extents: Sequence[Extent]) -> list[Request]:
        known = [self._kept(file, extent) for extent in extents]
        missing = [extent for extent, one in zip(extents, known, strict=True) if one is None]
        made = file.submit([(start, start + size) for start, size in missing])
        stops = [one.stop for one in made]
        keys: list[list[tuple[RemoteFile, int]]] = [[] for _ in made]
        found: list[Request] = []
        for (start, size), one in zip(extents, known, strict=True):
            if one is None:
                number = bisect_left(stops, start + size)
                keys[number].append((file, start))
                found.append(made[number])
            else:
                self._order.move_to_end(one)
                found.append(one)
        for request, names in zip(made, keys, strict=True):
            self._add(request, names)
        return found

    def _add(self, request: Request, names: list[tuple[RemoteFile, int]]) -> None:
        self._order[request] = names
        self._size += request.stop - request.start
        for name in names:
            self._requests[name] = request

    def _drop(self, *, keep: set[Request]) -> None:
        while self._size > self._limit:
            oldest = next(iter(self._order))
            if oldest in keep:  # so are all others
                return
            self._remove(oldest)

    def _remove(self, request: Request) -> None:
        self._size -= request.stop - request.start
        self._unread.discard(request)
        for name in self._order.pop(request):
            if self._requests.get(name) is request:
                del self._requests[name]
