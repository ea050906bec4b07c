"""Servers that answer something else than was asked for: an error that says so, or right pixels."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cogs import external, overview, values, write_cog
from msgspec.structs import replace
from odd_server import EARLIER, NEWER, OLD, Answer, Change, OddServer, odd_server, right
from workbench import Workbench, assert_same

import geobatch
from geobatch.cli.main import run
from geobatch.errors import SourceError
from geobatch.model.plans.plan import Op
from geobatch.model.sources.declared import DeclaredSource
from geobatch.sources.cog.layout import ask_server, probe_url
from geobatch.sources.naming import Named
from geobatch.sources.remote import ranges
from geobatch.sources.remote.answers import WHOLE_BYTES
from geobatch.sources.remote.ranges import RemoteObject
from geobatch.workflow.plan import plan

SIDE = 600


def declared(url: str) -> DeclaredSource:
    return DeclaredSource(uri=url, path=Path(), url=url, source=0, is_external=True)


def says(**headers: str | list[str] | None) -> Change:
    """Return a change that replaces headers; `{f}`, `{l}` and `{n}` are first, last and total."""

    def change(answer: Answer) -> None:
        numbers = {"f": answer.first, "l": answer.last, "n": len(answer.data)}
        for name, value in headers.items():
            values = [value] if isinstance(value, str) else value
            made = None if values is None else [one.format(**numbers) for one in values]
            answer.put(**{name: made})

    return change


def another_range(answer: Answer) -> None:
    """Bytes from a place further on, said so."""
    first, last = answer.first + 7, min(answer.last + 7, len(answer.data) - 1)
    answer.body = answer.data[first : last + 1]
    says(Content_Range=f"bytes {first}-{last}/{{n}}", Content_Length=str(len(answer.body)))(answer)


def less_of_it(answer: Answer) -> None:
    """All of the range but its last byte."""
    answer.body = answer.body[:-1]
    says(Content_Range=f"bytes {{f}}-{answer.last - 1}/{{n}}", Content_Length=None)(answer)
    answer.is_last = True


def more_of_it(answer: Answer) -> None:
    """All of the range and a byte more."""
    last = answer.last + 1
    answer.body = answer.data[answer.first : last + 1]
    says(Content_Range=f"bytes {{f}}-{last}/{{n}}", Content_Length=str(len(answer.body)))(answer)


def short(answer: Answer) -> None:
    """The connection ends one byte too soon."""
    answer.body, answer.is_last = answer.body[:-1], True


def short_without_length(answer: Answer) -> None:
    short(answer)
    answer.put(Content_Length=None)


def long_without_length(answer: Answer) -> None:
    answer.body, answer.is_last = answer.body + b"!", True
    answer.put(Content_Length=None)


def chunked(answer: Answer, *, of: bytes = b"", tail: bytes = b"0\r\n\r\n") -> None:
    answer.put(Content_Length=None, Transfer_Encoding="chunked")
    body = answer.body + of
    answer.body = f"{len(body):x}\r\n".encode() + body + b"\r\n" + tail
    answer.is_last = True


def parts(answer: Answer) -> None:
    rest = answer.headers["Content-Range"][0]
    answer.put(Content_Type="multipart/byteranges; boundary=x", Content_Range=None)
    answer.body = f"--x\r\nContent-Range: {rest}\r\n\r\n".encode() + answer.body + b"\r\n--x--"
    answer.put(Content_Length=str(len(answer.body)))


def status_line(answer: Answer, *, line: str) -> None:
    answer.line, answer.is_last = line, True


def to(location: str) -> Change:
    def change(answer: Answer) -> None:
        answer.status, answer.body = 302, b""
        answer.put(Content_Range=None, Content_Length="0", Location=location)

    return change


RANGES: dict[str, tuple[Change, str]] = {
    "another range": (another_range, "expected bytes"),
    "less": (less_of_it, "expected bytes|no such range"),
    "more": (more_of_it, "expected bytes"),
    "no range": (says(Content_Range=None), "no `Content-Range`"),
    "no total": (says(Content_Range="bytes {f}-{l}/*"), "does not say how long"),
    "shorter total": (
        says(Content_Range="bytes {f}-{l}/1"),
        "no such range|expected|Failed to load",
    ),
    "reversed": (says(Content_Range="bytes {l}-{f}/{n}"), "no such range|Failed|expected"),
    "unsatisfied": (says(Content_Range="bytes */{n}"), "expected `Content-Range"),
    "other unit": (says(Content_Range="pages {f}-{l}/{n}"), "expected `Content-Range"),
    "empty range": (says(Content_Range=""), "no `Content-Range`"),
    "digits of another script": (says(Content_Range="bytes {f}-{l}/\u0661\u0662"), "expected `Con"),
    "superscript digits": (says(Content_Range="bytes {f}-{l}/\u00b2"), "expected `Con"),
    "signs": (says(Content_Range="bytes +{f}-+{l}/+{n}"), "expected `Con"),
    "minus": (says(Content_Range="bytes -{f}--{l}/-{n}"), "expected `Con"),
    "spaces": (says(Content_Range="bytes {f} - {l} / {n}"), "expected `Con"),
    "underscores": (says(Content_Range="bytes 0_0-{l}/{n}"), "expected `Con"),
    "400 digits": (says(Content_Range="bytes {f}-{l}/" + "9" * 400), "expected `Con"),
    "5000 digits": (says(Content_Range="bytes " + "0" * 5000 + "{f}-{l}/{n}"), "5,0"),
    "two ranges": (says(Content_Range=["bytes {f}-{l}/{n}", "bytes 0-0/{n}"]), "contradicts|sent"),
    "folded": (says(Content_Range="bytes\r\n {f}-{l}/{n}"), "control character"),
    "several parts": (parts, "several parts"),
    "coded": (says(Content_Encoding="gzip"), "compresses it"),
    "coded twice": (says(Content_Encoding=["identity", "br"]), "contradicts itself"),
    "framed": (says(Transfer_Encoding="gzip", Content_Length=None), "Transfer-Encoding"),
    "huge length": (says(Content_Length="9" * 400), "expected a number"),
    "larger length": (says(Content_Length=str(1 << 40)), "the server sends 1099511627776"),
    "negative length": (says(Content_Length="-1"), "expected a number"),
    "garbage length": (says(Content_Length="many"), "expected a number"),
    "signed length": (says(Content_Length="+5"), "expected a number"),
    "two lengths": (says(Content_Length=["5", "6"]), "contradicts itself"),
    "two tags": (says(ETag=['"one"', '"two"']), "contradicts itself"),
    "two times": (says(Last_Modified=[OLD, NEWER]), "contradicts itself"),
    "long tag": (says(ETag='"' + "x" * 5000 + '"'), "5,002 characters"),
    "control characters": (says(ETag='"a\x1b[2J"'), "control character"),
    "whole": (Answer.send_whole, "only whole files"),
    "a line that is not a header": (says(Date=f"{OLD}\r\nno header\r\nX: y"), "not a header"),
    "space behind a name": (says(Date=f"{OLD}\r\nContent-Encoding : gzip"), "not a header"),
    "short": (short, "ends after"),
    "short, no length": (short_without_length, "ends after"),
    "long, no length": (long_without_length, r"more than \d+ bytes"),
    "chunked, long": (partial(chunked, of=b"!"), r"more than \d+ bytes"),
    "chunked, cut": (partial(chunked, tail=b""), "inside a chunk"),
    "chunked, garbage": (partial(chunked, tail=b"zz\r\n"), "inside a chunk"),
    "no HTTP": (partial(status_line, line="SSH-2.0-OpenSSH_9.6 \x1b[2J"), "usable answer"),
    "long line": (partial(status_line, line="HTTP/1.1 206 " + "x" * 70_000), "usable answer"),
    "status of 400 digits": (partial(status_line, line="HTTP/1.1 " + "2" * 400), "usable answer"),
    "nothing": (partial(status_line, line="\r\n"), "usable answer|cannot be reached"),
    "bad port": (to("http://127.0.0.1:99999/x"), "redirects to `http://127.0.0.1:99999/x`"),
    "odd port": (to("http://127.0.0.1:no/x"), "its port is not a number"),
    "a file": (to("file:///etc/passwd"), "redirects to `file:///etc/passwd`"),
    "ftp": (to("ftp://127.0.0.1/x"), "only `http://` and `https://`"),
    "itself": (to("/cog.tif"), "more than 5 redirects"),
    "long host": (to(f"http://{'a' * 400}/x"), "not a valid server name"),
    "cut address": (to("http://[::1"), "not an IPv6 address"),
    "no host": (to("http:///x"), "redirects to|more than 5|no host"),
    "nowhere": (to(""), "more than 5 redirects"),
}


@pytest.fixture(name="quick", autouse=True)
def quick_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers are given up soon."""
    monkeypatch.setattr(ranges, "PAUSE", 0.0)


@pytest.fixture(name="cog", scope="module")
def cog_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cog(tmp_path_factory.mktemp("cog") / "cog.tif", [values((SIDE, SIDE))])


@pytest.fixture(name="served")
def served_fixture(cog: Path) -> Iterator[OddServer]:
    with odd_server(cog.read_bytes()) as served:
        assert len(served.data) > WHOLE_BYTES
        yield served


def assert_clear(caught: pytest.ExceptionInfo[SourceError], served: OddServer) -> None:
    message = caught.value.message
    assert served.url in message, message
    assert len(message) < 600, "a server decides how long a message is"
    assert message.isprintable(), "a server writes to the terminal"


@pytest.mark.parametrize("kind", RANGES)
def test_an_odd_answer_is_an_error_that_says_what_is_odd(served: OddServer, kind: str) -> None:
    served.change, words = RANGES[kind]
    with pytest.raises(SourceError, match=words) as caught:
        probe_url(declared(served.url))
    assert_clear(caught, served)


@pytest.fixture(name="applied", scope="module")
def applied_fixture(
    tmp_path_factory: pytest.TempPathFactory, cog: Path
) -> Iterator[tuple[Workbench, OddServer]]:
    """Return a store whose asset was applied while its server behaved."""
    bench = Workbench(folder=tmp_path_factory.mktemp("bench"))
    with odd_server(cog.read_bytes()) as served:
        bench.apply(external("a", served.url))
        yield bench, served


@pytest.mark.parametrize("kind", [*RANGES, "another total"])
def test_a_server_that_turns_odd_shows_no_wrong_pixel(
    applied: tuple[Workbench, OddServer], kind: str
) -> None:
    bench, served = applied
    served.change = right
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    array[:10, :10]
    odd = RANGES[kind][0] if kind in RANGES else says(Content_Range="bytes {f}-{l}/99999999")
    again: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    for one in (array, again):
        served.change = odd
        with pytest.raises(SourceError) as caught:
            one[SIDE - 10 :, SIDE - 10 :]
        assert_clear(caught, served)
        served.change = right
        # A reader goes on where the server does.
        assert one[SIDE - 10 :, SIDE - 10 :].shape == (10, 10)


def test_bytes_behind_an_answer_are_not_taken_for_the_next(
    applied: tuple[Workbench, OddServer], cog: Path
) -> None:
    """A body longer than its length, as if a second answer, of zeros, followed the first."""
    bench, served = applied

    def long(answer: Answer) -> None:
        zeros = b"\0" * len(answer.body)
        lines = [f"{name}: {value[0]}" for name, value in answer.headers.items()]
        head = "\r\n".join(["HTTP/1.1 206 Odd", *lines, "", ""]).encode()
        answer.body += head + zeros

    served.change = long
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    try:
        found = array[:, :]
    except SourceError:
        return
    assert_same(found, overview(cog, 0), "long bodies")


@pytest.mark.parametrize(
    "change",
    [
        says(Content_Encoding="identity"),
        says(Content_Range=["bytes {f}-{l}/{n}", "bytes {f}-{l}/{n}"]),
        says(Content_Range="BYTES {f}-{l}/{n}"),
        says(Content_Range="  bytes {f}-{l}/{n}\t"),
        chunked,
        to("right.tif"),
    ],
    ids=["identity", "said twice", "capitals", "blanks around", "chunked", "redirect"],
)
def test_what_is_merely_unusual_is_read(served: OddServer, cog: Path, change: Change) -> None:
    def changed(answer: Answer) -> None:
        if served.asked[-1]["path"] != "/right.tif":
            change(answer)

    served.change = changed
    source = RemoteObject(served.url)
    data = cog.read_bytes()
    assert source.fetch(0, 100) == data[:100]
    assert source.fetch(500, 70_000) == data[500:70_000]
    assert source.fetch(len(data) - 5, len(data) + 5) == data[-5:]
    source.close()


def test_a_small_object_may_be_sent_whole(tmp_path: Path) -> None:
    path = write_cog(tmp_path / "small.tif", [values((100, 100))])
    assert path.stat().st_size < WHOLE_BYTES
    with odd_server(path.read_bytes()) as served:
        served.change = Answer.send_whole
        bench = Workbench(folder=tmp_path)
        bench.apply(external("a", served.url))
        array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
        assert_same(array[:, :], overview(path, 0), "sent whole")


def test_a_part_that_is_sent_as_the_whole_is_refused(served: OddServer) -> None:
    def partly(answer: Answer) -> None:
        answer.status = 200

    served.change = partly
    with pytest.raises(SourceError, match="status 200 with a `Content-Range`"):
        probe_url(declared(served.url))


def test_a_total_that_changes_between_requests(served: OddServer) -> None:
    source = RemoteObject(served.url)
    source.fetch(0, 10)
    served.change = says(Content_Range=f"bytes {{f}}-{{l}}/{len(served.data) + 1}")
    with (
        pytest.raises(SourceError, match="Failed to load the GeoTIFF at") as caught,
        Named(served.url),
    ):
        source.fetch(10, 20)
    assert_clear(caught, served)


def test_a_server_that_stops_or_trickles_is_given_up(served: OddServer) -> None:
    """It says more than it sends, and keeps the connection open."""

    def stops(answer: Answer) -> None:
        answer.body = answer.body[:-1]

    served.change = stops
    source = RemoteObject(served.url, timeout=0.1)
    words = r"cannot be reached: timed out|takes too long"
    with pytest.raises(SourceError, match=words) as caught, Named(served.url):
        source.fetch(0, 100)
    assert_clear(caught, served)
    assert len(served.asked) < 4, "it is not asked for longer than twice the time"


def test_a_server_that_stays_busy_is_named_with_its_status(
    served: OddServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(answer: Answer) -> None:
        answer.status, answer.body = 503, b""
        answer.put(Content_Length="0", Content_Range=None)

    served.change = busy
    with pytest.raises(SourceError, match="HTTP status 503"):
        RemoteObject(served.url).fetch(0, 10)
    monkeypatch.setattr(ranges, "PAUSE", 10.0)
    with pytest.raises(SourceError, match="HTTP status 503"):
        RemoteObject(served.url, timeout=0.1).fetch(0, 10)


def test_an_address_that_a_redirect_gave_for_a_while_is_asked_for_again(served: OddServer) -> None:
    """Signed addresses expire: the first server gives another."""
    names = iter(["first", "second"])

    def expiring(answer: Answer) -> None:
        path = served.asked[-1]["path"]
        if path == "/cog.tif":
            to(f"/{next(names)}")(answer)
        elif path == "/first" and len(served.asked) > 2:
            answer.status, answer.body = 403, b""
            answer.put(Content_Length="0", Content_Range=None)

    served.change = expiring
    source = RemoteObject(served.url)
    assert source.fetch(0, 10) == served.data[:10]
    assert source.fetch(10, 20) == served.data[10:20]
    assert [one["path"] for one in served.asked] == [
        "/cog.tif", "/first", "/first", "/cog.tif", "/second",
    ]  # fmt: skip
    source.close()


UNPINNED = {
    "nothing": (says(ETag=None, Last_Modified=None), "neither `ETag` nor `Last-Modified`"),
    "empty tag": (says(ETag='""', Last_Modified=None), "neither `ETag` nor `Last-Modified`"),
    "weak": (says(ETag='W/"a"', Last_Modified=None), '`W/"a"`, is weak'),
    "weak, small letter": (says(ETag='w/"a"', Last_Modified=None), "is weak"),
    "no time": (says(ETag=None, Last_Modified="yesterday"), "`yesterday`, is not a valid time"),
    "weak, no time": (says(ETag='W/"a"', Last_Modified="0"), "`0`, is not a valid time"),
    "null version": (says(ETag=None, Last_Modified=None, x_amz_version_id="null"), "neither"),
    "a time to come": (says(ETag=None, Last_Modified=NEWER, Date=EARLIER), "less than 2 s before"),
}


@pytest.mark.parametrize("kind", UNPINNED)
def test_what_cannot_be_pinned_is_refused_unless_the_spec_says_so(
    served: OddServer, kind: str
) -> None:
    served.change, words = UNPINNED[kind]
    for ask in (ask_server, probe_url):
        with pytest.raises(SourceError, match=words) as caught:
            ask(declared(served.url))
        assert_clear(caught, served)
        ask(replace(declared(served.url), allow_unpinned=True))


@pytest.mark.parametrize("tag", ['W/"a"', None])
def test_a_time_pins_where_no_strong_tag_does(
    tmp_path: Path, served: OddServer, tag: str | None
) -> None:
    served.change = says(ETag=tag)
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", served.url))
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    array[:10, :10]
    served.change = says(ETag=tag, Last_Modified=NEWER)
    with pytest.raises(SourceError, match="Failed to load the GeoTIFF at"):
        array[SIDE - 10 :, :10]
    (change,) = plan([tmp_path / "spec.yaml"], store=bench.store).changes
    assert change.op is Op.UPDATE
    assert not any("if-match" in asked for asked in served.asked), "a weak tag never matches"


def test_a_strong_tag_that_changes_at_the_same_size(tmp_path: Path, served: OddServer) -> None:
    bench = Workbench(folder=tmp_path)
    bench.apply(external("a", served.url))
    served.change = says(ETag='"two"')
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    with pytest.raises(SourceError) as caught:
        array[:10, :10]
    assert caught.value.message == f"Failed to load the GeoTIFF at `{served.url}#one`"
    (change,) = plan([tmp_path / "spec.yaml"], store=bench.store).changes
    assert change.op is Op.UPDATE


def test_exit_codes_of_what_cannot_be_pinned(
    tmp_path: Path, served: OddServer, capsys: pytest.CaptureFixture[str]
) -> None:
    served.change = says(ETag=None, Last_Modified=None)
    bench = Workbench(folder=tmp_path)
    spec = bench.write_spec([external("a", served.url)])
    for command in (["plan"], ["apply"]):
        assert run(["--store", str(bench.store), *command, str(spec)]) == 7
        told = capsys.readouterr()
        assert "neither `ETag` nor `Last-Modified`" in told.err
        assert "allow_unpinned: true" in told.err
        assert served.url in told.err
        assert "Traceback" not in told.err
    bench.write_spec([external("a", served.url, allow_unpinned=True)])
    assert run(["--store", str(bench.store), "apply", str(spec)]) == 0
    assert run(["--store", str(bench.store), "apply", str(spec)]) == 0
    capsys.readouterr()
    array: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    assert array[:, :].shape == (SIDE, SIDE)
    # What is published stays readable, and a size that differs is refused.
    served.change = says(ETag=None, Last_Modified=None, Content_Range="bytes {f}-{l}/99999999")
    again: Any = geobatch.open_store(bench.store).open("a")["0/b1"]
    with pytest.raises(SourceError, match=f"undated, {len(served.data)} bytes"):
        again[:10, :10]
