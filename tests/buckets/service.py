"""A server on this machine that answers as services of clouds do, and keeps what it was asked."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    path: str
    """With the query."""
    headers: Mapping[str, str]
    """By their names in lowercase."""
    body: bytes

    @property
    def authorization(self) -> str:
        return self.headers.get("authorization", "")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer; a HEAD brings no body, as everywhere."""

    status: int = 200
    body: bytes = b"hello"
    headers: Mapping[str, str] = field(default_factory=dict)


OBJECT = Answer(
    headers={"ETag": '"a"', "Last-Modified": "Sat, 01 Jan 2000 00:00:00 GMT"},
)


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """A certificate of 127.0.0.1, and the authority that no system trusts."""

    authority: trustme.CA
    path: Path
    """The authority's certificate in PEM."""

    def context(self, name: str = "127.0.0.1") -> ssl.SSLContext:
        """Return what a server needs that has a name."""
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(found)
        return found


Reply = Callable[[Asked], Answer]


@dataclass(kw_only=True)
class Service:
    """What a test sees of the server."""

    url: str
    reply: Reply
    asked: list[Asked] = field(default_factory=list)

    @property
    def host(self) -> str:
        """Name and port."""
        return self.url.partition("://")[2]

    def paths(self) -> list[str]:
        """Return what was asked for, without queries."""
        return [one.path.partition("?")[0] for one in self.asked]


@contextlib.contextmanager
def serving(reply: Reply, *, context: ssl.SSLContext | None = None) -> Iterator[Service]:
    """Serve answers, on threads, as long as the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            asked = Asked(
                method=self.command,
                path=self.path,
                headers={name.lower(): text for name, text in self.headers.items()},
                body=self.rfile.read(length),
            )
            service.asked.append(asked)
            answer = service.reply(asked)
            body = answer.body
            if answer.status == 200 and (text := asked.headers.get("range")):
                first, _, last = text.removeprefix("bytes=").partition("-")
                part = body[int(first) : int(last) + 1]
                self.send_response(206)
                said = f"bytes {first}-{int(first) + len(part) - 1}/{len(body)}"
                self.send_header("Content-Range", said)
                body = part
            else:
                self.send_response(answer.status)
            for name, text in answer.headers.items():
                self.send_header(name, text)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "CONNECT"):
        setattr(Handler, f"do_{method}", Handler.answer)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing: a client that trusts no certificate ends connections early."""

    server = Server(("127.0.0.1", 0), Handler)
    scheme = "http"
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    service = Service(url=f"{scheme}://127.0.0.1:{server.server_port}", reply=reply)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
