"""A server on this machine that gives one object, and says what a test makes it say."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

EARLIER = "Fri, 31 Dec 1999 23:00:00 GMT"
OLD = "Sat, 01 Jan 2000 00:00:00 GMT"
NEWER = "Sat, 01 Jan 2000 00:00:01 GMT"


@dataclass(kw_only=True)
class Answer:
    """What is sent; right at first, until a test changes it."""

    first: int
    """First byte that was asked for."""
    last: int
    """Last byte that is there of those that were asked for."""
    data: bytes
    """The object."""
    status: int
    headers: dict[str, list[str]]
    """Sent in this order, each value on a line of its own."""
    body: bytes
    line: str = ""
    """Status line; empty for that of the status."""
    is_last: bool = False
    """Whether the connection is closed behind it."""

    def put(self, **headers: str | list[str] | None) -> None:
        """Replace headers, or leave them away; `_` in a name is `-`."""
        for name, value in headers.items():
            self.headers.pop(key := name.replace("_", "-"), None)
            if value is not None:
                self.headers[key] = [value] if isinstance(value, str) else value

    def send_whole(self) -> None:
        """Send the whole object, as a server without ranges does."""
        self.status, self.body = 200, self.data
        self.put(Content_Range=None, Content_Length=str(len(self.data)))


Change = Callable[[Answer], None]


def right(answer: Answer) -> None:
    """Change nothing."""


@dataclass(kw_only=True)
class OddServer:
    """What a server gives, and what it was asked for."""

    data: bytes
    """The object, whatever the path."""
    change: Change = right
    """What makes answers odd."""
    url: str = ""
    """Address of the object."""
    asked: list[dict[str, str]] = field(default_factory=list)
    """Headers of each request by their names in lowercase; `path` besides."""


@contextlib.contextmanager
def odd_server(data: bytes) -> Iterator[OddServer]:
    """Serve an object, on threads, as long as the context lasts."""
    served = OddServer(data=data)

    class Handler(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while _answer(self, served):
                    pass

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False

    server = Server(("127.0.0.1", 0), Handler)
    served.url = f"http://127.0.0.1:{server.server_address[1]}/cog.tif"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _answer(handler: socketserver.StreamRequestHandler, served: OddServer) -> bool:
    """Answer one request; tell whether another may follow."""
    words = handler.rfile.readline().decode("latin-1").split()
    if not words:
        return False
    asked = {"path": words[1]}
    while line := handler.rfile.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        asked[name.lower()] = value.strip()
    served.asked.append(asked)
    first, last = map(int, asked["range"].removeprefix("bytes=").split("-"))
    last = min(last, len(served.data) - 1)
    body = served.data[first : last + 1]
    answer = Answer(
        first=first, last=last, data=served.data, status=206, body=body,
        headers={
            "ETag": ['"one"'], "Last-Modified": [OLD], "Date": ["Sun, 02 Jan 2000 00:00:00 GMT"],
            "Content-Range": [f"bytes {first}-{last}/{len(served.data)}"],
            "Content-Length": [str(len(body))],
        },
    )  # fmt: skip
    served.change(answer)
    lines = [answer.line or f"HTTP/1.1 {answer.status} Odd"]
    lines += [f"{name}: {value}" for name, values in answer.headers.items() for value in values]
    handler.wfile.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
    return not answer.is_last
