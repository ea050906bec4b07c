"""Servers that answer something else than they were asked for: an error with the url, in time."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cogs import external, overview, values, write_cog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from range_server import Served, serving
from workbench import Workbench, assert_same

import geobatch
from geobatch.errors import SourceError, SpecError
from geobatch.model.sources.pin import Remote
from geobatch.model.sources.url import parse_address
from geobatch.sources.naming import Named
from geobatch.sources.remote.answers import WHOLE_BYTES, check_answer, check_pinnable
from geobatch.sources.remote.ranges import RemoteObject

DATA = bytes(range(256)) * 40
SIZE = len(DATA)
GOOD = {"Content-Range": f"bytes 100-199/{SIZE}", "Content-Length": "100", "ETag": '"a"'}
PINNED = Remote(size=SIZE, etag='"a"')

Raw = Callable[[bytes], bytes | Iterator[bytes]]


@contextlib.contextmanager
def answering(raw: Raw) -> Iterator[str]:
    """Send raw bytes for each request on this machine; yields the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            with peer, contextlib.suppress(OSError):
                peer.settimeout(5)
                found = raw(peer.recv(65536))
                for piece in (found,) if isinstance(found, bytes) else found:
                    if stopped.is_set():
                        break
                    peer.sendall(piece)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/a.tif"
    finally:
        stopped.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def message(status: str, headers: dict[str, str], body: bytes = b"") -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{lines}Connection: close\r\n\r\n".encode("latin-1") + body


def fetch(raw: Raw | bytes, *, remote: Remote | None = PINNED, timeout: float = 10) -> bytes:
    """Ask for bytes 100 to 199."""
    made = (lambda _: raw) if isinstance(raw, bytes) else raw
    with answering(made) as url:
        source = RemoteObject(url, remote=remote, timeout=timeout)
        try:
            with Named(url):
                return source.fetch(100, 200)
        except SourceError as error:
            if url not in error.message:
                raise AssertionError(error.message) from error
            raise
        finally:
            source.close()


def patience(words: str) -> float:
    """Return a time within which what ends too soon is asked for again, though not three times."""
    return 0.4 if words == "ends after" else 10


def test_a_right_answer_is_taken() -> None:
    assert fetch(message("206 Partial", GOOD, DATA[100:200]), timeout=10) == DATA[100:200]
    assert fetch(message("206 Partial", GOOD, DATA[100:200]), remote=None) == DATA[100:200]


RANGES = [
    f"bytes 0-99/{SIZE}", f"bytes 101-200/{SIZE}", f"bytes 100-198/{SIZE}", f"bytes 100-200/{SIZE}",
    "bytes 100-199/*", "bytes */10240", f"bytes 100-199/{SIZE}²", f"bytes ¹00-199/{SIZE}", "",
    f"bytes +100-199/{SIZE}", f"bytes -100-199/{SIZE}", f"bytes  100-199/{SIZE}", "items 100-199/1",
    f"bytes 100 - 199/{SIZE}", f"bytes 1{'0' * 400}-199/{SIZE}", f"bytes 100-199/{'9' * 5000}",
    f"bytes 199-100/{SIZE}", f"bytes 100-199/{SIZE},", f"bytes=100-199/{SIZE}", "bytes 100-199",
    f"bytes 100-199/{SIZE}\r\nContent-Range: bytes 0-99/{SIZE}", f"bytes 100-199/0x{SIZE:x}",
    f"bytes 100-199/{SIZE}\r\n\t1", "bytes 100-199/150", f"bytes 1_00-199/{SIZE}",
]  # fmt: skip


@pytest.mark.parametrize("text", RANGES)
@pytest.mark.parametrize("remote", [PINNED, None])
def test_another_range_is_refused(text: str, remote: Remote | None) -> None:
    headers = {**GOOD, "Content-Range": text}
    with pytest.raises(SourceError):
        fetch(message("206 Partial", headers, DATA[100:200]), remote=remote)


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({"Content-Length": "1" + "0" * 17}, DATA[100:200], "expected 100 bytes"),
        ({"Content-Length": "9" * 400}, DATA[100:200], "Content-Length"),
        ({"Content-Length": "-100"}, DATA[100:200], "Content-Length"),
        ({"Content-Length": "1²"}, DATA[100:200], "Content-Length"),
        ({"Content-Length": "99"}, DATA[100:199], "expected 100 bytes"),
        ({"Content-Length": "100\r\nContent-Length: 7"}, DATA[100:200], "contradicts itself"),
        ({"Content-Length": "100"}, DATA[100:150], "ends after"),
        ({"Content-Length": ""}, DATA[100:201], "sent more"),
        ({"Content-Length": ""}, DATA[100:199], "ends after"),
        ({"Content-Encoding": "gzip"}, DATA[100:200], "gzip"),
        ({"Content-Encoding": "identity, br"}, DATA[100:200], "br"),
        ({"Content-Type": "multipart/byteranges; boundary=x"}, DATA[100:200], "several parts"),
        ({"ETag": '"b"'}, DATA[100:200], "Failed to load"),
        ({"ETag": 'W/"a"'}, DATA[100:200], "Failed to load"),
        ({"ETag": '"a"\r\n b'}, DATA[100:200], "control character"),
        ({"Content-Range": "bytes 100-199/10241"}, DATA[100:200], "Failed to load"),
    ],
    ids=lambda value: str(len(value)) if isinstance(value, bytes) else str(value),
)  # fmt: skip
def test_another_body_is_refused(headers: dict[str, str], body: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        fetch(message("206 Partial", GOOD | headers, body), timeout=patience(words))


def test_chunks_are_taken_and_bad_ones_are_not() -> None:
    headers = {**GOOD, "Transfer-Encoding": "chunked"}
    del headers["Content-Length"]
    good = b"32\r\n" + DATA[100:150] + b"\r\n32\r\n" + DATA[150:200] + b"\r\n0\r\n\r\n"
    assert fetch(message("206 Partial", headers, good)) == DATA[100:200]
    longer = b"65\r\n" + DATA[100:201] + b"\r\n0\r\n\r\n"
    for bad in (longer, b"-5\r\nabc", b"zz\r\n", b"f" * 70000, b"32\r\n" + DATA[100:150], b""):
        with pytest.raises(SourceError):
            fetch(message("206 Partial", headers, bad), timeout=0.4)


def test_whole_files_count_if_they_are_small_and_whole() -> None:
    whole = {"Content-Length": str(SIZE), "ETag": '"a"'}
    assert fetch(message("200 OK", whole, DATA)) == DATA[100:200]
    assert fetch(message("200 OK", whole, DATA), remote=None) == DATA[100:200]
    bad: list[tuple[dict[str, str], bytes, str]] = [
        (whole | {"Content-Length": str(SIZE - 1)}, DATA[:-1], "Failed to load"),
        (whole | {"Content-Length": ""}, DATA, "only whole files"),
        (whole | {"Content-Length": str(WHOLE_BYTES + 1)}, DATA, "only whole files"),
        (whole | {"ETag": '"b"'}, DATA, "Failed to load"),
        (whole, DATA[:500], "ends after"),
        (whole | {"Content-Encoding": "gzip"}, DATA, "gzip"),
    ]
    for headers, body, words in bad:
        with pytest.raises(SourceError, match=words):
            fetch(message("200 OK", headers, body), timeout=patience(words))


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("http://127.0.0.1:99999/x", "port"), ("http://127.0.0.1:²/x", "port"),
        ("http://127.0.0.1:-1/x", "port"), ("http://[::1", "IPv6"), ("file:///etc/passwd", "only"),
        ("ftp://127.0.0.1/x", "only"), ("gopher://x", "only"), ("http://", "redirects"),
        ("http://u:p@127.0.0.1/", "passwords"), ("//[", "IPv6"), ("/a.tif", "redirects"),
        ("http://a b/", "not a valid server name"), ("javascript:alert(1)", "only"),
        ("?", "redirects"),
        ("http://127.0.0.1:0/", "port"), ("http://" + "a" * 300, "not a valid server name"),
    ],
)  # fmt: skip
def test_redirects_that_lead_nowhere(location: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        fetch(message("302 Found", {"Location": location}))
    assert "redirects" in caught.value.message


def test_floods_and_garbage_end() -> None:
    flood = {f"X-{number}": "a" for number in range(5000)}
    for raw in (
        message("206 Partial", flood | GOOD, DATA[100:200]),
        message("206 Partial", GOOD | {"X": "a" * 100_000}, DATA[100:200]),
        b"", b"\0" * 100, b"HTTP/1.1 206\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"SSH-2.0-x\r\n",
        b"HTTP/9.9 206 OK\r\n\r\n", b"HTTP/1.1 -1 OK\r\n\r\n", "HTTP/1.1 ²06 OK\r\n\r\n".encode(),
        message("204 None", {}), message("304 Same", {}), message("999 Odd", {}),
        message("206 Partial", {}), message("416 Range", {"Content-Range": "bytes */0"}),
    ):  # fmt: skip
        with pytest.raises(SourceError):
            fetch(raw, timeout=0.4)
        with pytest.raises(SourceError):
            fetch(raw, remote=None, timeout=0.4)


def trickle(first: bytes, piece: bytes, pause: float = 0.02) -> Raw:
    def answer(_: bytes) -> Iterator[bytes]:
        yield first
        for _count in range(2000):
            time.sleep(pause)
            yield piece

    return answer


@pytest.mark.parametrize(
    "raw",
    [
        trickle(b"", b"H"),
        trickle(b"HTTP/1.1 206 OK\r\n", b"X: a\r\n", 0.1),
        trickle(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        trickle(message("206 OK", GOOD), b"a"),
        trickle(b"HTTP/1.1 206 OK\r\n", b""),
    ],
    ids=["status", "headers", "continue", "body", "silence"],
)
def test_what_trickles_ends_in_time(raw: Raw) -> None:
    begin = time.monotonic()
    with pytest.raises(SourceError):
        fetch(raw, timeout=0.3)
    assert time.monotonic() - begin < 3


def test_a_page_without_end_is_not_read() -> None:
    def endless(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 403 No\r\n\r\n"
        while True:
            yield b"a" * 65536

    with pytest.raises(SourceError, match="not allowed"):
        fetch(endless)


# What follows needs no server: an answer is judged by its status and headers.


@given(
    said=st.tuples(st.integers(-5, 20), st.integers(-5, 20), st.sampled_from([0, 11, 12, 20])),
    length=st.none() | st.integers(-5, 20), start=st.integers(0, 9), count=st.integers(1, 9),
)  # fmt: skip
def test_what_is_taken_is_what_was_asked_for(
    said: tuple[int, int, int], length: int | None, start: int, count: int
) -> None:
    first, last, size = said
    headers = {"content-range": [f"bytes {first}-{last}/{size}"], "etag": ['"a"']}
    if length is not None:
        headers["content-length"] = [str(length)]
    pinned = Remote(size=12, etag='"a"')
    is_right = size == 12 and first == start and last == min(start + count, 12) - 1
    is_right = is_right and length in (None, last - first + 1)
    try:
        body = check_answer(206, headers, start=start, stop=start + count, pinned=pinned)
    except SourceError:
        assert not is_right
    else:
        assert is_right
        assert (body.start, body.length) == (start, min(start + count, 12) - start)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    status=st.sampled_from([200, 206]),
    headers=st.dictionaries(
        st.sampled_from(
            ["content-range", "content-length", "etag", "last-modified", "content-encoding", "date",
             "content-type", "x-goog-generation", "x-amz-version-id"]
        ),
        st.lists(st.text(st.characters(max_codepoint=255), max_size=30), min_size=1, max_size=2),
    ),
)  # fmt: skip
def test_no_header_is_a_traceback(status: int, headers: dict[str, list[str]]) -> None:
    with contextlib.suppress(SourceError):
        body = check_answer(status, headers, start=0, stop=10, pinned=None)
        check_pinnable(headers, body.remote)


@given(url=st.text() | st.text(max_size=20).map("http://".__add__))
def test_no_url_is_a_traceback(url: str) -> None:
    with contextlib.suppress(ValueError):
        found = parse_address(url)
        assert found.target.isascii()
        assert found.host.isascii()


OLD = "Mon, 30 Nov 2020 04:00:00 GMT"
NOW = "Mon, 30 Nov 2026 04:00:00 GMT"
WITHIN = "Mon, 30 Nov 2026 03:59:59 GMT"


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "neither `ETag` nor `Last-Modified`"),
        ({"etag": ""}, "neither"), ({"etag": '""'}, "neither"),
        ({"etag": 'W/"a"'}, "weak"), ({"last-modified": "yesterday"}, "not a valid time"),
        ({"last-modified": NOW}, "less than 2 s"), ({"last-modified": WITHIN}, "less than 2 s"),
        ({"x-amz-version-id": "null"}, "neither"),
        ({"etag": '"a"'}, None), ({"etag": "a"}, None), ({"last-modified": OLD}, None),
        ({"etag": 'W/"a"', "last-modified": OLD}, None), ({"x-goog-generation": "1"}, None),
        ({"x-amz-version-id": "null", "etag": '"a"'}, None),
    ],
)  # fmt: skip
def test_what_cannot_be_pinned(headers: dict[str, str], words: str | None) -> None:
    sent = {name: [value] for name, value in {**headers, "date": NOW}.items()}
    sent["content-range"] = ["bytes 0-9/10"]
    found = check_answer(206, sent, start=0, stop=10, pinned=None).remote
    if words is None:
        check_pinnable(sent, found)
    else:
        with pytest.raises(SourceError, match=words):
            check_pinnable(sent, found)


def test_states_that_a_server_tells_apart() -> None:
    weak = Remote(size=1, etag='W/"a"', modified=OLD)
    assert weak.is_same(Remote(size=1, etag='W/"a"', modified=OLD))
    for other in (
        Remote(size=1, etag='W/"a"', modified=NOW), Remote(size=1, etag='W/"b"', modified=OLD),
        Remote(size=1, modified=OLD), Remote(size=2, etag='W/"a"', modified=OLD),
    ):  # fmt: skip
        assert not weak.is_same(other)
        assert weak.generation != other.generation
        assert weak.identity("u") != other.identity("u")
    strong = Remote(size=1, etag='"a"', modified=OLD)
    assert strong.is_same(Remote(size=1, etag='"a"', modified=NOW))
    assert not strong.is_same(weak)


@pytest.fixture(name="served")
def served_fixture(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "bucket").mkdir()
    with serving(tmp_path / "bucket") as served:
        yield served


def read(bench: Workbench) -> Any:
    return geobatch.open_store(bench.store).open("a")["0/b1"][:256, :256]  # type: ignore[index]


def test_allow_unpinned_checks_the_size_alone(tmp_path: Path, served: Served) -> None:
    served.has_tags = served.has_times = False
    path = write_cog(served.folder / "cog.tif", [values()])
    bench = Workbench(folder=tmp_path)
    url = f"{served.url}cog.tif"
    with pytest.raises(SourceError, match="neither `ETag` nor `Last-Modified`") as caught:
        bench.apply(external("a", url))
    assert "allow_unpinned: true" in (caught.value.hint or "")
    bench.apply(external("a", url, allow_unpinned=True))
    assert_same(read(bench), overview(path, 0)[:256, :256], "unpinned")
    with path.open("ab") as file:
        file.write(b"longer")
    with pytest.raises(SourceError, match="Failed to load"):
        read(bench)


@pytest.mark.parametrize(
    "uri",
    ["http://[::1", "http://a b/c.tif", "http:///c.tif", "http://h:99999/c.tif", "http://",
     "https://u:p@h/c.tif", "http://h:x/c.tif"],
)  # fmt: skip
def test_a_bad_url_is_a_problem_of_the_spec(tmp_path: Path, uri: str) -> None:
    with pytest.raises(SpecError) as caught:
        Workbench(folder=tmp_path).apply(external("a", uri))
    # A password is not repeated.
    assert uri.replace("u:p@", "***@") in str(caught.value)


def test_allow_unpinned_is_of_external_images(tmp_path: Path) -> None:
    document = external("a", "a.tif", allow_unpinned=True) | {"kind": "image"}
    with pytest.raises(SpecError, match="allow_unpinned"):
        Workbench(folder=tmp_path).apply(document)
