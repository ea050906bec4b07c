"""Checks of a server's answer before its bytes are used as those of an object.

Nothing here talks to a server: callers pass the status and the headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from geobatch.model.limits import HEADER_BYTES, REQUEST_BYTES
from geobatch.model.sources.moment import parse_moment
from geobatch.model.sources.pin import Remote
from geobatch.sources.naming import LostStateError, UnnamedError

Headers = Mapping[str, Sequence[str]]
"""Values of headers by their names in lowercase, in the order in which they were sent."""

WHOLE_BYTES = 64 << 10
"""Longest object that a server may send whole when a part was requested."""
SETTLED_SECONDS = 2
"""How old a state must be so that a time in whole seconds distinguishes it from the next."""

_DIGITS = re.compile("[0-9]{1,18}")
_RANGE = re.compile(
    f"bytes ({_DIGITS.pattern})-({_DIGITS.pattern})/({_DIGITS.pattern}|[*])", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHOWN = 60
_VERSIONS = ("x-goog-generation", "x-amz-version-id")
"""Headers that name the state of an object in a bucket."""
_LONGEST = 1000
"""Longest value of a header, which a store may have to keep."""


class Body(Struct, frozen=True, kw_only=True):
    """The body of a valid answer."""

    remote: Remote
    """The state of the object that they are of."""
    start: int
    """Offset of the first byte in the object."""
    length: int
    """How many bytes there are."""


def check_answer(
    status: int, headers: Headers, *, start: int, stop: int, pinned: Remote | None
) -> Body:
    """Check that an answer has the requested bytes, all of them and no others.

    Args:
        status: 206; or 200, which brings the whole of an object, and a small one is taken.
        headers: Its headers.
        start: First requested byte.
        stop: The byte behind the last; after the end of the object if that is not known.
        pinned: The state in which it must be; None to take any.

    Raises:
        UnnamedError: The answer has other bytes or another state, is encoded, or does not say
            which.

    Source: RFC 9110, sections 8.4, 8.6, 14.4, 15.3.1 and 15.3.7.
    """
    coded = _one(headers, "content-encoding")
    if coded.lower() not in ("", "identity"):
        hint = "turn compression off for this file on its server"
        raise _wrong(f"the server compresses it (`Content-Encoding`: {_shown(coded)})", hint)
    framed = _one(headers, "transfer-encoding")
    if framed.lower() not in ("", "chunked"):
        what = f"expected plain bytes, got `Transfer-Encoding`: {_shown(framed)}"
        raise _wrong(what)
    if _one(headers, "content-type").lower().startswith("multipart/byteranges"):
        raise _wrong("the server sent several parts, expected one")
    length = _length(headers)
    if status == 200:
        if length is None or length > WHOLE_BYTES:
            raise UnnamedError(
                "the server sends only whole files, expected byte ranges",
                hint="use a server that supports `Range` requests, or download the file",
            )
        if "content-range" in headers:
            raise _wrong("the server contradicts itself: status 200 with a `Content-Range`")
        first, last, size = 0, length - 1, length
    else:
        first, last, size = _range(headers)
    found = state_of(headers, size)
    if pinned is not None and not pinned.is_same(found):
        raise LostStateError(pinned.generation)
    expected = (start, min(stop, size) - 1)
    if status != 200 and (first, last) != expected:
        raise _wrong(f"expected bytes {expected[0]}-{expected[1]}, the server sent {first}-{last}")
    body = Body(remote=found, start=first, length=last - first + 1)
    if length is not None and length != body.length:
        raise _wrong(f"expected {body.length} bytes at {first}, the server sends {length}")
    return body


def state_of(headers: Headers, size: int) -> Remote:
    """Return the state of an object from the headers of an answer.

    Raises:
        UnnamedError: They contradict each other.
    """
    # Both are read, so that no contradiction is missed.
    generation, version = (_one(headers, name) for name in _VERSIONS)
    version = generation or version
    return Remote(
        size=size,
        # S3's name for an object without versions, which can be overwritten.
        version="" if version == "null" else version,
        etag=_one(headers, "etag"),
        modified=_one(headers, "last-modified"),
    )


def seconds_to_wait(headers: Headers, remote: Remote) -> float:
    """Return how long a state must be unchanged until its time identifies it; else 0.

    Source: RFC 9110 section 8.8.2.2, which compares with the server's own clock too.
    """
    if not remote.is_timed or remote.moment is None:
        return 0
    now = parse_moment(_one(headers, "date")) or datetime.now(UTC)
    return max(0.0, SETTLED_SECONDS - (now - remote.moment).total_seconds())


def check_pinnable(headers: Headers, remote: Remote) -> None:
    """Check that a server's answer is enough to notice a later change of an object.

    Raises:
        UnnamedError: It is not; the message names what is missing.
    """
    missing = remote.lacks
    hint = (
        "let the server send an `ETag` or `Last-Modified`; or set `allow_unpinned: true` in the"
        " spec, but then geobatch cannot notice replaced pixels of the same size"
    )
    if missing is None and seconds_to_wait(headers, remote):
        missing = (
            f"`Last-Modified: {remote.modified}` is less than {SETTLED_SECONDS} s before the"
            " server's own time, and a time in whole seconds cannot show a later change"
        )
        hint = "correct the clock of the server, or let it send a strong `ETag`"
    if missing is not None:
        raise UnnamedError(f"cannot be pinned: {missing}", hint=hint, joint=" ")


def check_size(length: int, *, before: int | None) -> None:
    """Check that a request, with what was read before of a header, is small enough.

    Args:
        length: How many bytes are requested.
        before: How many were read before of a header; None if it is not a header that is read.

    Raises:
        UnnamedError: It is not.
    """
    limit, what = REQUEST_BYTES, "would have to be read at once"
    if before is not None:
        limit, what = HEADER_BYTES, "would have to be read as its header"
        length += before
    if length > limit.value:
        raise UnnamedError(
            f"{length:,} bytes {what}, more than {limit.value:,}: the TIFF is damaged, or its tiles"
            " or tags are far too large",
            hint=limit.hint(length),
        )


def _range(headers: Headers) -> tuple[int, int, int]:
    text = _one(headers, "content-range")
    if not text:
        raise _wrong("the server does not say which bytes it sent (no `Content-Range`)")
    match = _RANGE.fullmatch(text)
    if match is None:
        raise _wrong(f"expected `Content-Range: bytes 0-9/99`, got {_shown(text)}")
    if match[3] == "*":
        raise _wrong(f"the server does not say how long it is, got {_shown(text)}")
    first, last, size = int(match[1]), int(match[2]), int(match[3])
    if not first <= last < size:
        raise _wrong(f"no such range exists, got {_shown(text)}")
    return first, last, size


def _length(headers: Headers) -> int | None:
    text = _one(headers, "content-length")
    if not text:
        return None
    if not _DIGITS.fullmatch(text):
        raise _wrong(f"expected a number of bytes as `Content-Length`, got {_shown(text)}")
    return int(text)


def _one(headers: Headers, name: str) -> str:
    """Return the value of a header, without blanks around it; empty if it is absent."""
    found = {value.strip(" \t") for value in headers.get(name, ())}
    if len(found) > 1:
        values = " and ".join(map(_shown, sorted(found)))
        raise _wrong(f"the server contradicts itself: `{name}` is {values}")
    value = next(iter(found), "")
    if len(value) > _LONGEST:
        raise _wrong(f"the header `{name}` has {len(value):,} characters")
    if _CONTROL.search(value):
        raise _wrong(f"the header `{name}` holds a control character")
    return value


def _shown(text: str) -> str:
    """Return a server's text as an ASCII literal, so that it cannot control a terminal."""
    start = ascii(text[:_SHOWN])[1:-1]
    return f"`{start}`" if len(text) <= _SHOWN else f"`{start}...`"


def _wrong(what: str, hint: str | None = None) -> UnnamedError:
    hint = hint or "the server, or a proxy before it, does not serve byte ranges as HTTP requires"
    return UnnamedError(what, hint=hint)
