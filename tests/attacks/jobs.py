"""Command lines in processes that meet faults: of the disk, of limits, of the clock; or die.

Run as a program, this imports geobatch once, with `faults.c` loaded, and forks a child per job
while it has no threads of its own.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import pkgutil
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import Any, Self

import msgspec

SOURCE = Path(__file__).with_name("faults.c")
_TIMEOUT = 120.0
"""Seconds after which a child is taken to hang."""
HUNG = 86
"""Exit code of a child that hung."""
_HEAVY = (
    "__main__", "testing", "tensorflow", "geobatch.table", "worker", "reading.datasets",
    "executors.dask",
)  # fmt: skip
"""Modules that are not imported before: what they import starts threads."""


class Calls(IntFlag):
    """Which calls of libc get the fault."""

    OPENED = 1
    """Files opened to write."""
    WROTE = 2
    """Bytes written, and files cut."""
    NAMED = 4
    """Names and modes changed: rename, unlink, mkdir, rmdir, chmod."""
    LINKED = 8
    """Hard links."""
    SYNCED = 16
    """Files and file systems synced."""
    READ = 32
    """Files opened to read, and bytes read."""
    LOCKED = 64
    """Locks taken by `flock`."""
    CHANGING = OPENED | WROTE | NAMED | LINKED | SYNCED


class Action(IntEnum):
    """What the fault is."""

    FAIL = 0
    """The call fails with an error number."""
    KILL_BEFORE = 1
    """The process is killed, and the call does nothing."""
    KILL_AFTER = 2
    """The process is killed after the call; a write has written a half."""
    CUT = 3
    """A write writes a half, and says so."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of the disk."""

    folder: str
    """Calls on files below it are concerned."""
    calls: Calls = Calls.CHANGING
    """Which of them."""
    action: Action = Action.FAIL
    """What happens to them."""
    number: int = errno.EIO
    """The error number."""
    first: int = 0
    """The first call that gets it, of those that are concerned."""
    last: int = 1 << 40
    """The last one."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a process finds."""

    limits: dict[int, int] = {}
    """Resource to its limit."""
    memory: int | None = None
    """Bytes of address space that it gets besides those that it has."""
    umask: int = 0o022
    """Modes that no new file gets."""
    clock: int = 0
    """Seconds by which its clock is ahead of that of the disk."""
    environment: dict[str, str] = {}
    """Variables; those that are empty are removed."""
    kill_after: float = 0.0
    """Seconds until it is killed, if it is."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended."""

    code: int
    """Exit code; if a signal ended it, its number, negative."""
    out: str
    """Its stdout."""
    err: str
    """Its stderr."""
    calls: int
    """How many calls the fault concerned."""
    durable: frozenset[tuple[int, int, int]]
    """Inode, time of modification, and size of the files that a loss of power would spare."""
    seconds: float
    """How long it took."""

    @property
    def is_killed(self) -> bool:
        """Whether it was killed."""
        return self.code == -signal.SIGKILL


class Jobs:
    """Runs command lines, each in a child of its own."""

    def __init__(self, folder: Path) -> None:
        library = folder / "faults.so"
        compiler = shutil.which("cc")
        assert compiler is not None
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True
        )
        self._running = subprocess.Popen(
            [sys.executable, __file__, str(library)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "LD_PRELOAD": str(library)},
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.communicate(timeout=60)

    def run(
        self,
        argv: Sequence[str | Path],
        fault: Fault | None = None,
        surroundings: Surroundings | None = None,
    ) -> Ended:
        """Run a command line to its end."""
        assert self._running.stdin is not None
        assert self._running.stdout is not None
        job = {"argv": [str(part) for part in argv], "fault": fault,
               "surroundings": surroundings or Surroundings()}  # fmt: skip
        self._running.stdin.write(msgspec.json.encode(job) + b"\n")
        self._running.stdin.flush()
        return msgspec.json.decode(self._running.stdout.readline(), type=Ended)


def is_possible() -> bool:
    """Return whether there is a compiler, and a system that the faults are written for."""
    return sys.platform == "linux" and shutil.which("cc") is not None


def _live(library: ctypes.CDLL, job: Mapping[str, Any], outputs: Sequence[int]) -> None:
    """Be the child."""
    for descriptor, output in enumerate(outputs, start=1):
        os.dup2(output, descriptor)
    around = msgspec.convert(job["surroundings"], Surroundings, strict=False)
    os.umask(around.umask)
    for name, value in around.environment.items():
        os.environ.pop(name, None) if not value else os.environ.update({name: value})
    for limited, most in around.limits.items():
        resource.setrlimit(limited, (most, most))
    if around.memory is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + around.memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    library.faults_clock(ctypes.c_long(around.clock))
    if job["fault"] is not None:
        fault = msgspec.convert(job["fault"], Fault)
        library.faults_arm(
            fault.folder.encode(), int(fault.calls), int(fault.action), fault.number,
            ctypes.c_long(fault.first), ctypes.c_long(fault.last),
        )  # fmt: skip
    from geobatch.cli.main import main  # noqa: PLC0415 - imported before

    main(job["argv"])


def _wait(child: int, *, kill_after: float) -> int:
    """Return the exit code of a child, which is killed after some time."""
    until = time.monotonic() + (kill_after or _TIMEOUT)
    if kill_after:
        time.sleep(kill_after)
    pause = 0.0005
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= until:
            os.kill(child, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            return code if kill_after else HUNG
        time.sleep(pause)
        pause = min(pause * 1.5, 0.01)


def _durable(library: ctypes.CDLL) -> list[tuple[int, int, int]]:
    library.faults_durable.restype = ctypes.POINTER(ctypes.c_long)
    found, count = library.faults_durable(), library.faults_durable_count()
    return [(found[3 * at], found[3 * at + 1], found[3 * at + 2]) for at in range(count)]


def _import_all() -> None:
    """Import what commands import when they run, so that no child need do so."""
    import geobatch  # noqa: PLC0415

    for found in pkgutil.walk_packages(geobatch.__path__, "geobatch."):
        if not any(part in found.name for part in _HEAVY):
            importlib.import_module(found.name)
    assert not {"tensorflow", "pyarrow"} & sys.modules.keys(), "they start threads"
    assert threading.active_count() == 1


def _serve(library: ctypes.CDLL) -> None:
    """Fork a child per line of the standard input, and say how it ended."""
    _import_all()
    library.faults_seen.restype = library.faults_durable_count.restype = ctypes.c_long
    for line in sys.stdin.buffer:
        job = json.loads(line)
        library.faults_reset()
        outputs = [os.memfd_create("out"), os.memfd_create("err")]
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            _live(library, job, outputs)
        code = _wait(child, kill_after=job["surroundings"]["kill_after"])
        seconds = time.monotonic() - started
        texts = []
        for output in outputs:
            os.lseek(output, 0, os.SEEK_SET)
            with os.fdopen(output, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        ended = {
            "code": code, "out": texts[0], "err": texts[1], "calls": library.faults_seen(),
            "durable": _durable(library), "seconds": seconds,
        }  # fmt: skip
        sys.stdout.write(json.dumps(ended) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(ctypes.CDLL(sys.argv[1]))
