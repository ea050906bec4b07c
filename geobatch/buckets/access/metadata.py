"""Questions to the metadata services of cloud machines: answered at once, or there is none."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Mapping
from urllib.parse import urlsplit

PATIENCE = 1.5
"""Seconds to wait for a service that answers within milliseconds where it exists."""
_MOST = 4096


def ask(endpoint: str, path: str, *, headers: Mapping[str, str], method: str = "GET") -> str | None:
    """Return the body of an answer with status 200, or None. Never by a proxy.

    Args:
        endpoint: Such as `http://169.254.169.254`.
        path: What is asked for.
        headers: Headers that the service demands.
        method: `GET` or `PUT`.
    """
    parts = urlsplit(endpoint)
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port or 80, timeout=PATIENCE
        )
        with contextlib.closing(connection):
            connection.request(method, path, headers=dict(headers))
            answer = connection.getresponse()
            body = answer.read(_MOST).decode("utf-8", "replace")
            return body if answer.status == 200 else None
    return None
