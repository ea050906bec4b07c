"""A folder over HTTP with byte ranges and a latency: `range_server.py FOLDER MILLISECONDS`.

It prints its port. `GET /_stats` gives the requests and bytes since the last such request.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FOLDER, LATENCY = Path(sys.argv[1]), float(sys.argv[2]) / 1000
_lock = threading.Lock()
_stats = {"requests": 0, "bytes": 0}


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""

    def do_GET(self) -> None:
        """Send a range of a file."""
        if self.path == "/_stats":
            with _lock:
                body = repr(_stats).encode()
                _stats.update(requests=0, bytes=0)
            self._start(200, len(body))
            self.wfile.write(body)
            return
        time.sleep(LATENCY)
        path = FOLDER / self.path.lstrip("/")
        if not path.is_file():
            self._start(404, 0)
            return
        found = path.stat()
        tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
        if self.headers.get("If-Match", tag) != tag:
            self._start(412, 0)
            return
        first, _, last = self.headers["Range"].removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, found.st_size)
        about = f"bytes {start}-{stop - 1}/{found.st_size}"
        self._start(206, stop - start, {"ETag": tag, "Content-Range": about})
        with path.open("rb") as file, _lock:
            _stats["requests"] += 1
            _stats["bytes"] += stop - start
            descriptor = os.dup(file.fileno())
        try:
            while start < stop:
                start += os.sendfile(self.connection.fileno(), descriptor, start, stop - start)
        finally:
            os.close(descriptor)

    def _start(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.end_headers()


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256
    daemon_threads = True


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
