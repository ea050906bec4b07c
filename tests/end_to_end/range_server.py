"""A server on this machine that gives files by byte ranges, counts bytes, and stops by itself."""

from __future__ import annotations

import contextlib
import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path


@dataclass(kw_only=True)
class Served:
    """What a server gives, and what it was asked for."""

    folder: Path
    """Files are named by their path below it."""
    url: str = ""
    """Address of the folder, with a slash behind."""
    requests: list[tuple[str, int]] = field(default_factory=list)
    """(path, bytes sent) per answer."""
    headers: dict[str, str] = field(default_factory=dict)
    """More headers of each answer."""
    has_ranges: bool = True
    """Whether ranges are honoured."""
    has_tags: bool = True
    """Whether entity tags are sent."""
    has_times: bool = True
    """Whether times of modification are sent."""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers, in the place of what they would be."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path to the path that the client is sent to."""
    delay: float = 0
    """Seconds before each answer."""
    generation: int = 1
    """Stands in the entity tag."""

    @property
    def sent(self) -> int:
        """Bytes of files that were sent."""
        return sum(count for _, count in self.requests)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve a folder, on threads, as long as the context lasts."""
    served = Served(folder=folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be quiet."""

        def do_GET(self) -> None:
            _answer(self, served)

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Handler)
    server.block_on_close = False
    served.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def _answer(handler: http.server.BaseHTTPRequestHandler, served: Served) -> None:
    time.sleep(served.delay)
    path = handler.path.lstrip("/").partition("?")[0]
    file = served.folder / path
    tag = f'"{path}-{served.generation}"'
    status, body, headers = 404, b"", dict(served.headers)
    wanted = handler.headers.get("If-Match")
    if served.statuses:
        status = served.statuses.pop(0)
    elif path in served.redirects:
        status, headers["Location"] = 302, served.redirects[path]
    elif file.is_file() and served.has_tags and wanted not in (None, tag):
        status = 412
    elif file.is_file():
        stat = file.stat()
        if served.has_times:
            headers["Last-Modified"] = formatdate(stat.st_mtime, usegmt=True)
        if served.has_tags:
            headers["ETag"] = tag
        text = handler.headers.get("Range", "").removeprefix("bytes=")
        if text and served.has_ranges:
            first, last = map(int, text.split("-"))
            last = min(last, stat.st_size - 1)
            with file.open("rb") as stream:
                stream.seek(first)
                body = stream.read(last - first + 1)
            status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{stat.st_size}"
        else:
            status, body = 200, file.read_bytes()
    served.requests.append((path, len(body)))
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    with contextlib.suppress(ConnectionError):
        handler.wfile.write(body)
