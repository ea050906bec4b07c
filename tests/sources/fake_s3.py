"""A bucket service on this machine that speaks enough of S3, counts requests, stops by itself.

It has lists of a thousand keys, heads, and ranges with If-Match. What a real service does is tested
against real ones, in `tests/cloud`.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import itertools
import threading
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from xml.sax.saxutils import escape

import pytest

_NAMES = itertools.count()


@dataclass
class Object:
    """One state of an object."""

    data: bytes
    time: int = 1_700_000_000
    version: str = ""

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data).hexdigest()}"'


@dataclass(kw_only=True)
class FakeBucket:
    """A bucket: its objects, and the requests that were sent."""

    name: str
    objects: dict[str, Object] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    """(`list`, `head` or `get`; key or prefix) of each."""
    denied: set[str] = field(default_factory=set)
    """Kinds of requests that are refused."""
    denied_prefixes: set[str] = field(default_factory=set)
    """Beginnings of keys that may not be read."""
    older: dict[tuple[str, str], Object] = field(default_factory=dict)
    """States that were overwritten, by key and version."""
    on_get: Any = None
    """Is called with the key before bytes are sent."""

    @property
    def url(self) -> str:
        return f"s3://{self.name}/"

    def put(self, key: str, data: bytes, *, version: str = "") -> None:
        old = self.objects.get(key)
        if old is not None and old.version:
            self.older[key, old.version] = old
        self.objects[key] = Object(data, version=version)

    def counted(self) -> Counter[str]:
        """Return how many requests there were of each kind, and forget them."""
        found = Counter(kind for kind, _ in self.requests)
        self.requests.clear()
        return found


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    buckets: dict[str, FakeBucket]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._object("head")

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if "list-type" in query:
            self._list(path, dict(urllib.parse.parse_qsl(query, keep_blank_values=True)))
        else:
            self._object("get")

    def _bucket(self, kind: str) -> tuple[FakeBucket | None, str]:
        name, _, key = urllib.parse.unquote(self.path.partition("?")[0])[1:].partition("/")
        bucket = self.buckets.get(name)
        if bucket is None:
            self._refuse(404, "NoSuchBucket")
            return None, key
        if kind in bucket.denied or key.startswith((*bucket.denied_prefixes, "\0")):
            bucket.requests.append((kind, key))
            self._refuse(403, "AccessDenied")
            return None, key
        return bucket, key

    def _object(self, kind: str) -> None:
        bucket, key = self._bucket(kind)
        if bucket is None:
            return
        bucket.requests.append((kind, key))
        if kind == "get" and bucket.on_get is not None:
            bucket.on_get(key)
        found = bucket.objects.get(key)
        query = urllib.parse.parse_qs(self.path.partition("?")[2])
        if "versionId" in query and (found is None or found.version != query["versionId"][0]):
            found = bucket.older.get((key, query["versionId"][0]))
        if found is None:
            self._refuse(404, "NoSuchKey")
            return
        if self.headers.get("If-Match", found.etag) != found.etag:
            self._refuse(412, "PreconditionFailed")
            return
        data, status, more = found.data, 200, {}
        span = self.headers.get("Range")
        if span is not None:
            start, stop = span.removeprefix("bytes=").split("-")
            data = found.data[int(start) : int(stop) + 1]
            end = int(start) + len(data) - 1
            status, more = 206, {"Content-Range": f"bytes {start}-{end}/{len(found.data)}"}
        if found.version:
            more["x-amz-version-id"] = found.version
        self._answer(
            status,
            data,
            {"ETag": found.etag, "Last-Modified": formatdate(found.time, usegmt=True), **more},
        )

    def _list(self, path: str, query: dict[str, str]) -> None:
        del path
        bucket, _ = self._bucket("list")
        if bucket is None:
            return
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        bucket.requests.append(("list", prefix))
        after = query.get("continuation-token") or query.get("start-after", "")
        entries: list[str] = []
        folders: dict[str, None] = {}
        most, last, is_cut = int(query.get("max-keys", 1000)), "", False
        for key in sorted(bucket.objects):
            if not key.startswith(prefix) or key <= after:
                continue
            folder = None
            if delimiter and delimiter in key[len(prefix) :]:
                folder = prefix + key[len(prefix) :].partition(delimiter)[0] + delimiter
                if folder in folders or after.startswith(folder):
                    last = key
                    continue
            if len(entries) + len(folders) == most:
                is_cut = True
                break
            last = key
            if folder is not None:
                folders[folder] = None
                continue
            one = bucket.objects[key]
            entries.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>2023-11-14T22:13:20.000Z"
                f"</LastModified><ETag>{escape(one.etag)}</ETag><Size>{len(one.data)}</Size>"
                "</Contents>"
            )
        token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>" if is_cut else ""
        shown = "".join(
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders
        )
        text = (
            '<?xml version="1.0"?><ListBucketResult>'
            f"<IsTruncated>{str(is_cut).lower()}</IsTruncated>{token}{''.join(entries)}{shown}"
            "</ListBucketResult>"
        )
        self._answer(200, text.encode(), {"Content-Type": "application/xml"})

    def _refuse(self, status: int, code: str) -> None:
        text = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
        self._answer(status, text.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(data)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextlib.contextmanager
def fake_buckets(patch: pytest.MonkeyPatch, *names: str) -> Iterator[list[FakeBucket]]:
    """Serve some empty buckets, each under a new name, and point the environment to them."""
    made = [FakeBucket(name=f"{name}-{next(_NAMES)}") for name in names]
    handler = type("Handler", (_Handler,), {"buckets": {one.name: one for one in made}})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": "true",
        "NO_PROXY": "127.0.0.1",
    }.items():
        patch.setenv(name, value)
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
