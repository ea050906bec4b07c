"""The command line, called in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geobatch.cli.main import run


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command left."""

    code: int
    """Exit code."""
    out: str
    """What it wrote to stdout."""
    err: str
    """What it wrote to stderr."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines: all of stdout."""
        assert self.out.endswith("\n")
        return [json.loads(line) for line in self.out.splitlines()]

    def record(self, kind: str) -> dict[str, Any]:
        """Return the one JSON line of a type."""
        (found,) = [line for line in self.lines if line["type"] == kind]
        return found


def geobatch(*argv: str | Path) -> Done:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([str(arg) for arg in argv])
    return Done(code=int(code), out=out.getvalue(), err=err.getvalue())


def command(*argv: str | Path) -> list[str]:
    """Return the command line of a process of its own."""
    return [sys.executable, "-m", "geobatch", *map(str, argv)]


def environment(**more: str) -> Mapping[str, str]:
    """Return this process's environment without what steers geobatch, and with some more."""
    ours = {"GEOBATCH_STORE", "NO_COLOR", "FORCE_COLOR", "PYTHONWARNINGS"}
    return {**{key: value for key, value in os.environ.items() if key not in ours}, **more}


def process(*argv: str | Path, cwd: Path | None = None, **env: str) -> Done:
    """Run a command in a process of its own, to its end."""
    done = subprocess.run(
        command(*argv), capture_output=True, text=True, check=False, timeout=60, cwd=cwd,
        env=environment(**env),
    )  # fmt: skip
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)
