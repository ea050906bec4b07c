"""Requests to an API: retried within bounds, never redirected, and silent about the token."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from msgspec import Struct

from geobatch.errors import PostError
from geobatch.review.visible import visible
from geobatch.versions import VERSION

ATTEMPTS = 4
"""Times that a request is sent."""
_MOST_SECONDS = 30.0
"""Longest wait for an answer, and between two requests."""
_MOST_BYTES = 32_000_000
_BUSY = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which a request is sent again."""


class Answer(Struct, frozen=True, kw_only=True):
    """What a server answered."""

    document: Any
    """Its JSON; None if it is empty."""
    headers: Mapping[str, str]
    """Its headers, with names in lower case."""


class _Direct(HTTPRedirectHandler):
    """Follows no redirect: the token would go to another server."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Return nothing, so that a redirect is an error."""


class Client:
    """An API with a token."""

    def __init__(
        self,
        base: str,
        headers: Mapping[str, str],
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.pause = pause
        """Waits some seconds."""
        self._base = base.rstrip("/")
        self._headers = {
            "User-Agent": f"geobatch/{VERSION}", "Content-Type": "application/json", **headers
        }  # fmt: skip
        self._opener = build_opener(_Direct)

    def get(self, path: str) -> Answer:
        """Return what is at a path of the API.

        Raises:
            PostError: The server refuses, or does not answer after several requests.
        """
        return self._repeated("GET", path, None)

    def change(self, method: str, path: str, document: Mapping[str, str] | None = None) -> Answer:
        """Send a request that has the same effect if it is sent twice; see `get`."""
        return self._repeated(method, path, document)

    def create(self, path: str, document: Mapping[str, str]) -> Answer:
        """Send a request once: sent twice, it would create two things.

        Raises:
            PostError: The server refuses; or, if the error says how long to wait, it is not known
                whether the request had an effect.
        """
        return self._send("POST", path, document)

    def _repeated(self, method: str, path: str, document: Mapping[str, str] | None) -> Answer:
        for attempt in range(1, ATTEMPTS):
            try:
                return self._send(method, path, document)
            except PostError as error:
                self.wait(error, attempt)
        return self._send(method, path, document)

    def wait(self, error: PostError, attempt: int) -> None:
        """Wait before a request is sent again; raise the error if that is of no use."""
        if error.wait is None:
            raise error
        self.pause(min(error.wait * 2 ** (attempt - 1), _MOST_SECONDS))

    def _send(self, method: str, path: str, document: Mapping[str, str] | None) -> Answer:
        data = None if document is None else json.dumps(document).encode()
        request = Request(  # noqa: S310 - http and https only, see `check_url`
            f"{self._base}{path}", data=data, headers=dict(self._headers), method=method
        )
        where = f"{method} {self._base}{path.partition('?')[0]}"
        try:
            with self._opener.open(request, timeout=_MOST_SECONDS) as answer:
                text = answer.read(_MOST_BYTES + 1)
                headers = {name.lower(): value for name, value in answer.headers.items()}
        except HTTPError as error:
            raise _refused(where, error) from None
        except (URLError, OSError, HTTPException) as error:
            reason = visible(str(getattr(error, "reason", error)) or type(error).__name__)
            failure = PostError(f"`{where}` got no answer: {reason}")
            failure.wait = 1.0
            raise failure from None
        if len(text) > _MOST_BYTES:
            raise PostError(f"`{where}` answered more than {_MOST_BYTES:,} bytes")
        try:
            return Answer(document=json.loads(text) if text.strip() else None, headers=headers)
        except ValueError:
            raise PostError(
                f"`{where}` did not answer JSON",
                hint="check the URL of the API in the variables of the pipeline",
            ) from None


def _refused(where: str, error: HTTPError) -> PostError:
    """Return the error of a status; what a server says is shown, the request is not."""
    with error:
        try:
            said = json.loads(error.read(100_000))
            words = said.get("message") or said.get("error") or ""
        except (ValueError, AttributeError, OSError, HTTPException):
            words = ""
    detail = f": {visible(str(words))}" if words else ""
    message = f"`{where}` answered {error.code}{detail}"
    after = error.headers.get("Retry-After", "")
    is_limited = error.code == 403 and bool(after)
    if error.code in _BUSY or is_limited:
        busy = PostError(message, hint="run the command again later")
        busy.wait = float(after) if after.isascii() and after.isdigit() else 1.0
        return busy
    if 300 <= error.code < 400:
        return PostError(
            f"`{where}` redirects elsewhere, expected an answer",
            hint="check the URL of the API in the variables of the pipeline",
        )
    refused = PostError(message, hint=_HINTS.get(error.code))
    refused.status = error.code
    return refused


_HINTS = {
    401: "the token is not valid, or has expired",
    403: "the token may not write comments: GitHub needs `pull-requests: write`, GitLab the scope "
    "`api`",
    404: "check the repository and the number of the pull request; a token without access gets "
    "this answer, too",
}


def check_url(url: str, name: str) -> str:
    """Return the URL of an API.

    Raises:
        ValueError: It is not one of http or https.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not url.isprintable():
        raise ValueError(f"`{name}` is not a URL that starts with `https://`")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"`{name}` holds a name or a password")
    return url
