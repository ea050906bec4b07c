"""The server's socket, and the loop that answers until it is interrupted."""

from __future__ import annotations

import contextlib
import ipaddress
import socket

import uvicorn
from starlette.applications import Starlette

from geobatch.errors import SettingError

_MOST_AT_ONCE = 512
"""Connections that are answered at a time; more are told to come again."""
_MOST_HEADERS = 16 << 10


def open_socket(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        SettingError: The address cannot be listened on.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingError(
            f"`--host {host}` is no address of this computer: {error.strerror or error}",
            hint="omit it for 127.0.0.1",
        ) from error
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind(address)
        found.listen(_MOST_AT_ONCE)  # whoever reads where it listens may ask at once
    except OSError as error:
        found.close()
        raise SettingError(
            f"cannot listen on `{host}`, port {port}: {error.strerror or error}",
            hint="choose another port: `--port 0` finds a free one",
        ) from error
    return found


def url_of(found: socket.socket) -> str:
    """Return the address of a socket for a browser."""
    host, port = found.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = socket.gethostname()
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_local(found: socket.socket) -> bool:
    """Return whether only this computer can reach a socket."""
    return ipaddress.ip_address(found.getsockname()[0]).is_loopback


def listen(app: Starlette, found: socket.socket) -> None:
    """Answer requests until the process is interrupted."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        limit_concurrency=_MOST_AT_ONCE,
        h11_max_incomplete_event_size=_MOST_HEADERS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=2,
    )
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[found])
