"""Objects on HTTP servers, read over several connections at a time."""

from __future__ import annotations

from threading import Lock

from geobatch.model.sources.pin import Remote
from geobatch.model.sources.servers import Servers
from geobatch.sources.naming import UnnamedError
from geobatch.sources.remote.ranges import RemoteObject
from geobatch.sources.remote.remote_file import RemoteFile

_CONNECTIONS = 16
"""Connections to one object that are kept open."""


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
        self._idle: list[RemoteObject] = []
        self._taking = Lock()
        self._first = self._connect()

    def close(self) -> None:
        """Close the connections that are idle."""
        with self._taking:
            idle, self._idle = self._idle, []
        for one in (*idle, self._first):
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
            return data
        with self._taking:
            source = self._idle.pop() if self._idle else self._connect()
        try:
            data = source.fetch(start, stop)
        except BaseException:
            source.close()
            raise
        with self._taking:
            is_kept = len(self._idle) < _CONNECTIONS
            if is_kept:
                self._idle.append(source)
        if not is_kept:
            source.close()
        return data
