"""Objects on HTTP servers, read over several connections at a time."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from geobatch.model.sources.pin import Remote
from geobatch.model.sources.servers import Servers
from geobatch.sources.naming import UnnamedError
from geobatch.sources.remote.ranges import RemoteObject
from geobatch.sources.remote.remote_file import RemoteFile

_MOST_IDLE = 64
"""Connections that are kept open by a process while nothing is requested over them."""


class _Idle:
    """Connections that wait for the next request, those used last, whatever object they are of."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: OrderedDict[RemoteObject, HttpFile] = OrderedDict()

    def put(self, file: HttpFile, source: RemoteObject) -> None:
        """Keep a connection; the one that was used longest ago is closed if there are too many."""
        with self._lock:
            self._waiting[source] = file
            oldest = None
            if len(self._waiting) > _MOST_IDLE:
                oldest, _ = self._waiting.popitem(last=False)
        if oldest is not None:
            oldest.close()

    def take(self, file: HttpFile) -> RemoteObject | None:
        """Return a connection of an object, which is no longer kept."""
        with self._lock:
            found = next((one for one, of in self._waiting.items() if of is file), None)
            if found is not None:
                del self._waiting[found]
            return found


_idle = _Idle()


class HttpFile(RemoteFile):
    """An object on an HTTP server; each request in flight has a connection of its own."""

    def __init__(
        self,
        url: str,
        *,
        remote: Remote | None = None,
        servers: Servers | None = None,
        is_header: bool = False,
    ) -> None:
        """Send no request yet; for the arguments see `open_remote`."""
        super().__init__(remote=remote, is_header=is_header)
        self._url, self._servers = url, servers
        self._first = self._connect()

    def close(self) -> None:
        """Close the connections that are idle."""
        self._first.close()
        while (one := _idle.take(self)) is not None:
            one.close()

    def ask(self) -> Remote:
        """Return the state of the first answer; see `RemoteFile.ask`."""
        if self.remote is None:
            self.fetch(0, 1)
        if self.remote is None:
            raise UnnamedError("the object is empty")
        return self.remote

    def settle(self) -> bool:
        """Wait as the state requires; see `RemoteFile.settle`."""
        return self._first.settle()

    def check_pinnable(self) -> None:
        """Check the first answer; see `RemoteFile.check_pinnable`."""
        self._first.check_pinnable()

    def _connect(self) -> RemoteObject:
        return RemoteObject(
            self._url, remote=self.remote, servers=self._servers, is_header=self._is_header
        )

    def _get(self, start: int, stop: int) -> bytes:
        # A header is read by one thread, and its requests share limits.
        if self.remote is None or self._is_header:
            data = self._first.fetch(start, stop)
            self.remote = self._first.remote
            if not self._is_header:
                _idle.put(self, self._first)
            return data
        source = _idle.take(self) or self._connect()
        try:
            data = source.fetch(start, stop)
        except BaseException:
            source.close()
            raise
        _idle.put(self, source)
        return data
