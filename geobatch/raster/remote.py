"""Objects on HTTP servers, read by exact byte ranges and never in two states."""

from __future__ import annotations

import http.client
import io
import ssl
import time
import urllib.parse
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

from geobatch.errors import SourceError
from geobatch.model.pin import Remote

TIMEOUT = 60
"""Seconds without a byte after which a server is given up."""
GAP_BYTES = 1 << 20
"""How far behind what is known of a header more of it may be."""
START_BYTES = 16 << 10
"""What is read of an object to see what it is; most headers are shorter."""

_ATTEMPTS = 4
_REDIRECTS = 5
_BUSY = frozenset({429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_AGENT = "geobatch"


def failed(uri: str, generation: str, *, hint: str | None = None) -> SourceError:
    """Return the error for a COG that is not in the state that was pinned, in the words of EE."""
    return SourceError(
        f"Failed to load the GeoTIFF at `{uri}#{generation}`",
        hint=hint
        or "it changed since it was applied, or is gone: `geobatch plan` tells, `apply`"
        " pins it anew",
    )


class _Answer(NamedTuple):
    """A server's answer, read whole."""

    status: int
    headers: Message
    body: bytes


class RemoteObject:
    """An object on a server; not to be shared between threads.

    One connection is kept open. Redirects are followed, and what is busy is asked again.
    """

    def __init__(self, url: str, *, uri: str, remote: Remote | None = None) -> None:
        """Name an object; nothing is asked for yet.

        Args:
            url: Where it is, `http://` or `https://`.
            uri: What messages call it.
            remote: The state in which it must be; None to take the first that is found.
        """
        self.uri = uri
        self.remote = remote
        """The state of the object."""
        self.bytes_read = 0
        """Bytes of the object that were sent."""
        self._url = self._target = url
        self._connection: http.client.HTTPConnection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def fetch(self, start: int, stop: int) -> bytes:
        """Return the bytes from one place to before another, cut at the end of the object.

        Raises:
            SourceError: The server cannot be reached, has no such object or serves no ranges, or
                the object is in another state than before.
        """
        if self.remote is not None:
            stop = min(stop, self.remote.size)
            if start >= stop:
                return b""
        answer = self._ask({"Range": f"bytes={start}-{stop - 1}", **self._conditions()})
        if answer.status != 206:
            raise self._refused(answer)
        found = _remote(answer.headers)
        if found is None:
            raise SourceError(f"`{self.uri}`: the server does not say which bytes it sent")
        if self.remote is None:
            self.remote = found
        elif not self.remote.is_same(found):
            raise failed(self.uri, self.remote.generation)
        if len(answer.body) != min(stop, found.size) - start:
            raise SourceError(
                f"`{self.uri}`: expected {min(stop, found.size) - start} bytes at {start}, got"
                f" {len(answer.body)}"
            )
        self.bytes_read += len(answer.body)
        return answer.body

    def _conditions(self) -> dict[str, str]:
        """Return what makes a server refuse rather than send bytes of another state."""
        if self.remote is None:
            return {}
        if self.remote.etag and not self.remote.etag.startswith("W/"):
            return {"If-Match": self.remote.etag}
        return {"If-Unmodified-Since": self.remote.modified} if self.remote.modified else {}

    def _refused(self, answer: _Answer) -> SourceError:
        if self.remote is not None and answer.status in {404, 410, 412, 416}:
            return failed(self.uri, self.remote.generation)
        if answer.status == 200:
            return SourceError(
                f"`{self.uri}`: the server sends whole files only, expected byte ranges",
                hint="use a server that answers `Range`, or download the file",
            )
        what = {401: "not allowed", 403: "not allowed", 404: "no such file", 410: "gone"}
        word = what.get(answer.status, "the server refuses")
        return SourceError(
            f"`{self.uri}`: {word} (HTTP status {answer.status})", hint="check the uri in the spec"
        )

    def _ask(self, headers: Mapping[str, str]) -> _Answer:
        failure: Exception | None = None
        for attempt in range(_ATTEMPTS):
            if attempt > 1:
                time.sleep(0.1 * 4 ** (attempt - 1))
            try:
                answer = self._follow(headers)
            except ssl.SSLError as error:
                failure = error
                break
            except (OSError, http.client.HTTPException) as error:
                # A kept connection may have been closed by the server meanwhile.
                failure = error
                self.close()
                continue
            if answer.status not in _BUSY or attempt == _ATTEMPTS - 1:
                return answer
        self.close()
        raise SourceError(f"`{self.uri}`: cannot be reached: {failure}") from failure

    def _follow(self, headers: Mapping[str, str]) -> _Answer:
        for _ in range(_REDIRECTS):
            answer = self._once(headers)
            location = answer.headers.get("Location")
            if answer.status not in _MOVED or location is None:
                return answer
            self.close()
            self._target = urllib.parse.urljoin(self._target, location)
        self._target = self._url
        raise SourceError(f"`{self.uri}`: more than {_REDIRECTS} redirects")

    def _once(self, headers: Mapping[str, str]) -> _Answer:
        parts = urllib.parse.urlsplit(self._target)
        if self._connection is None:
            kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
            if parts.scheme not in kinds or not parts.hostname:
                raise SourceError(f"`{self.uri}`: `{self._target}` is no address of a server")
            self._connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=TIMEOUT)
        path = urllib.parse.quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
        query = f"?{parts.query}" if parts.query else ""
        sent = {"User-Agent": _AGENT, "Accept-Encoding": "identity", **headers}
        self._connection.request("GET", path + query, headers=sent)
        answer = self._connection.getresponse()
        if answer.status == 200:
            # The whole object follows, however large: it is not read.
            self.close()
            return _Answer(answer.status, answer.headers, b"")
        body = answer.read()
        if answer.will_close:
            self.close()
        return _Answer(answer.status, answer.headers, body)


def _remote(headers: Message) -> Remote | None:
    """Return the state of an object from the headers of a part of it."""
    size = headers.get("Content-Range", "").rpartition("/")[2]
    if not size.isdigit():
        return None
    return Remote(
        size=int(size),
        version=headers.get("x-goog-generation") or headers.get("x-amz-version-id") or "",
        etag=headers.get("ETag") or "",
        modified=headers.get("Last-Modified") or "",
    )


class RangeFile(io.RawIOBase):
    """A remote object as a file: what is asked for is fetched, and not a byte more."""

    def __init__(self, source: RemoteObject, *, start: bytes, failures: list[SourceError]) -> None:
        """Make a file of an object whose state is known.

        Args:
            source: The object.
            start: Its first bytes, as far as they are there already.
            failures: Told what went wrong; the file then seems to end there.
        """
        super().__init__()
        self._source = source
        self.start = start
        """The first bytes of the object."""
        self._place = 0
        self._failures = failures

    def close(self) -> None:
        """Close the connection, until somebody asks for more."""
        self._source.close()
        super().close()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        size = 0 if self._source.remote is None else self._source.remote.size
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes, all of them unless the object ends."""
        length = 0 if self._source.remote is None else self._source.remote.size
        stop = length if size is None or size < 0 else min(self._place + size, length)
        if stop <= self._place:
            return b""
        try:
            data = self._bytes(self._place, stop)
        except SourceError as error:
            # What is raised here, GDAL would print: a file that ends too soon, it reports.
            self._failures.append(error)
            return b""
        self._place = stop
        return data

    def _bytes(self, place: int, stop: int) -> bytes:
        data = self.start[place:stop]
        missing = place + len(data)
        return data if missing == stop else data + self._source.fetch(missing, stop)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes."""
        view: Any = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class StartFile(RangeFile):
    """A remote object whose header is read: what lies before it is kept, and grows by what is read.

    The directories of a COG stand at its beginning, one after another. Of a file that has one
    elsewhere, no more is fetched than that.
    """

    def _bytes(self, place: int, stop: int) -> bytes:
        if stop > len(self.start) and place <= len(self.start) + GAP_BYTES:
            wanted = max(stop, len(self.start) + START_BYTES)
            self.start += self._source.fetch(len(self.start), wanted)
        return super()._bytes(place, stop)
