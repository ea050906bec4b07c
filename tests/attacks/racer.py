"""Processes that publish at the same instant: each prepares, says so, and publishes when told.

Run as a program, this is one of them. It reads a line per race: the asset, the version, and then an
empty line for the start; it answers with how it ended.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

ORACLE = str(Path(__file__).parents[1] / "oracle")
DONE = "done"


class Racers:
    """Some processes that share a store."""

    def __init__(self, root: Path, count: int) -> None:
        self._running = [
            subprocess.Popen(
                [sys.executable, __file__, str(root)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(count)
        ]  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._running:
            one.communicate(timeout=60)

    def race(self, entries: Sequence[tuple[str, int]]) -> list[str]:
        """Publish an asset and version per process; return how each ended."""
        running = self._running[: len(entries)]
        self._tell(running, [f"{name} {version}" for name, version in entries])
        assert self._answers(running) == ["ready"] * len(running)
        self._tell(running, [""] * len(running))
        return self._answers(running)

    def _tell(self, running: Sequence[subprocess.Popen[str]], lines: Sequence[str]) -> None:
        for one, line in zip(running, lines, strict=True):
            assert one.stdin is not None
            one.stdin.write(f"{line}\n")
            one.stdin.flush()

    def _answers(self, running: Sequence[subprocess.Popen[str]]) -> list[str]:
        return [one.stdout.readline().strip() for one in running if one.stdout is not None]


def _run(root: str) -> None:
    sys.path.insert(0, ORACLE)
    from gc_workbench import put_asset  # noqa: PLC0415 - only there if this is the program

    from geobatch.errors import GeobatchError  # noqa: PLC0415
    from geobatch.store.tilestore import TileStore  # noqa: PLC0415

    for line in sys.stdin:
        name, version = line.split()
        with closing(TileStore.create(root)) as store:
            base, changes = store.head(), {name: put_asset(store, name, int(version))}
            _say("ready")
            sys.stdin.readline()
            try:
                store.publish(base=base, changes=changes, message=line.strip(), tools={})
                _say(DONE)
            except GeobatchError as error:
                _say(f"{type(error).__name__}: {error.message}")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    _run(sys.argv[1])
