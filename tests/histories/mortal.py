"""Applies that die: a child process that ends itself at its n-th operation on a file.

Run as a program, this is the nursery: it imports geobatch once, and forks a child per job while it
has no threads of its own.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import subprocess
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

KILLED = 99
_FAILED = 1
_EVENTS = frozenset(
    {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.chmod"}
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an apply ended."""

    status: int
    """0 well, `KILLED`, or something else for an error."""
    said: str = ""
    """The error, as `Type: message`, and its traceback."""


class Mortal:
    """Runs applies in processes that may die."""

    def __init__(self) -> None:
        self._nursery = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._nursery.communicate(timeout=60)

    def apply(self, spec: Path, *, store: Path, workers: int, die_at: int | None) -> Ending:
        """Apply a spec in a process that dies before an operation; 0 is the first."""
        return self.run(
            {"do": "apply", "spec": str(spec), "store": str(store), "workers": workers,
             "die_at": die_at}
        )  # fmt: skip

    def run(self, job: dict[str, object]) -> Ending:
        """Do a job of `_do` in a process that dies before an operation; 0 is the first."""
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(job) + "\n")
        self._nursery.stdin.flush()
        return Ending(**json.loads(self._nursery.stdout.readline()))


class _Reaper:
    """Counts the operations that change files, by all threads, and ends the process at one."""

    def __init__(self, die_at: int | None) -> None:
        self._die_at = die_at
        self._count = 0
        self._lock = threading.Lock()

    def is_last(self) -> bool:
        with self._lock:
            self._count += 1
            return self._die_at is not None and self._count > self._die_at

    def operation(self, *_: object) -> None:
        if self.is_last():
            os._exit(KILLED)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            _, mode, flags = arguments
            if (isinstance(flags, int) and flags & _WRITING) or (
                isinstance(mode, str) and set(mode) & set("wax+")
            ):
                self.operation()
        elif event in _EVENTS:
            self.operation()
        elif event == "sqlite3.connect/handle":
            arguments[0].set_trace_callback(self.operation)

    def watch(self) -> None:
        """Begin to count."""
        write, send, open_file = os.write, os.sendfile, io.open

        def torn(descriptor: int, data: Any) -> int:
            if self.is_last():
                write(descriptor, memoryview(data)[: len(data) // 2])
                os._exit(KILLED)
            return write(descriptor, data)

        def sent(*arguments: Any) -> int:
            self.operation()
            return send(*arguments)

        def opened(*arguments: Any, **options: Any) -> Any:
            file = open_file(*arguments, **options)
            if file.writable():
                self.operation()  # the file is there, and empty
            return file

        os.write, os.sendfile, io.open = torn, sent, opened  # type: ignore[assignment]
        builtins.open = opened
        sys.addaudithook(self.hook)


def _live(job: dict[str, Any], said: int) -> None:
    """Be the child: do the job and leave, one way or the other."""
    try:
        _Reaper(job["die_at"]).watch()
        _do(job)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent must hear of it
        with os.fdopen(said, "w") as file:
            file.write(f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
        os._exit(_FAILED)
    os._exit(0)


def _do(job: dict[str, Any]) -> None:
    from geobatch.model.observer import SilentObserver  # noqa: PLC0415
    from geobatch.store.tilestore import TileStore  # noqa: PLC0415 - the test imports it anyway
    from geobatch.views.checkout import check_out  # noqa: PLC0415
    from geobatch.workflow.apply import apply  # noqa: PLC0415
    from geobatch.workflow.maintenance.rollback import rollback  # noqa: PLC0415
    from geobatch.workflow.rehearsal.publish import apply_rehearsed  # noqa: PLC0415
    from geobatch.workflow.rehearsal.rehearse import rehearse_specs  # noqa: PLC0415
    from geobatch.workflow.request import Request  # noqa: PLC0415

    store = Path(job["store"])
    if job["do"] == "apply":
        apply([Path(job["spec"])], store=store, workers=job["workers"])
    elif job["do"] == "publish":
        apply_rehearsed(
            Request.of(job["spec"], store=store),
            job["plan"],
            stated=job["stated"],
            approve=lambda _: None,
        )
    elif job["do"] == "rehearse":
        rehearse_specs(
            Request.of(job["spec"], store=store, workers=job["workers"]),
            observer=SilentObserver(),
            locate=lambda _: None,
        )
    elif job["do"] == "rollback":
        rollback(store, "1")
    else:
        opened = TileStore.open(store)
        check_out(opened, opened.at("1"), "x/a", Path(job["target"]))


def _nurse() -> None:
    """Fork a child per line of the standard input, and say how it ended."""
    import geobatch.views.checkout  # noqa: PLC0415 - so that no child need import it
    import geobatch.workflow.apply  # noqa: PLC0415
    import geobatch.workflow.maintenance.rollback  # noqa: PLC0415
    import geobatch.workflow.rehearsal.rehearse  # noqa: F401, PLC0415

    for line in sys.stdin:
        heard, said = os.pipe()
        child = os.fork()
        if child == 0:
            _live(json.loads(line), said)
        os.close(said)
        with os.fdopen(heard) as file:
            text = file.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"status": status, "said": text}), flush=True)  # noqa: T201


if __name__ == "__main__":
    _nurse()
