"""Urls of objects on HTTP servers, checked before any request."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, quote, urlsplit

from msgspec import Struct

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
_LONGEST_HOST = 253
_BRACKETS = re.compile(r"(^|@)\[[^\[\]]+\](:[^\[\]]*)?$")
_NO_IPV6 = "its host in brackets is not an IPv6 address"
DEFAULT_PORTS = {"http": 80, "https": 443}
"""Ports by scheme."""
_KEPT = "/%:@!$&'()*+,;=~-._"


class Address(Struct, frozen=True, kw_only=True):
    """Where an object is."""

    scheme: str
    """`http` or `https`."""
    host: str
    """Name or number of the server, in ASCII."""
    port: int | None
    """None for the default port of the scheme."""
    target: str
    """Path and query as they are sent."""


def parse_address(url: str) -> Address:
    """Return the parts of a url.

    Raises:
        ValueError: It is not valid; the message says why: `it has no host`.
    """
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in url):
        raise ValueError("it contains a control character")
    parts, host = _split(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("only `http://` and `https://` are supported")
    if "@" in parts.netloc:
        raise ValueError("user names and passwords are not supported")
    if not host:
        raise ValueError("it has no host")
    port = _port(parts)
    try:
        target = quote(parts.path or "/", safe=_KEPT)
        if parts.query:
            target += "?" + quote(parts.query, safe=_KEPT + "?[]|")
    except UnicodeError:
        raise ValueError("it contains a character that a URL cannot contain") from None
    ascii_host = _ascii(host)
    if not _is_host(ascii_host):
        raise ValueError("its host is not a valid server name")
    return Address(scheme=parts.scheme, host=ascii_host, port=port, target=target)


def _split(url: str) -> tuple[SplitResult, str]:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        if "[" in url or "]" in url:
            raise ValueError(_NO_IPV6) from error
        raise ValueError("its host contains a character that a URL cannot contain") from error
    # Python ignores what is before or after the brackets.
    is_bracketed = "[" in parts.netloc or "]" in parts.netloc
    if is_bracketed and not (_BRACKETS.search(parts.netloc) and ":" in host):
        raise ValueError(_NO_IPV6)
    return parts, host


def _port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("its port is not a number from 1 to 65535")
    return port


def _ascii(host: str) -> str:
    if ":" in host or len(host) > _LONGEST_HOST:
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return ""


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    labels = host.removesuffix(".").split(".")
    return len(host) <= _LONGEST_HOST and all(map(_HOST.fullmatch, labels))
