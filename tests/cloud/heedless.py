"""A server of object storage that ignores conditions, as some do: who creates always wins."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape


@contextlib.contextmanager
def serving_heedlessly() -> Iterator[int]:
    """Run the server as long as the context lasts, and return its port of 127.0.0.1.

    It speaks as much of the dialects of S3, Google Cloud Storage and Azure as it takes to put, get,
    list and delete; every bucket is there, every key is good, and no condition is heeded.
    """

    class Handler(_Handler):
        objects: ClassVar[dict[str, bytes]] = {}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(20)


class _Handler(BaseHTTPRequestHandler):
    objects: ClassVar[dict[str, bytes]]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 20

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.objects[self._path()] = body
        self._answer(201 if "x-ms-blob-type" in self.headers else 200, tag=_tag(body))

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query or "comp" in query:
            return self._list(query.get("prefix", [""])[0], is_azure="comp" in query)
        body = self.objects.get(self._path())
        if body is None:
            return self._answer(404)
        span = self.headers.get("Range")
        if span is None:
            return self._answer(200, body, tag=_tag(body))
        first, _, last = span.removeprefix("bytes=").partition("-")
        start = int(first or 0)
        part = body[start : int(last) + 1 if last else None]
        where = f"bytes {start}-{start + len(part) - 1}/{len(body)}"
        return self._answer(206, part, tag=_tag(body), span=where)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.objects.pop(self._path(), None)
        self._answer(202 if "x-ms-version" in self.headers else 204)

    def do_POST(self) -> None:
        """Delete in bulk, as S3 and Azure do."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        query = urlsplit(self.path).query
        if "comp=batch" in query:
            return self._delete_parts(body.decode())
        if "delete" not in query:
            return self._answer(501)
        gone = [one.text or "" for one in ET.fromstring(body).iter() if one.tag.endswith("Key")]
        for name in gone:
            self.objects.pop(f"{self._path().rstrip('/')}/{name}", None)
        text = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in gone)
        return self._answer(200, f"<DeleteResult>{text}</DeleteResult>".encode())

    def _delete_parts(self, body: str) -> None:
        gone = [line.split(" ")[1] for line in body.split("\r\n") if line.startswith("DELETE ")]
        for target in gone:
            self.objects.pop(unquote(target), None)
        parts = "".join(
            "--edge\r\nContent-Type: application/http\r\n"
            f"Content-ID: {number}\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n\r\n"
            for number in range(len(gone))
        )
        self._answer(202, f"{parts}--edge--\r\n".encode(), kind="multipart/mixed; boundary=edge")

    def _path(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _list(self, prefix: str, *, is_azure: bool) -> None:
        root = f"{self._path().rstrip('/')}/"
        found = sorted(
            (name.removeprefix(root), body)
            for name, body in list(self.objects.items())
            if name.startswith(root + prefix)
        )
        now = formatdate(usegmt=True)
        if is_azure:
            blobs = "".join(
                f"<Blob><Name>{escape(name)}</Name><Properties><Last-Modified>{now}</Last-Modified>"
                f"<Content-Length>{len(body)}</Content-Length><Etag>{escape(_tag(body))}</Etag>"
                "<Content-Type>application/octet-stream</Content-Type>"
                "<BlobType>BlockBlob</BlobType></Properties></Blob>"
                for name, body in found
            )
            text = f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>"
        else:
            text = "".join(
                f"<Contents><Key>{escape(name)}</Key><Size>{len(body)}</Size>"
                f"<LastModified>2026-01-01T00:00:00Z</LastModified>"
                f"<ETag>{escape(_tag(body))}</ETag></Contents>"
                for name, body in found
            )
            text = f"<ListBucketResult>{text}</ListBucketResult>"
        self._answer(200, text.encode())

    def _answer(
        self,
        status: int,
        body: bytes = b"",
        *,
        tag: str | None = None,
        span: str | None = None,
        kind: str = "application/octet-stream",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", kind)
        self.send_header("Last-Modified", formatdate(usegmt=True))
        if tag is not None:
            self.send_header("ETag", tag)
            self.send_header("x-goog-generation", "1")
        if span is not None:
            self.send_header("Content-Range", span)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _tag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'
