"""Starts servers on loopback that stop with the test run, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_ATTACHED = Path(__file__).with_name("attached.py")
MOST_SECONDS = 60.0
"""How long a server may take until it answers; a busy machine is slow."""


class ServerError(Exception):
    """A server did not start; the message has the end of what it printed."""


def free_ports(count: int) -> list[int]:
    """Return ports that nobody uses now, and whose number plus 10,000 is free as well.

    SeaweedFS takes the second one for gRPC. Ports below those that the system itself gives out
    are not taken by a connection that another process opens in the meantime.
    """
    found: list[int] = []
    first = 10_000 + os.getpid() * 37 % 10_000
    for port in (10_000 + (first + step) % 10_000 for step in range(10_000)):
        if all(map(_is_free, (port, port + 10_000))):
            found.append(port)
            if len(found) == count:
                return found
    raise ServerError("no port of 127.0.0.1 is free")


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    *,
    folder: Path,
    is_up: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Run a server in `folder` as long as the context lasts; what it prints is in `folder/log`.

    Raises:
        ServerError: It ended, or `is_up` was false for `MOST_SECONDS`.
    """
    log = folder / "log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _ATTACHED, *command],
            stdin=subprocess.PIPE, stdout=out, stderr=out, cwd=folder,
            env={**os.environ, **(environment or {})}, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(process, is_up, f"`{Path(command[0]).name}`", log)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def _wait(
    process: subprocess.Popen[bytes], is_up: Callable[[], bool], name: str, log: Path
) -> None:
    end = time.monotonic() + MOST_SECONDS
    while not is_up():
        if process.poll() is None and time.monotonic() < end:
            time.sleep(0.05)
            continue
        why = "ended" if process.poll() is not None else f"did not answer in {MOST_SECONDS:.0f} s"
        said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise ServerError(f"the server {name} {why}; it printed:\n{said}")
