"""The plain Zarr tree of a commit, and its tables: bytes of the store, each verified, by ranges.

Names are looked up in the commit. None is ever a path of a disk, so nothing else can be read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from geobatch.errors import NotFoundError
from geobatch.serve.answers.answer import Answer, Question
from geobatch.serve.commits import State

_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


def zarr_file(question: Question) -> Answer:
    """Answer with a file of the tree: `<asset>/zarr.json`, `<asset>/0/band/c/1/2`.

    Raises:
        NotFoundError: There is none of that name.
        CorruptObjectError: Its bytes are damaged.
    """
    state, key = question.state(), question.path["key"]
    keys = question.served.commits.keys(state)
    if question.request.method == "HEAD":
        size = keys.size(key)
        if size is None:
            raise NotFoundError(f"there is no file `{key[:200]}`")
        kind, headers = _kind(key), {"Accept-Ranges": "bytes", "Content-Length": str(size)}
        return Answer(body=b"", kind=kind, state=state, headers=headers)
    data = keys.read(key)
    if data is None:
        raise NotFoundError(f"there is no file `{key[:200]}`")
    return ranged(question.request.headers, bytes(data), _kind(key), state)


def table_file(question: Question) -> Answer:
    """Answer with a table as a GeoParquet file.

    Raises:
        NotFoundError: There is no such table.
        CorruptObjectError: Its bytes are damaged.
    """
    state, asset_id = question.state(), question.path["asset"]
    table = question.served.record(state.entry(asset_id)).table
    if table is None:
        raise NotFoundError(f"`{asset_id}` is an image, not a table")
    kind = "application/vnd.apache.parquet"
    if question.request.method == "HEAD":
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(table.size)}
        return Answer(body=b"", kind=kind, state=state, headers=headers)
    data = question.served.store.objects.get(table.stored)
    return ranged(question.request.headers, data, kind, state)


def ranged(headers: Mapping[str, str], data: bytes, kind: str, state: State) -> Answer:
    """Return bytes, or the one range of them that is asked for (RFC 9110, 14.2)."""
    common = {"Accept-Ranges": "bytes"}
    asked = headers.get("range", "")
    match = _RANGE.fullmatch(asked.strip())
    if match is None or match.groups() == ("", ""):  # several ranges may be answered by all
        return Answer(body=data, kind=kind, state=state, headers=common)
    first, last = match.groups()
    size = len(data)
    if first:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
    else:
        start, end = max(size - int(last), 0), size - 1
    if start > end or start >= size:
        headers_of = common | {"Content-Range": f"bytes */{size}"}
        return Answer(body=b"", kind=kind, status=416, headers=headers_of)
    found = common | {"Content-Range": f"bytes {start}-{end}/{size}"}
    return Answer(body=data[start : end + 1], kind=kind, state=state, status=206, headers=found)


def _kind(key: str) -> str:
    return "application/json" if key.endswith(".json") else "application/octet-stream"
