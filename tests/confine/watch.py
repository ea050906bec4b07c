"""Which files a process opens: Python's audit events of it, and the kernel's of some folders."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from shell import environment

_OPENS = 0x20 | 0x01  # IN_OPEN and IN_ACCESS
_HOOK = """
import os, sys
seen = set()
def hook(event, args):
    if event in ("open", "os.scandir", "os.listdir") and args and args[0] is not None:
        if isinstance(args[0], (str, bytes)):
            seen.add(os.path.join(os.getcwd(), os.fsdecode(args[0])))
from geobatch.cli.main import run
sys.addaudithook(hook)
code = run(sys.argv[2:])
found = sorted(seen)
with open(sys.argv[1], "w", encoding="utf-8", errors="surrogateescape") as stream:
    stream.write("\\0".join(found))
os._exit(code)
"""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What a command did."""

    code: int
    """Exit code."""
    text: str
    """What it printed."""
    opened: tuple[str, ...]
    """Real paths of the files and folders that Python opened, without those of libraries."""
    touched: tuple[str, ...]
    """Names that any code opened in the watched folders; only Linux reports them."""


@contextlib.contextmanager
def opening(folders: Iterable[Path]) -> Iterator[list[str]]:
    """Yield a list that receives, at the end, what anyone has opened in some folders."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert number >= 0
    names: dict[int, str] = {}
    for folder in folders:
        watched = libc.inotify_add_watch(number, os.fsencode(folder), _OPENS)
        assert watched >= 0, folder
        names[watched] = str(folder)
    touched: list[str] = []
    try:
        yield touched
        touched += _events(number, names)
    finally:
        os.close(number)


def watch(
    argv: Iterable[str | Path], *, cwd: Path, folders: Iterable[Path], notes: Path
) -> Watched:
    """Run a command in a process of its own, while the kernel reports who opens what."""
    command = [sys.executable, "-c", _HOOK, str(notes), *map(str, argv)]
    with opening(folders) as touched:
        done = subprocess.run(
            command, cwd=cwd, env=environment(), capture_output=True, text=True, check=False
        )
    opened = {
        os.path.realpath(one) for one in notes.read_text(errors="surrogateescape").split("\0")
    }
    return Watched(
        code=done.returncode,
        text=done.stdout + done.stderr,
        opened=tuple(sorted(one for one in opened if not _is_library(one))),
        touched=tuple(touched),
    )


def _is_library(path: str) -> bool:
    ours = Path(__file__).parents[2]
    prefixes = (sys.prefix, sys.base_prefix, str(ours / "geobatch"), str(ours / ".pytest_cache"))
    real = tuple(f"{os.path.realpath(one)}/" for one in prefixes)
    return path.startswith((*real, "/proc/", "/sys/", "/dev/")) or path in map(
        os.path.realpath, (*prefixes, *sys.path)
    )


def _events(number: int, names: dict[int, str]) -> tuple[str, ...]:
    found: set[str] = set()
    while True:
        try:
            data = os.read(number, 1 << 16)
        except BlockingIOError:
            return tuple(sorted(found))
        while data:
            watched, _, _, length = struct.unpack_from("iIII", data)
            name = data[16 : 16 + length].rstrip(b"\0")
            found.add(f"{names[watched]}/{os.fsdecode(name)}")
            data = data[16 + length :]
