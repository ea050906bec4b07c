"""What is refused before anything is read: other hosts, other origins, other methods, long URLs.

A page of another site must not read a store through the browser of somebody who looks at it: not
by a name that leads to this address (DNS rebinding), and not by requests from another origin.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts that are this computer."""
DATA = ("/tiles/", "/tms/", "/native/", "/zarr/", "/commits/", "/parquet/", "/stac", "/wmts")
"""How the paths begin that maps and readers of other origins may ask for."""
MOST_URL = 4096
"""Characters of a path with its query."""
_METHODS = ("GET", "HEAD", "OPTIONS")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), camera=(), microphone=()",
}


class Guard:
    """Passes on what may be answered, and adds the headers that protect a browser."""

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str], origins: Collection[str] = ()
    ) -> None:
        """Guard an application.

        Args:
            app: The application.
            hosts: Names that requests may ask for; `*` for all.
            origins: Origins besides those of this computer that may read data; `*` for all.
        """
        self._app = app
        self._hosts = {host.strip("[]").lower() for host in hosts}
        self._origins = {origin.rstrip("/").lower() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        host, origin = headers.get("host", ""), headers.get("origin", "")
        is_data = scope["path"].startswith(DATA)
        added = {**_HEADERS, **self._sharing(host, origin, is_data=is_data)}

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message["headers"],
                    *((name.encode(), value.encode()) for name, value in added.items()),
                ]
            await send(message)

        refusal = self._refusal(scope, host, origin, is_data=is_data)
        if refusal is not None:
            await _answer(guarded, *refusal)
        elif scope["method"] == "OPTIONS":
            await _answer(guarded, 204, "")
        else:
            await self._app(scope, receive, guarded)

    def _refusal(
        self, scope: Scope, host: str, origin: str, *, is_data: bool
    ) -> tuple[int, str] | None:
        if "*" not in self._hosts and _name(host) not in self._hosts:
            return 421, f"the host `{host[:100]}` is not served; `--allow-host` adds one"
        if scope["method"] not in _METHODS:
            return 405, "this server only reads: GET, HEAD"
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > MOST_URL:
            return 414, f"the URL is longer than {MOST_URL:,} characters"
        if origin and not self._is_own(host, origin) and not (is_data and self._may_read(origin)):
            return 403, f"the origin `{origin[:100]}` may not read this; `--allow-origin` adds one"
        return None

    def _is_own(self, host: str, origin: str) -> bool:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()

    def _may_read(self, origin: str) -> bool:
        known = "*" in self._origins or origin.lower() in self._origins
        return known or _name(urlsplit(origin).netloc) in LOCAL

    def _sharing(self, host: str, origin: str, *, is_data: bool) -> dict[str, str]:
        """Return what tells a browser whether another origin may read the answer."""
        if not is_data:
            return {"Cross-Origin-Resource-Policy": "same-origin"}
        found = {
            "Cross-Origin-Resource-Policy": "cross-origin" if self._origins else "same-site",
            "Vary": "Origin",
        }
        if origin and (self._is_own(host, origin) or self._may_read(origin)):
            found |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Methods": "GET, HEAD",
                "Access-Control-Allow-Headers": "Range, If-None-Match",
                "Access-Control-Expose-Headers": "ETag, Content-Range, Content-Length, "
                "Accept-Ranges, X-Geobatch-Commit",
                "Access-Control-Max-Age": "600",
            }
        return found


def _name(host: str) -> str:
    """Return the name of a host without its port, and without the brackets of IPv6."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


async def _answer(send: Send, status: int, message: str) -> None:
    body = json.dumps({"error": message}).encode() if message else b""
    headers: Iterable[tuple[bytes, bytes]] = [
        (b"content-length", str(len(body)).encode()),
        *([(b"content-type", b"application/json")] if body else []),
        *([(b"allow", b"GET, HEAD, OPTIONS")] if status in (204, 405) else []),
    ]
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})
