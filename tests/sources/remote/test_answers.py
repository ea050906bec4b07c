"""Any headers whatever: an answer is what was asked for, or an error that says what is odd."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.errors import SourceError
from geobatch.model.sources.pin import Remote
from geobatch.sources.naming import Named
from geobatch.sources.remote.answers import (
    WHOLE_BYTES,
    Body,
    Headers,
    check_answer,
    check_pinnable,
    seconds_to_wait,
)

URI = "http://h/cog.tif"
TIME = "Sat, 01 Jan 2000 00:00:00 GMT"
TAG = '"a"'
SIZE = 100_000
PINNED = Remote(size=SIZE, etag=TAG, modified=TIME)

NUMBERS = st.one_of(
    st.sampled_from(["0", "9", "10", "99", "100000", "-1", "+1", " 1", "1_0", "", "*", "0x1", "1.0",
                     "\u00b2", "\u0661", "\uff11", "9" * 19, "9" * 400, "9" * 5000, "00"]),
    st.integers(0, 200_000).map(str),
)  # fmt: skip
RANGES = st.one_of(
    st.builds("{}{}{}-{}/{}".format, st.sampled_from(["bytes", "Bytes", "pages", ""]),
              st.sampled_from([" ", "", "  ", "=", "\t"]), NUMBERS, NUMBERS, NUMBERS),
    st.text(max_size=30),
)  # fmt: skip
VALUES: dict[str, st.SearchStrategy[str]] = {
    "content-range": RANGES,
    "content-length": NUMBERS,
    "content-encoding": st.sampled_from(["", "identity", "gzip", "br, gzip"]),
    "transfer-encoding": st.sampled_from(["", "chunked", "Chunked", "gzip, chunked"]),
    "content-type": st.sampled_from(["", "image/tiff", "multipart/byteranges; boundary=x"]),
    "etag": st.sampled_from(["", TAG, '"b"', 'W/"a"', "a\x1b", "\x85", '"' + "x" * 2000 + '"']),
    "last-modified": st.one_of(st.just(TIME), st.text(max_size=40)),
    "date": st.one_of(st.just(TIME), st.text(max_size=40)),
    "x-goog-generation": st.sampled_from(["", "1"]),
    "x-amz-version-id": st.sampled_from(["", "null", "v"]),
}
RIGHT: Headers = {
    "content-range": [f"bytes 10-19/{SIZE}"], "content-length": ["10"], "etag": [TAG],
    "last-modified": [TIME],
}  # fmt: skip


@st.composite
def headers(draw: st.DrawFn) -> Headers:
    """Right headers, of which some are replaced, doubled or left away."""
    found = dict(RIGHT)
    for name in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=4, unique=True)):
        found[name] = draw(st.lists(VALUES[name], max_size=2))
    return found


def body_or_error(
    sent: Headers, *, status: int = 206, pinned: Remote | None = None
) -> Body | SourceError:
    try:
        with Named(URI):
            return check_answer(status, sent, start=10, stop=20, pinned=pinned)
    except SourceError as error:
        return error


def assert_safe(error: SourceError) -> None:
    """Check that a server can neither hide what is asked, nor write to a terminal."""
    assert URI in error.message
    assert len(error.message) < 1300
    assert not re.search("[\x00-\x1f\x7f-\x9f]", error.message)


@given(headers(), st.sampled_from([200, 206]), st.sampled_from([None, PINNED]))
def test_what_is_taken_is_what_was_asked_for(
    sent: Headers, status: int, pinned: Remote | None
) -> None:
    body = body_or_error(sent, status=status, pinned=pinned)
    if isinstance(body, SourceError):
        assert_safe(body)
        return
    assert set(sent.get("content-encoding", ())) <= {"", "identity"}
    assert {one.lower() for one in sent.get("transfer-encoding", ())} <= {"", "chunked"}
    assert not any("multipart" in one for one in sent.get("content-type", ()))
    assert all(len(set(map(str.strip, values))) <= 1 for name, values in sent.items()
               if name != "date")  # fmt: skip
    if pinned is not None:
        assert body.remote.size == SIZE
        assert body.remote.version == ""
        assert body.remote.etag == TAG
    lengths = set(map(str.strip, sent.get("content-length", ()))) - {""}
    assert lengths <= {str(body.length).zfill(len(one)) for one in lengths}
    if status == 200:
        assert body.start == 0
        assert body.length == body.remote.size <= WHOLE_BYTES
        assert not sent.get("content-range")
        return
    (said,) = {one.strip(" \t") for one in sent["content-range"]}
    parts = re.fullmatch(r"bytes 0*(\d+)-0*(\d+)/0*(\d+)", said, re.IGNORECASE | re.ASCII)
    assert parts is not None
    assert (int(parts[1]), int(parts[3])) == (10, body.remote.size)
    assert body.start == 10
    assert body.length == min(20, body.remote.size) - 10 == int(parts[2]) - 9


@pytest.mark.parametrize("name", ["x-goog-generation", "x-amz-version-id", "etag"])
def test_a_header_that_contradicts_itself_is_refused_whatever_others_say(name: str) -> None:
    sent = {**RIGHT, "x-goog-generation": ["1"], "x-amz-version-id": ["2"], name: ["", "null"]}
    error = body_or_error(sent)
    assert isinstance(error, SourceError)
    assert f"contradicts itself: `{name}`" in error.message


def test_right_headers_are_taken() -> None:
    found = check_answer(206, RIGHT, start=10, stop=20, pinned=PINNED)
    assert found == Body(remote=PINNED, start=10, length=10)


def test_the_last_bytes_may_be_fewer_than_were_asked_for() -> None:
    sent = {**RIGHT, "content-range": [f"bytes 99990-99999/{SIZE}"]}
    found = check_answer(206, sent, start=99_990, stop=200_000, pinned=None)
    assert found == Body(remote=PINNED, start=99_990, length=10)


@given(headers())
def test_pinning_any_headers_says_what_is_missing_or_takes_them(sent: Headers) -> None:
    body = body_or_error(sent)
    if isinstance(body, SourceError):
        return
    remote = body.remote
    try:
        with Named(URI):
            check_pinnable(sent, remote)
    except SourceError as error:
        assert_safe(error)
    else:
        assert seconds_to_wait(sent, remote) == 0
        assert remote.version or remote.tag or remote.moment is not None


@pytest.mark.parametrize(
    ("date", "modified", "pause"),
    [
        (TIME, TIME, 2),
        ("Sat, 01 Jan 2000 00:00:01 GMT", TIME, 1),
        ("Sat, 01 Jan 2000 00:00:02 GMT", TIME, 0),
        (TIME, "Sat, 01 Jan 2000 01:00:00 GMT", 3602),
        ("no time", TIME, 0),
        (TIME, "no time", 0),
    ],
)
def test_a_time_in_whole_seconds_must_be_past(date: str, modified: str, pause: float) -> None:
    sent = {"date": [date]}
    assert seconds_to_wait(sent, Remote(size=1, modified=modified)) == pause
    tagged = Remote(size=1, modified=modified, etag=TAG)
    assert seconds_to_wait(sent, tagged) == 0
