"""Which servers may be asked: named hosts and schemes, and addresses that never may."""

from __future__ import annotations

import ipaddress
import re
from typing import TypeAlias

from msgspec import Struct

from geobatch.model.sources.url import DEFAULT_PORTS, Address, parse_address

_Ip: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "100.100.100.200",  # Alibaba Cloud
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle Cloud
            "fd00:ec2::254",  # AWS
            "fd20:ce::254",  # Google Cloud
        ),
    )
)
"""Addresses at which clouds give credentials to their machines, besides the link-local ones."""
_AWS_LOCAL = ipaddress.ip_network("fd00:ec2::/32")
_EMBEDDED = tuple(
    (ipaddress.IPv6Network(network), shift)
    for network, shift in (
        ("::ffff:0:0/96", 0),  # IPv4-mapped
        ("::ffff:0:0:0/96", 0),  # IPv4-translated
        ("::/96", 0),  # IPv4-compatible
        ("64:ff9b::/96", 0),  # NAT64
        ("64:ff9b:1::/48", 0),  # NAT64 of a site, with the usual prefix
        ("2002::/16", 80),  # 6to4
    )
)
"""Networks whose addresses contain an IPv4 address, and how many bits follow it."""
_TEREDO = ipaddress.IPv6Network("2001::/32")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/]+)(?::([0-9]{1,5}))?")


class Host(Struct, frozen=True, kw_only=True):
    """A server that is allowed by its name or number."""

    name: str
    """As urls name it, in lowercase."""
    scheme: str = ""
    """`http` or `https`; empty for both."""
    port: int | None = None
    """None for every port."""

    def matches(self, address: Address) -> bool:
        """Return whether an address is of this server."""
        return (
            self.name == _name(address.host)
            and self.scheme in ("", address.scheme)
            and self.port in (None, address.port or DEFAULT_PORTS[address.scheme])
        )


class Servers(Struct, frozen=True, kw_only=True):
    """The servers that a confined run may ask."""

    schemes: frozenset[str] = frozenset()
    """`http` or `https`: every server of the public internet."""
    hosts: frozenset[Host] = frozenset()
    """Single servers, which may be private."""

    def is_named(self, address: Address) -> bool:
        """Return whether the server of an address is allowed by its name."""
        return any(host.matches(address) for host in self.hosts)

    def allows(self, address: Address) -> bool:
        """Return whether an address may be asked, as far as its name shows."""
        return address.scheme in self.schemes or self.is_named(address)


def parse_host(text: str) -> Host:
    """Return the server of `example.org`, `example.org:8080` or `https://example.org`.

    Raises:
        ValueError: The text is none; the message says why.
    """
    scheme, mark, rest = text.rpartition("://")
    rest = rest.removesuffix("/")
    match = _HOST_PORT.fullmatch(rest)
    if (mark and scheme.lower() not in ("http", "https")) or match is None:
        raise ValueError("it is not a server")
    address = parse_address(f"{scheme or 'https'}://{rest}/")
    return Host(name=_name(address.host), scheme=scheme.lower(), port=address.port)


def _name(host: str) -> str:
    name = host.lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def ip_refusal(text: str, *, is_confined: bool) -> str | None:
    """Return why the server with an IP address may not be asked; None if it may.

    Args:
        text: The address; an IPv6 address may have a zone.
        is_confined: Whether private addresses are refused, too.
    """
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return "it is not an IP address"
    every = (found, *_embedded(found))
    if any(_is_metadata(one) for one in every):
        return "it is a link-local or metadata address"
    if any(one.is_multicast for one in every):
        return "it is a multicast address"
    if is_confined and any(not one.is_global for one in (every[1:] or every)):
        return "it is a private or reserved address"
    return None


def _is_metadata(address: _Ip) -> bool:
    if address.version == 6 and address in _AWS_LOCAL:
        return True
    return address.is_link_local or address in _METADATA


def _embedded(address: _Ip) -> tuple[_Ip, ...]:
    """Return the IPv4 addresses that are in an IPv6 address, where a gateway would go to."""
    if address.version == 4:
        return ()
    if address in _TEREDO:
        server, client = address.teredo or (None, None)
        return tuple(one for one in (server, client) if one is not None)
    bits = int(address)
    if bits <= 1:  # unspecified and loopback
        return ()
    return tuple(
        ipaddress.IPv4Address(bits >> shift & 0xFFFFFFFF)
        for network, shift in _EMBEDDED
        if address in network
    )
