"""The XML API of Google Cloud Storage over a server of its JSON API: gcs_shim.py PORT UPSTREAM.

fake-gcs-server has no uploads of the XML API, and obstore speaks only that one: whole objects,
uploads in parts, server-side copies, ranges, conditions, generations, listings in pages.
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import threading
import uuid
from collections.abc import Iterable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

_Headers = Iterable[tuple[str, str]]
_PASSED = ("Content-Range", "Content-Type", "Last-Modified", "X-Goog-Generation")


class Shim(ThreadingHTTPServer):
    """Answers on 127.0.0.1; `upstream` is the port of the JSON API."""

    request_queue_size = 256
    daemon_threads = True

    def __init__(self, port: int, upstream: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.upstream = upstream
        self.connections = threading.local()
        self.parts: dict[str, dict[int, bytes]] = {}


class _Handler(BaseHTTPRequestHandler):
    server: Shim
    protocol_version = "HTTP/1.1"
    # Headers and body go out in two writes: with Nagle each answer would wait for 40 ms.
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be quiet."""

    def do_GET(self) -> None:
        bucket, name, query = self._asked()
        if not name:
            return self._list(bucket, query)
        ranges = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
        path = f"/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        status, headers, body = self._ask(self.command, path, headers=ranges)
        if status >= 400:
            return self._answer(status, body)
        tag = _tag(headers["X-Goog-Hash"].partition("md5=")[2])
        if self.headers.get("If-Match", tag) not in {tag, "*"}:
            return self._answer(412)
        if self.headers.get("If-None-Match") == tag:
            return self._answer(304)
        current = headers["X-Goog-Generation"]
        if query.get("generation", self.headers.get("x-goog-generation", current)) != current:
            return self._answer(404)
        kept = [("ETag", tag), *((key, headers[key]) for key in _PASSED if key in headers)]
        if self.command == "HEAD":
            kept.append(("Content-Length", headers["Content-Length"]))
        return self._answer(status, body, kept)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        bucket, name, query = self._asked()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "uploadId" in query:
            self.server.parts[query["uploadId"]][int(query["partNumber"])] = body
            return self._answer(200, headers=[("ETag", f'"{query["partNumber"]}"')])
        if source := self.headers.get("x-goog-copy-source"):
            return self._copy(unquote(source), bucket, name)
        status, answer = self._upload(bucket, name, body)
        return self._answer(status, b"" if status == 200 else answer, _tags(status, answer))

    def do_POST(self) -> None:
        bucket, name, query = self._asked()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        names = f"<Bucket>{escape(bucket)}</Bucket><Key>{escape(name)}</Key>"
        if "uploads" in query:
            upload = uuid.uuid4().hex
            self.server.parts[upload] = {}
            return self._xml(
                "InitiateMultipartUploadResult", f"{names}<UploadId>{upload}</UploadId>"
            )
        parts = self.server.parts.get(query.get("uploadId", ""), {})
        asked = [int(one.text or 0) for one in ET.fromstring(body).iter("PartNumber")]
        if not asked or not parts.keys() >= set(asked):
            return self._answer(400, b"a part is missing")
        status, answer = self._upload(bucket, name, b"".join(parts[number] for number in asked))
        if status != 200:
            return self._answer(status, answer)
        self.server.parts.pop(query["uploadId"])
        tag = dict(_tags(status, answer))["ETag"]
        return self._xml("CompleteMultipartUploadResult", f"{names}<ETag>{escape(tag)}</ETag>")

    def do_DELETE(self) -> None:
        bucket, name, query = self._asked()
        if upload := query.get("uploadId"):
            self.server.parts.pop(upload, None)
            return self._answer(204)
        status, _, _ = self._ask("DELETE", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}")
        return self._answer(204 if status == 200 else status)

    def _upload(self, bucket: str, name: str, body: bytes) -> tuple[int, bytes]:
        # The packaged server ignores the condition of a simple upload; not of one in two parts.
        query = {"uploadType": "multipart", "name": name, **self._condition()}
        edge = uuid.uuid4().hex.encode()
        kind = self.headers.get("Content-Type", "application/octet-stream")
        document = json.dumps({"name": name, "contentType": kind}).encode()
        parts = (
            b"--%b\r\nContent-Type: application/json\r\n\r\n%b\r\n" % (edge, document),
            b"--%b\r\nContent-Type: %b\r\n\r\n" % (edge, kind.encode()),
            body,
            b"\r\n--%b--\r\n" % edge,
        )
        status, _, answer = self._ask(
            "POST",
            f"/upload/storage/v1/b/{bucket}/o?{urlencode(query)}",
            b"".join(parts),
            {"Content-Type": f"multipart/related; boundary={edge.decode()}"},
        )
        return status, answer

    def _copy(self, source: str, bucket: str, name: str) -> None:
        origin, _, old = source.lstrip("/").partition("/")
        there = f"b/{bucket}/o/{quote(name, safe='')}?{urlencode(self._condition())}"
        path = f"/storage/v1/b/{origin}/o/{quote(old, safe='')}/rewriteTo/{there}"
        status, _, body = self._ask("POST", path, b"{}", {"Content-Type": "application/json"})
        if status != 200:
            return self._answer(status, body)
        tags = _tags(status, json.dumps(json.loads(body)["resource"]).encode())
        return self._xml("CopyObjectResult", f"<ETag>{escape(dict(tags)['ETag'])}</ETag>")

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        asked = {
            "prefix": query.get("prefix"),
            "delimiter": query.get("delimiter"),
            "maxResults": query.get("max-keys") or "1000",
            "pageToken": query.get("continuation-token"),
            "startOffset": query.get("start-after"),
        }
        given = urlencode({key: value for key, value in asked.items() if value})
        status, _, body = self._ask("GET", f"/storage/v1/b/{bucket}/o?{given}")
        if status != 200:
            return self._answer(status, body)
        page = json.loads(body)
        out = [
            f"<Contents><Key>{escape(one['name'])}</Key><Size>{one['size']}</Size>"
            f"<LastModified>{one['updated']}</LastModified><ETag>{escape(_tag(one['md5Hash']))}</ETag>"
            f"<Generation>{one['generation']}</Generation></Contents>"
            for one in page.get("items", ())
            if one["name"] != query.get("start-after")
        ]
        out += [
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>"
            for one in page.get("prefixes", ())
        ]
        if token := page.get("nextPageToken"):
            out.append(f"<NextContinuationToken>{escape(token)}</NextContinuationToken>")
        return self._xml("ListBucketResult", "".join(out))

    def _asked(self) -> tuple[str, str, dict[str, str]]:
        url = urlsplit(self.path)
        bucket, _, name = unquote(url.path.lstrip("/")).partition("/")
        return bucket, name, dict(parse_qsl(url.query, keep_blank_values=True))

    def _condition(self) -> dict[str, str]:
        generation = self.headers.get("x-goog-if-generation-match")
        return {} if generation is None else {"ifGenerationMatch": generation}

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, Message, bytes]:
        """Ask upstream, over a connection that this thread keeps."""
        kept = self.server.connections
        for attempt in range(2):
            if getattr(kept, "connection", None) is None:
                kept.connection = http.client.HTTPConnection(
                    "127.0.0.1", self.server.upstream, timeout=60
                )
            connection: http.client.HTTPConnection = kept.connection
            try:
                connection.request(method, path, body or None, headers or {})
                answer = connection.getresponse()
                return answer.status, answer.headers, answer.read()
            except (http.client.HTTPException, OSError):
                connection.close()
                kept.connection = None
                # An idle connection may have been closed; a request that was sent is not repeated.
                if attempt or method not in {"GET", "HEAD"}:
                    raise
        raise AssertionError

    def _xml(self, root: str, inside: str) -> None:
        text = f'<?xml version="1.0" encoding="UTF-8"?><{root}>{inside}</{root}>'
        self._answer(200, text.encode(), [("Content-Type", "application/xml")])

    def _answer(self, status: int, body: bytes = b"", headers: _Headers = ()) -> None:
        self.send_response(status)
        named = dict(headers)
        named.setdefault("Content-Length", str(len(body)))
        for key, value in named.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD" and status not in {204, 304}:
            self.wfile.write(body)
        self.wfile.flush()


def _tag(md5: str) -> str:
    """Return the entity tag of the XML API: the MD5, in hexadecimal digits."""
    return f'"{base64.b64decode(md5).hex()}"'


def _tags(status: int, body: bytes) -> list[tuple[str, str]]:
    if status != 200:
        return []
    document = json.loads(body)
    return [("ETag", _tag(document["md5Hash"])), ("x-goog-generation", document["generation"])]


if __name__ == "__main__":
    Shim(int(sys.argv[1]), int(sys.argv[2])).serve_forever()
