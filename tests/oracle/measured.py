"""A command in a process of its own: its output, exit code and memory (on Linux)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PATIENCE = 240
"""Seconds after which a process counts as hanging; a refusal takes less than 5 of them."""


class Measured(NamedTuple):
    """What a process did."""

    code: int
    text: str
    megabytes: int
    """Largest resident memory."""


def run(*arguments: str, folder: Path, environment: Mapping[str, str] | None = None) -> Measured:
    """Run geobatch in a folder."""
    variables = {**os.environ, **(environment or {})}
    script = (
        "import os, sys\n"
        "from geobatch.cli.main import run\n"
        "code = run(sys.argv[1:])\n"
        "with open('/proc/self/status') as file:\n"
        "    peak = [line.split()[1] for line in file if line.startswith('VmHWM')]\n"
        "print('peak', int(peak[0]) // 1024)\n"
        "sys.stdout.flush()\n"
        "os._exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    out, _, peak = done.stdout.rpartition("peak ")
    assert peak, done.stderr
    return Measured(done.returncode, out + done.stderr, int(peak))
