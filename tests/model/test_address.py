"""Addresses on servers: what leads nowhere is said before anybody is asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.model.sources.url import Address, parse_address


@pytest.mark.parametrize(
    ("url", "host", "port", "target"),
    [
        ("http://h/x.tif", "h", None, "/x.tif"),
        ("HTTPS://H.Example/X.tif", "h.example", None, "/X.tif"),
        ("http://h:8080/x", "h", 8080, "/x"),
        ("http://h:/x", "h", None, "/x"),
        ("http://h", "h", None, "/"),
        ("http://h?a=b", "h", None, "/?a=b"),
        ("http://127.0.0.1:1/x", "127.0.0.1", 1, "/x"),
        ("http://[::1]:65535/x", "::1", 65535, "/x"),
        ("http://my_bucket.h./x", "my_bucket.h.", None, "/x"),
        ("http://h/a b/c%20d+e.tif", "h", None, "/a%20b/c%20d+e.tif"),
        ("http://h/\u00e4?q=\u00e4&s=a/b?c#part", "h", None, "/%C3%A4?q=%C3%A4&s=a/b?c"),
        ("http://\u00e9.example/x", "xn--9ca.example", None, "/x"),
    ],
)
def test_what_leads_somewhere(url: str, host: str, port: int | None, target: str) -> None:
    scheme = url.partition(":")[0].lower()
    expected = Address(scheme=scheme, host=host, port=port, target=target)
    assert parse_address(url) == expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://[::1", "in brackets is not an IPv6 address"),
        ("http://[::1]x/a", "in brackets is not an IPv6 address"),
        ("http://x[::1]/a", "in brackets is not an IPv6 address"),
        ("http://[]/a", "in brackets is not an IPv6 address"),
        ("http://[1.2.3.4]/a", "in brackets is not an IPv6 address"),
        ("http://[v1.x]/a", "in brackets is not an IPv6 address"),
        ("http://[::g]/a", "not a valid server name|not an IPv6 address"),
        ("http:///x", "no host"),
        ("http://", "no host"),
        ("http:x", "no host"),
        ("http://:80/x", "no host"),
        ("http://h:99999/x", "not a number from 1 to 65535"),
        ("http://h:0/x", "not a number from 1 to 65535"),
        ("http://h:-1/x", "not a number from 1 to 65535"),
        ("http://h:+80/x", "not a number from 1 to 65535"),
        ("http://h: 80/x", "not a number from 1 to 65535"),
        ("http://h:8_0/x", "not a number from 1 to 65535"),
        ("http://h:\u0668\u0660/x", "not a number from 1 to 65535"),
        ("http://h:" + "9" * 5000 + "/x", "not a number from 1 to 65535"),
        ("http://my host/x", "not a valid server name"),
        ("http://h\\x/y", "not a valid server name"),
        ("http://a..b/x", "not a valid server name"),
        ("http://-a/x", "not a valid server name"),
        ("http://" + "a" * 64 + "/x", "not a valid server name"),
        ("http://" + "a" * 400 + "/x", "not a valid server name"),
        ("http://" + "a." * 127 + "com/x", "not a valid server name"),
        ("http://" + "\u00e4" * 100_000 + "/x", "not a valid server name"),
        ("http://a\u2100b/x", "a URL cannot contain"),
        ("http://h/\ud800", "a URL cannot contain"),
        ("http://\ud800/x", "not a valid server name"),
        ("http://h/a\tb", "control character"),
        ("http://h/a\r\nHost: other", "control character"),
        ("http://h/\x7f", "control character"),
        ("http://user:word@h/x", "user names and passwords"),
        ("http://user@[::1]/x", "user names and passwords"),
        ("ftp://h/x", "only `http://` and `https://`"),
        ("file:///etc/passwd", "only `http://` and `https://`"),
        ("", "only `http://` and `https://`"),
    ],
)
def test_what_leads_nowhere_says_why(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_address(url)


def address_or_error(url: str) -> Address | ValueError:
    try:
        return parse_address(url)
    except ValueError as error:
        return error


PIECES = st.sampled_from([
    "http", "https", "://", "/", ":", "@", "[", "]", "::1", "h", ".", "80", "65536", "?", "#", "%",
    " ", "\t", "\u00e4", "\u2100", "\ud800", "\\", "-", "..", "\x00",
])  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join)))
def test_any_text_leads_somewhere_or_says_why(text: str) -> None:
    found = address_or_error(f"http://{text}")
    if not isinstance(found, Address):
        assert type(found) is ValueError, "others give no reason for people"
        assert str(found).isprintable()
        return
    # What is sent is one line of ASCII, and cannot carry a second header.
    for part in (found.host, found.target):
        assert part.isascii()
        assert part.isprintable()
        assert " " not in part
    assert found.target.startswith("/")
    assert found.port is None or 0 < found.port < 65536
