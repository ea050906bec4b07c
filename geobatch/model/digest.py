"""BLAKE3-256 digests, and the canonical JSON that they are computed from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from blake3 import blake3

Digest: TypeAlias = str
"""BLAKE3-256 as 64 lowercase hexadecimal digits."""

DIGEST_BYTES = 32
_AT_ONCE = 1000
"""Items of a list that are encoded together."""
ALGORITHM = "blake3-256"

Json: TypeAlias = Any
"""A value that JSON can hold: None, bool, int, float, str, list or a str-keyed mapping of these."""


def digest_bytes(data: bytes | memoryview | Any) -> Digest:
    """Return the BLAKE3-256 of a bytes-like object (anything with a C-contiguous buffer)."""
    return blake3(data).hexdigest()


def digest_parts(parts: Iterable[bytes]) -> Digest:
    """Return the digest of parts, one after the other; few of them are in memory at a time."""
    hasher, every = blake3(), iter(parts)
    while some := list(islice(every, _AT_ONCE)):
        hasher.update(b"".join(some))
    return hasher.hexdigest()


def canonical_json(value: Json) -> bytes:
    """Return the one UTF-8 encoding of a JSON value: sorted keys, no spaces, no non-finite numbers.

    Floats are written with Python's shortest round-trip form, so equal floats have equal bytes.

    Raises:
        ValueError: The value holds a non-finite float; pass it through `number_to_json` first.
    """
    return _CANONICAL.encode(value).encode()


def digest_json(value: Json) -> Digest:
    """Return the digest of a value's canonical JSON."""
    return digest_bytes(canonical_json(value))


def digest_json_list(start: Sequence[Json], items: Iterable[Json]) -> Digest:
    """Return `digest_json([*start, [*items]])`; few of the items are in memory at a time.

    Args:
        start: Values, at least one.
        items: Values.
    """
    hasher = blake3(canonical_json(list(start))[:-1] + b",[")
    every, comma = iter(items), b""
    while some := list(islice(every, _AT_ONCE)):
        hasher.update(comma + canonical_json(some)[1:-1])
        comma = b","
    hasher.update(b"]]")
    return hasher.hexdigest()


def _plain(value: Json) -> Json:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"not JSON: {value!r}")


_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
)
"""Made once: `json.dumps` makes one for each of very many small documents."""
