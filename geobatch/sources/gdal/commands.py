"""Commands of GDAL in hints; they work when pasted in the current folder."""

from __future__ import annotations

import os
import shlex

from geobatch.buckets.url import is_bucket_url, parse_bucket_url
from geobatch.model.sources.header import Header


def quoted_files(header: Header, suffix: str) -> str:
    """Return a file, and a new one in this folder named after it, as arguments for the shell."""
    return f"{_quoted_input(header)} {_quoted_output(header, suffix)}"


def _quoted_input(header: Header) -> str:
    """Return a file as an argument for the shell: an object, or a path relative to this folder."""
    name = header.uri
    scheme, mark, _ = name.partition("://")
    if mark and scheme.lower() in ("http", "https"):
        return shlex.quote(f"/vsicurl/{name}")
    if mark and is_bucket_url(name):
        url = parse_bucket_url(name)
        return shlex.quote(f"/vsi{url.scheme}/{url.bucket}/{url.key}")
    try:
        name = os.path.relpath(header.path)
    except ValueError:  # on another drive
        name = header.path
    return shlex.quote(f"./{name}" if name.startswith("-") else name)


def _quoted_output(header: Header, suffix: str) -> str:
    """Return the name of a new file in this folder, named after a file, with a suffix."""
    name = header.uri.rpartition("/")[2].partition("?")[0]
    made = f"{name.rpartition('.')[0] or name}{suffix}.tif"
    return shlex.quote(f"./{made}" if made.startswith("-") else made)
