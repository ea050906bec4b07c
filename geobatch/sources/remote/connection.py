"""Connections to servers whose addresses were checked, and answers that end in time."""

from __future__ import annotations

import http.client
import io
import socket
import time
from functools import partial
from typing import Any, cast

from geobatch.model.sources.servers import Servers, ip_refusal
from geobatch.model.sources.url import DEFAULT_PORTS, Address
from geobatch.sources.naming import UnnamedError

_KINDS: dict[str, type[http.client.HTTPConnection]] = {
    "http": http.client.HTTPConnection,
    "https": http.client.HTTPSConnection,
}


def open_connection(
    address: Address, *, timeout: float, servers: Servers | None
) -> http.client.HTTPConnection:
    """Return a connection that is made with the first request, to an address that was checked.

    Args:
        address: The server.
        timeout: Seconds without a byte after which it fails.
        servers: The servers that may be asked; None for all but those that never may.

    Raises:
        UnnamedError: The server is not allowed. The first request raises it, too.
    """
    if servers is not None and not servers.allows(address):
        raise UnnamedError(
            f"the server `{address.host}` is not allowed",
            hint=f'if it may be asked, name it in `allow` of `geobatch.yaml`: `"{address.host}"`',
        )
    # With a port, the end of an IPv6 address is not taken for one.
    port = address.port or DEFAULT_PORTS[address.scheme]
    connection = _KINDS[address.scheme](address.host, port, timeout=timeout)
    is_confined = servers is not None and not servers.is_named(address)
    cast("Any", connection)._create_connection = partial(  # noqa: SLF001 - where it resolves names
        _connect, is_confined=is_confined
    )
    return connection


def _connect(
    address: tuple[str, int],
    timeout: float,
    source_address: tuple[str, int] | None = None,
    *,
    is_confined: bool,
) -> socket.socket:
    """Connect to a server by the addresses that were checked; a name is resolved once."""
    del source_address
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    # All are checked before the first is used: a name with one forbidden address is suspicious.
    for *_, place in found:
        if why := ip_refusal(str(place[0]), is_confined=is_confined):
            hint = "such addresses are never asked: they give credentials to programs"
            if "private" in why:
                hint = f'if it may be asked, name it in `allow` of the project: `"{address[0]}"`'
            message = f"the server `{address[0]}` may not be asked: {why}"
            raise UnnamedError(message, hint=hint)
    failure: OSError = OSError(f"no address of `{address[0]}` is known")
    until = time.monotonic() + timeout
    for family, kind, protocol, _, place in found:
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(max(0.001, until - time.monotonic()))
            sock.connect(place)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure


def timed_response(
    sock: socket.socket, *, silence: float, until: float, **more: Any
) -> http.client.HTTPResponse:
    """Return a response that is read until a deadline, however slow the server is.

    Args:
        sock: What it is read from.
        silence: Seconds without a byte after which reading fails.
        until: The deadline, as of `time.monotonic`.
        more: What `HTTPResponse` takes.
    """
    answer = http.client.HTTPResponse(sock, **more)
    plain = answer.fp
    answer.fp = io.BufferedReader(_Timed(sock, silence=silence, until=until))
    plain.close()
    return answer


class _Timed(io.RawIOBase):
    """What a socket receives, until a deadline."""

    def __init__(self, sock: socket.socket, *, silence: float, until: float) -> None:
        super().__init__()
        self._socket = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._silence = silence
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the server takes too long for its answer")
        self._socket.settimeout(min(self._silence, left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()
