"""Objects on HTTP servers, read by exact byte ranges, always in one state."""

from __future__ import annotations

import http.client
import math
import re
import socket
import ssl
import time
import urllib.parse
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect
from functools import partial
from shlex import quote
from typing import Any, NamedTuple, cast

from geobatch.model.limits import ANSWER_SECONDS, PROBE_SECONDS
from geobatch.model.sources.pin import Remote
from geobatch.model.sources.servers import Servers
from geobatch.model.sources.url import Address, parse_address
from geobatch.sources.naming import LostStateError, UnnamedError
from geobatch.sources.remote.answers import (
    SETTLED_SECONDS,
    Headers,
    check_answer,
    check_pinnable,
    check_size,
    seconds_to_wait,
)
from geobatch.sources.remote.connection import open_connection, timed_response

SLOWEST = 16 << 10
"""Bytes per second that a server must send on average."""

PAUSE = 0.1
"""Seconds before the third request to a busy server; four times as long before the fourth."""

_ATTEMPTS = 4
_REDIRECTS = 5
_BUSY = frozenset({429, 500, 502, 503, 504})
_MOVED = frozenset({301, 302, 303, 307, 308})
_AGENT = "geobatch"
_PIECE = 1 << 20
_SHOWN = 160
_NO_HEADERS = (MissingHeaderBodySeparatorDefect, FirstHeaderLineIsContinuationDefect)
_STRONG_TAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]+"')


class _CutError(http.client.HTTPException):
    """An answer that ends too early."""


class _Answer(NamedTuple):
    """A server's answer; with the requested bytes, if it has the object."""

    status: int
    headers: Headers
    body: bytes = b""
    remote: Remote | None = None


class RemoteObject:
    """An object on a server; not to be shared between threads.

    One connection is kept open. Redirects are followed, and busy servers are asked again.
    """

    def __init__(
        self,
        url: str,
        *,
        remote: Remote | None = None,
        timeout: float | None = None,
        is_header: bool = False,
        servers: Servers | None = None,
    ) -> None:
        """Name an object; no request is sent yet.

        Args:
            url: Where it is, `http://` or `https://`.
            remote: The state in which it must be; None to take the first that is found.
            timeout: Seconds without a byte after which a request fails; for a whole answer, twice
                as many. By default, as the limits say.
            is_header: Whether only a header is read: then all requests share a limit.
            servers: The servers that may be asked; None for all but those that never may.
        """
        self.remote = remote
        """The state of the object."""
        self.bytes_read = 0
        """Bytes of the object that were sent."""
        self._url = self._target = url
        self._timeout = ANSWER_SECONDS.value / 2 if timeout is None else timeout
        self._is_header = is_header
        self._end = time.monotonic() + PROBE_SECONDS.value if is_header else math.inf
        self._servers = servers
        self._connection: http.client.HTTPConnection | None = None
        self._headers: Headers = {}

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __del__(self) -> None:
        self.close()

    def fetch(self, start: int, stop: int) -> bytes:
        """Return the bytes between two offsets, cut at the end of the object.

        Raises:
            UnnamedError: The server cannot be reached, has no such object or serves no ranges, or
                the object is in another state than before.
        """
        if self.remote is not None:
            stop = min(stop, self.remote.size)
            if start >= stop:
                return b""
        check_size(stop - start, before=self.bytes_read if self._is_header else None)
        answer = self._ask(start, stop)
        if answer.remote is None:
            raise self._refused(answer)
        self.remote = self.remote or answer.remote
        self._headers = answer.headers
        self.bytes_read += len(answer.body)
        return answer.body

    def settle(self) -> bool:
        """Wait until the object has not changed for a while, if only its time shows changes.

        Returns:
            Whether that took time; what was read before may be of another state.
        """
        if self.remote is None:
            return False
        pause = seconds_to_wait(self._headers, self.remote)
        # A longer one means that clocks differ, which waiting does not fix.
        if not 0 < pause <= SETTLED_SECONDS:
            return False
        time.sleep(pause)
        return True

    def check_pinnable(self) -> None:
        """Check that the server's answer is enough to notice a later change of the object.

        Raises:
            UnnamedError: It does not.
        """
        if self.remote is not None:
            check_pinnable(self._headers, self.remote)

    def _conditions(self) -> dict[str, str]:
        """Return what makes a server refuse rather than send bytes of another state.

        A weak tag never matches, by RFC 9110; it is compared when the answer is there.
        """
        if self.remote is None:
            return {}
        if _STRONG_TAG.fullmatch(self.remote.etag):
            return {"If-Match": self.remote.etag}
        if self.remote.moment is not None:
            return {"If-Unmodified-Since": self.remote.modified}
        return {}

    def _refused(self, answer: _Answer) -> UnnamedError:
        if self.remote is not None and answer.status in {404, 410, 412, 416}:
            return LostStateError(self.remote.generation)
        what = {
            401: "not allowed", 403: "not allowed", 404: "no such file", 410: "gone",
            416: "the object is empty",
        }  # fmt: skip
        word = what.get(answer.status, "the server refused")
        return UnnamedError(
            f"{word} (HTTP status {answer.status})", hint="check the uri in the spec"
        )

    def _ask(self, start: int, stop: int) -> _Answer:
        answer: _Answer | None = None
        failure: Exception | None = None
        until = time.monotonic() + 2 * self._timeout + (stop - start) / SLOWEST
        until = min(until, self._end)
        for attempt in range(_ATTEMPTS):
            pause = PAUSE * 4 ** (attempt - 1) if attempt > 1 else 0.0
            if attempt and time.monotonic() + pause >= until:
                break
            time.sleep(pause)
            was_led = self._target != self._url
            try:
                answer = self._follow(start, stop, until)
            except ssl.SSLCertVerificationError as error:
                answer, failure = None, error
                break
            except (OSError, http.client.HTTPException, ValueError) as error:
                # A kept connection may have been closed by the server meanwhile.
                answer, failure = None, error
                self._start_over()
                if attempt and not isinstance(error, OSError | _CutError):
                    break
                continue
            except UnnamedError:
                self._start_over()
                raise
            if answer.remote is not None:
                return answer
            self._start_over()
            # The target of an earlier redirect may have been temporary.
            if answer.status not in _BUSY and not was_led:
                return answer
        self._start_over()
        if answer is not None:
            return answer
        raise self._unreachable(failure) from failure

    def _unreachable(self, failure: Exception | None) -> UnnamedError:
        # With an OSError, the server may not even exist; else its answer is not understood.
        what = "cannot be reached" if isinstance(failure, OSError) else "gave no usable answer"
        words = _ascii(str(failure).strip()) or type(failure).__name__
        hint = ANSWER_SECONDS.hint() if isinstance(failure, TimeoutError) else None
        if isinstance(failure, (ConnectionRefusedError, socket.gaierror)):
            hint = f"correct the url, or find out why nothing answers: `curl -I {quote(self._url)}`"
        elif hint and time.monotonic() >= self._end:
            hint = PROBE_SECONDS.hint()
        return UnnamedError(f"{what}: {words}", hint=hint)

    def _start_over(self) -> None:
        """Drop the connection and the target of redirects."""
        self.close()
        self._target = self._url

    def _follow(self, start: int, stop: int, until: float) -> _Answer:
        for _ in range(_REDIRECTS + 1):
            answer = self._once(start, stop, until)
            location = answer.headers.get("location")
            if answer.status not in _MOVED or not location:
                return answer
            self.close()
            was_safe = self._target.lower().startswith("https:")
            try:
                self._target = urllib.parse.urljoin(self._target, location[0].strip())
            except ValueError:
                # The next iteration finds out what it is.
                self._target = location[0]
            if was_safe and self._target.lower().startswith("http:"):
                raise UnnamedError(
                    f"the server redirects from `https://` to"
                    f" {_shown(self._target)}, where anyone could change the bytes",
                    hint="use the URL to which it leads, if you trust that server",
                )
        raise UnnamedError(
            f"more than {_REDIRECTS} redirects, the last to {_shown(self._target)}",
            hint="use the URL to which they lead",
        )

    def _address(self) -> Address:
        try:
            return parse_address(self._target)
        except ValueError as error:
            if self._target == self._url:
                raise UnnamedError(f"is not a valid URL: {error}", joint=" ") from error
            raise UnnamedError(
                f"the server redirects to {_shown(self._target)}, which is not a"
                f" valid URL: {error}",
                hint="use the URL of the file",
            ) from error

    def _once(self, start: int, stop: int, until: float) -> _Answer:
        address = self._address()
        left = max(0.001, until - time.monotonic())
        if self._connection is None:
            self._connection = open_connection(
                address, timeout=min(self._timeout, left), servers=self._servers
            )
        connection = self._connection
        cast("Any", connection).response_class = partial(
            timed_response, silence=self._timeout, until=until
        )
        sent = {
            "User-Agent": _AGENT,
            "Accept-Encoding": "identity",
            "Range": f"bytes={start}-{stop - 1}",
            **self._conditions(),
        }
        connection.request("GET", address.target, headers=sent)
        with connection.getresponse() as answer:
            return self._taken(answer, start, stop)

    def _taken(self, answer: http.client.HTTPResponse, start: int, stop: int) -> _Answer:
        """Return an answer with its body, after checking that it is what was requested."""
        headers = _headers(answer)
        if answer.status not in (200, 206):
            # What follows is a page for people, of any length.
            self.close()
            return _Answer(answer.status, headers)
        body = check_answer(answer.status, headers, start=start, stop=stop, pinned=self.remote)
        if body.length == 0:
            raise UnnamedError("the object is empty")
        data = _read(answer, body.length)
        if len(data) > body.length:
            raise UnnamedError(f"the server sent more than {body.length} bytes")
        # Before Python 3.12, an answer that was read to its end by `read1` is not closed.
        if answer.will_close or not (answer.isclosed() or answer.length == 0):
            self.close()
        wanted = slice(max(0, start - body.start), max(0, stop - body.start))
        return _Answer(answer.status, headers, data[wanted], body.remote)


def _headers(answer: http.client.HTTPResponse) -> Headers:
    """Return the headers of an answer.

    Raises:
        HTTPException: Among them is a line that is none, behind which Python reads no further.
    """
    if any(isinstance(defect, _NO_HEADERS) for defect in answer.headers.defects):
        raise http.client.HTTPException("one line of its headers is not a header")
    found: dict[str, list[str]] = {}
    for name, value in answer.headers.items():
        found.setdefault(name.lower(), []).append(value)
    return found


def _read(answer: http.client.HTTPResponse, length: int) -> bytes:
    """Return the body, or one byte more than expected.

    Raises:
        _CutError: It ends too early.
    """
    pieces: list[bytes] = []
    missing = length
    while missing >= 0:
        # Nothing can follow a body of known length.
        if missing == 0 and answer.length == 0:
            break
        try:
            piece = answer.read1(min(_PIECE, missing + 1))
        except http.client.IncompleteRead as error:
            raise _CutError("its answer ends inside a chunk") from error
        if not piece:
            break
        pieces.append(piece)
        missing -= len(piece)
    if missing > 0:
        words = f"expected {length} bytes, and its answer ends after {length - missing}"
        raise _CutError(words)
    return b"".join(pieces)


def _shown(url: str) -> str:
    return f"`{_ascii(url)}`"


def _ascii(text: str) -> str:
    """Return a server's text, in ASCII and not much longer than a line."""
    start = ascii(text[:_SHOWN])[1:-1]
    return start if len(text) <= _SHOWN else f"{start}..."
