"""Which servers are asked: never those that give credentials, confined only those allowed."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cogs import external, values, write_cog
from range_server import Served, serving
from shell import Done, geobatch

from geobatch.errors import SourceError
from geobatch.model.sources.servers import Servers, ip_refusal, parse_host
from geobatch.model.sources.url import parse_address
from geobatch.sources.remote import connection
from geobatch.sources.remote.ranges import RemoteObject

NEVER = (
    "169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "100.100.100.200",
    "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "168.63.129.16", "192.0.0.192",
    "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::169.254.169.254", "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::1", "::ffff:100.100.100.200",
    "::ffff:0:169.254.169.254", "2001:0:4136:e378:8000:63bf:5601:5601", "224.0.0.1", "ff02::1",
)  # fmt: skip
PRIVATE = (
    "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.5.5", "192.168.1.1", "100.64.0.1", "0.0.0.0",
    "::1", "::", "fd12::1", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1",
    "2002:7f00:1::1", "::127.0.0.1", "192.0.2.1", "198.18.0.1", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
PUBLIC = ("8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "1.1.1.1")


@pytest.mark.parametrize("is_confined", [True, False])
def test_addresses(is_confined: bool) -> None:
    for text in NEVER:
        assert ip_refusal(text, is_confined=is_confined), text
    for text in PRIVATE:
        assert bool(ip_refusal(text, is_confined=is_confined)) is is_confined, text
    for text in PUBLIC:
        assert ip_refusal(text, is_confined=is_confined) is None, text


SPELLINGS = (
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518",
    "0xA9.254.0251.254", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[fe80::1]",
    "[fd00:ec2::254]", "100.100.100.200", "169.254.169.254.",
)  # fmt: skip


@pytest.mark.parametrize("host", SPELLINGS)
def test_no_spelling_of_a_metadata_address_is_asked(host: str) -> None:
    named = Servers(hosts=frozenset({parse_host(host)}))
    for servers in (None, named):
        source = RemoteObject(f"http://{host}/latest", timeout=0.2, servers=servers)
        with pytest.raises(SourceError, match=r"may not be asked|cannot be reached") as caught:
            source.fetch(0, 10)
        if "cannot be reached" in caught.value.message:  # a spelling that this system does not read
            assert "Name or service" in caught.value.message or "known" in caught.value.message


def answering(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Have the resolver give these addresses, one list per question; returns the questions."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        family = socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_a_name_that_resolves_to_a_metadata_address(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, ["169.254.169.254"])
    with pytest.raises(SourceError, match=r"`data\.example` may not be asked: it is a link-local"):
        RemoteObject("http://data.example/a").fetch(0, 10)
    answering(monkeypatch, ["127.0.0.1", "169.254.169.254"])
    with pytest.raises(SourceError, match="link-local"):
        RemoteObject("http://data.example/a").fetch(0, 10)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "www"
    folder.mkdir()
    write_cog(folder / "a.tif", [values((64, 64))])
    with serving(folder) as found:
        yield found


def test_the_connection_is_made_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, served: Served
) -> None:
    """A resolver that answers differently the second time is asked once per connection."""
    port = served.url.rstrip("/").rpartition(":")[2]
    asked = answering(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    source = RemoteObject(f"http://data.example:{port}/a.tif")
    assert source.fetch(0, 4) in (b"II*\0", b"II+\0")
    assert asked == ["data.example"]
    source.close()
    with pytest.raises(SourceError, match="link-local"):
        source.fetch(4, 8)


def test_redirects_are_checked_again(served: Served) -> None:
    port = int(served.url.rstrip("/").rpartition(":")[2])
    named = Servers(hosts=frozenset({parse_host(f"http://127.0.0.1:{port}")}))
    for target, words in (
        ("http://169.254.169.254/latest/meta-data/", "not allowed"),
        (f"http://localhost:{port}/a.tif", "`localhost` is not allowed"),
        ("http://[::ffff:a9fe:a9fe]/", "not allowed"),
    ):
        served.redirects["b.tif"] = target
        with pytest.raises(SourceError, match=words):
            RemoteObject(f"{served.url}b.tif", servers=named).fetch(0, 4)
    served.redirects["b.tif"] = "http://2852039166/"
    with pytest.raises(SourceError, match="link-local"):
        RemoteObject(f"{served.url}b.tif").fetch(0, 4)
    served.redirects["b.tif"] = "/a.tif"
    assert RemoteObject(f"{served.url}b.tif", servers=named).fetch(0, 4)


def test_no_redirect_leaves_encryption(monkeypatch: pytest.MonkeyPatch, served: Served) -> None:
    """The server of the test has no certificate: only the kind of connection is exchanged."""
    monkeypatch.setitem(connection._KINDS, "https", http.client.HTTPConnection)
    url = served.url.replace("http://", "https://")
    served.redirects["b.tif"] = f"{served.url}a.tif"
    with pytest.raises(SourceError, match="redirects from `https://` to"):
        RemoteObject(f"{url}b.tif").fetch(0, 4)
    served.redirects["b.tif"] = f"{url}a.tif"
    assert RemoteObject(f"{url}b.tif").fetch(0, 4)


def plan(folder: Path, url: str, allow: list[str] | None, *flags: str) -> Done:
    text = yaml.safe_dump(external("a", url))
    (folder / "s.yaml").write_text(text)
    (folder / "geobatch.yaml").unlink(missing_ok=True)
    if allow is not None:
        (folder / "geobatch.yaml").write_text(yaml.safe_dump({"allow": allow}))
    return geobatch("plan", folder / "s.yaml", "--init", "--store", folder / "store", *flags)


def test_a_confined_run_asks_only_allowed_servers(tmp_path: Path, served: Served) -> None:
    url = f"{served.url}a.tif"
    host = served.url.partition("://")[2].rstrip("/")
    assert plan(tmp_path, url, None).code == 0
    before = len(served.requests)
    refused = plan(tmp_path, url, None, "--confine")
    assert refused.code == 1
    assert "s.yaml:7:7: outside: " in refused.err
    for allow, code, words in (
        ([], 1, "this server is not allowed"),
        (["https:"], 1, "this server is not allowed"),
        (["example.org"], 1, "this server is not allowed"),
        ([f"https://{host}"], 1, "this server is not allowed"),
        (["http://127.0.0.1:1"], 1, "this server is not allowed"),
        (["http:"], 7, "it is a private or reserved address"),
    ):
        done = plan(tmp_path, url, allow)
        assert (done.code, words in done.err) == (code, True), (allow, done.err)
    assert len(served.requests) == before
    for allow in (["127.0.0.1"], [host], [f"http://{host}"], ["http:", "127.0.0.1"]):
        assert plan(tmp_path, url, allow).code == 0, allow
        assert plan(tmp_path, url, allow, "--confine").code == 0, allow
    assert len(served.requests) > before
    entry = refused.err.partition("allow: ")[2].partition("`")[0]
    assert plan(tmp_path, url, yaml.safe_load(entry)).code == 0, "the hint works when pasted"


@pytest.mark.parametrize(
    ("text", "url", "is_same"),
    [
        ("example.org", "http://EXAMPLE.org./a", True),
        ("example.org", "https://x.example.org/", False),
        ("example.org", "http://example.org.evil/", False),
        ("example.org:80", "http://example.org/", True),
        ("example.org:80", "https://example.org/", False),
        ("https://example.org", "https://example.org:444/", True),
        ("https://example.org", "http://example.org/", False),
        ("127.0.0.1", "http://127.0.0.1:9/", True),
        ("[::1]", "http://[0:0::1]/", True),
    ],
)
def test_hosts(text: str, url: str, is_same: bool) -> None:
    assert parse_host(text).matches(parse_address(url)) is is_same


def test_a_header_without_end_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch, served: Served
) -> None:
    """A server that makes up what is asked for could give any number of bytes."""
    size = (Path(served.folder) / "a.tif").stat().st_size
    monkeypatch.setenv("GEOBATCH_MAX_HEADER_BYTES", "1000")
    source = RemoteObject(f"{served.url}a.tif", is_header=True)
    assert len(source.fetch(0, 900)) == 900
    with pytest.raises(SourceError, match="1,001 bytes would have to be read as its header") as one:
        source.fetch(900, 1001)
    assert "GEOBATCH_MAX_HEADER_BYTES=1001" in str(one.value.hint)
    assert len(served.requests) == 1
    monkeypatch.setenv("GEOBATCH_MAX_REQUEST_BYTES", "500")
    source = RemoteObject(f"{served.url}a.tif")
    with pytest.raises(SourceError, match="would have to be read at once"):
        source.fetch(0, min(size, 501))
    source.close()


def test_all_requests_of_a_header_share_a_deadline(
    monkeypatch: pytest.MonkeyPatch, served: Served
) -> None:
    monkeypatch.setenv("GEOBATCH_MAX_PROBE_SECONDS", "1")
    source = RemoteObject(f"{served.url}a.tif", is_header=True)
    assert source.fetch(0, 4)
    time.sleep(1.1)
    with pytest.raises(SourceError) as one:
        source.fetch(4, 8)
    assert "GEOBATCH_MAX_PROBE_SECONDS" in str(one.value.hint)
    source.close()
