"""What all tests share: workbenches that can be imported, and the processes that are started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from geobatch import processes

for folder in ("oracle", "end_to_end", "cli", "workflow", "histories", "export", "spec", "table"):
    sys.path.insert(0, str(Path(__file__).parent / folder))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that were started to share work."""
    found: list[subprocess.Popen[bytes]] = []
    start = processes._start

    def _start(*arguments: Any) -> subprocess.Popen[bytes]:
        found.append(start(*arguments))
        return found[-1]

    monkeypatch.setattr(processes, "_start", _start)
    return found
