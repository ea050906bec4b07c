"""Runs one command as a whole process and says what it cost; imports nothing heavy on purpose.

A child's peak memory as the kernel reports it is at least its parent's at the moment of starting,
so the parent has to stay small.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class CommandError(Exception):
    """A measured command failed or took too long; the message holds the end of what it said."""


class LateError(CommandError):
    """A measured command took too long and was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one whole process cost."""

    wall: float
    """Seconds from start to end."""
    cpu: float
    """User and system seconds, of the process and its children."""
    memory: float
    """Peak resident set of its largest process, in MB of 10**6 bytes."""
    output: str
    """What it wrote to stdout."""


def measure(command: Sequence[str], *, logs: Path, timeout: float) -> Cost:
    """Run a command to its end and return its cost.

    It may keep compiled modules, as on the machine of a user, whatever the environment says here.

    Args:
        command: Program and arguments.
        logs: Folder that takes its stdout and stderr.
        timeout: Seconds until it is stopped.

    Raises:
        LateError: It was stopped.
        CommandError: It exited non-zero.
    """
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    stdout, stderr = logs / "stdout.txt", logs / "stderr.txt"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=out, stderr=err, start_new_session=True, env=kept
        )
        timer = threading.Timer(timeout, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = (stdout.read_text(errors="replace") + stderr.read_text(errors="replace"))[-2000:]
        text = f"{' '.join(command)}\n{said}"
        if wall >= timeout:
            raise LateError(f"stopped after {timeout:.0f} s: {text}")
        raise CommandError(f"exit {process.returncode}: {text}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=usage.ru_maxrss * unit / 1e6,
        output=stdout.read_text(errors="replace"),
    )
