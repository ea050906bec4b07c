"""What a server may answer: the very bytes that were asked for, of the pinned state."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.errors import SourceError
from geobatch.model.address import parse_address
from geobatch.model.pin import Remote
from geobatch.raster.answers import check_answer, check_pinnable
from geobatch.raster.remote import RemoteObject

DATA = bytes(range(200)) * 5
SIZE = len(DATA)
PINNED = Remote(size=SIZE, etag='"a"')
GOOD = {"content-range": f"bytes 10-19/{SIZE}", "content-length": "10", "etag": '"a"'}
Headers = dict[str, str]


def check(
    headers: Headers, *, status: int = 206, pinned: Remote | None = PINNED
) -> tuple[int, int]:
    values = {name: (value,) for name, value in headers.items()}
    body = check_answer(status, values, start=10, stop=20, uri="u", pinned=PINNED)
    return body.start, body.length


def test_what_was_asked_for_is_taken() -> None:
    assert check(GOOD) == (10, 10)
    assert check({name: GOOD[name] for name in ("content-range", "etag")}) == (10, 10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("content-range", f"bytes 0-9/{SIZE}"),
        ("content-range", f"bytes 10-18/{SIZE}"),
        ("content-range", f"bytes 11-20/{SIZE}"),
        ("content-range", f"bytes 10-19/{SIZE + 1}"),
        ("content-range", "bytes 10-19/*"),
        ("content-range", f"bytes */{SIZE}"),
        ("content-range", f"items 10-19/{SIZE}"),
        ("content-range", f"bytes +10-19/{SIZE}"),
        ("content-range", f"bytes 10 - 19/{SIZE}"),
        ("content-range", f"bytes \u0661\u0660-19/{SIZE}"),
        ("content-range", f"bytes -10-19/{SIZE}"),
        ("content-range", f"bytes 10-19/{'9' * 400}"),
        ("content-range", "bytes 19-10/1000"),
        ("content-range", ""),
        ("content-length", "9"),
        ("content-length", "11"),
        ("content-length", "-10"),
        ("content-length", "9" * 400),
        ("content-length", "ten"),
        ("content-encoding", "gzip"),
        ("content-type", "multipart/byteranges; boundary=x"),
        ("etag", '"b"'),
        ("etag", 'W/"a"'),
        ("x-goog-generation", "7"),
    ],
)
def test_anything_else_is_an_error(name: str, value: str) -> None:
    with pytest.raises(SourceError, match="`u"):
        check({**GOOD, name: value})


def test_a_whole_object_is_taken_where_it_is_small() -> None:
    whole = {"content-length": str(SIZE), "etag": '"a"'}
    assert check(whole, status=200) == (0, SIZE)
    with pytest.raises(SourceError, match="whole files"):
        check({**whole, "content-length": str(1 << 30)}, status=200)
    with pytest.raises(SourceError, match="Failed to load"):
        check({**whole, "content-length": "999"}, status=200)


def test_headers_that_contradict_are_an_error() -> None:
    twice: dict[str, tuple[str, ...]] = {name: (value,) for name, value in GOOD.items()}
    twice["content-range"] = (GOOD["content-range"], "bytes 0-9/1000")
    with pytest.raises(SourceError, match="contradicts itself"):
        check_answer(206, twice, start=10, stop=20, uri="u", pinned=PINNED)


VALUES = st.one_of(
    st.text(max_size=30),
    st.builds("bytes {}-{}/{}".format, *[st.integers(-5, 1200) | st.text("0189+-* ")] * 3),
    st.sampled_from([*GOOD.values(), 'W/"a"', "gzip", "identity", "0", "10", "1e1"]),
)


@given(
    headers=st.dictionaries(
        st.sampled_from([*GOOD, "content-encoding", "content-type", "last-modified"]), VALUES
    ),
    status=st.sampled_from([200, 206]),
)
def test_what_is_taken_holds_what_was_asked_for(headers: Headers, status: int) -> None:
    said = ""
    start, length = 10, 10
    try:
        start, length = check({**GOOD, **headers}, status=status)
    except SourceError as error:
        said = error.message
    assert start <= 10
    assert start + length >= 20
    assert not said or ("`u" in said and "\n" not in said)


@pytest.mark.parametrize(
    ("remote", "says"),
    [
        (Remote(size=9), "neither `ETag` nor `Last-Modified`"),
        (Remote(size=9, etag='W/"a"'), "weak"),
        (Remote(size=9, modified="yesterday"), "is no time"),
    ],
)
def test_what_cannot_be_pinned_says_what_is_missing(remote: Remote, says: str) -> None:
    with pytest.raises(SourceError, match=says) as caught:
        check_pinnable({}, remote, uri="u")
    assert "`allow_unpinned: true`" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "remote",
    [
        Remote(size=9, etag='"a"'),
        Remote(size=9, version="7"),
        Remote(size=9, modified="Mon, 02 Jan 2023 03:04:05 GMT"),
        Remote(size=9, etag='W/"a"', modified="Mon, 02 Jan 2023 03:04:05 GMT"),
    ],
)
def test_what_can_be_pinned(remote: Remote) -> None:
    check_pinnable({}, remote, uri="u")


def test_states_are_told_apart() -> None:
    time, later = "Mon, 02 Jan 2023 03:04:05 GMT", "Mon, 02 Jan 2023 03:04:06 GMT"
    strong = Remote(size=9, etag='"a"', modified=time)
    assert strong.is_same(Remote(size=9, etag='"a"', modified=later))
    assert not strong.is_same(Remote(size=9, etag='"b"', modified=time))
    assert not strong.is_same(Remote(size=8, etag='"a"', modified=time))
    weak = Remote(size=9, etag='W/"a"', modified=time)
    assert not weak.is_same(Remote(size=9, etag='W/"a"', modified=later))
    assert weak.generation != Remote(size=9, etag='W/"a"', modified=later).generation


@contextmanager
def answering(make: Callable[[int], bytes]) -> Iterator[str]:
    """Answer each connection with bytes as they are, made for the port; end by itself."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)
    port = listener.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                connection.recv(65536)
                connection.sendall(make(port))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}/a.tif"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def head(*lines: str, status: str = "206 Partial Content") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode(
        "latin-1"
    )


RANGE = f"Content-Range: bytes 10-19/{SIZE}"
TAG = 'ETag: "a"'
FOUND = "302 Found"


@pytest.mark.parametrize(
    "answer",
    [
        head(RANGE, TAG, "Content-Length: 10") + DATA[10:15],
        head(RANGE, TAG, "Content-Length: 99999999999999") + DATA[10:20],
        head(RANGE, TAG, f"Content-Length: {'9' * 400}") + DATA[10:20],
        head(f"Content-Range: bytes 0-9/{SIZE}", TAG, "Content-Length: 10") + DATA[:10],
        head("Location: http://127.0.0.1:99999/", status=FOUND),
        head("Location: http://127.0.0.1:x/", status=FOUND),
        head("Location: http://[::1/", status=FOUND),
        head("Location: file:///etc/passwd", status=FOUND),
        head("Location: ftp://127.0.0.1/a", status=FOUND),
        head(f"Location: http://{'a' * 400}/", status=FOUND),
        head("Location: a.tif", status=FOUND),
        head(status=FOUND),
        head(*[f"X-{number}: {number}" for number in range(2000)]),
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"\x00\xff" * 50,
        b"",
    ],
)
def test_an_odd_server_is_a_clear_error(answer: bytes) -> None:
    with answering(lambda _: answer) as url:
        source = RemoteObject(url, uri="a.tif", timeout=2)
        try:
            with pytest.raises(SourceError, match=r"`a\.tif`"):
                source.fetch(10, 20)
        finally:
            source.close()


def test_the_bytes_of_an_honest_server_are_read() -> None:
    with answering(lambda _: head(RANGE, TAG, "Content-Length: 10") + DATA[10:20]) as url:
        source = RemoteObject(url, uri="a.tif", timeout=2)
        try:
            assert source.fetch(10, 20) == DATA[10:20]
        finally:
            source.close()


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1", "http:///a.tif", "http://host:99999/a", "http://host:0/a", "http://host:x/a",
        "http://a b/c", "http://user:word@host/a", "ftp://host/a", f"http://{'a' * 300}/", "http://a..b/",
        "http://host/a\nb", "http://",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_address(url)


def test_an_address() -> None:
    found = parse_address("https://Example.org:8443/a b/ü.tif?x=1&y=[2]")
    assert (found.scheme, found.host, found.port) == ("https", "example.org", 8443)
    assert found.target == "/a%20b/%C3%BC.tif?x=1&y=[2]"
    assert parse_address("http://[::1]:80/").host == "::1"
