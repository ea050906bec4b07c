"""Looks at many new rasters by processes: threads would take turns at Python's lock.

Each process is given a file of paths, each ended by a zero byte, and a queue of their numbers as
its standard input. Those that share its descriptor share its position: each takes what no other
has taken.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import msgspec
import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import GeobatchError
from geobatch.model.blocks import BlockTable
from geobatch.model.geobox import Crs
from geobatch.model.look import Look
from geobatch.raster import gdal_environment, hashing
from geobatch.resolve.looking import LookCache, crs_reader, look_at
from geobatch.resolve.threads import Meanwhile, nothing

_AT_A_TIME = 32
_NUMBER = 8
_WORTH = 300
"""Files that another process should have to look at."""
_PROGRAM = "from geobatch.resolve.apart import main; main()"


class _Found(Struct, frozen=True, kw_only=True, array_like=True):
    """What was found of some files; a CRS, which is long, stands there once."""

    numbers: list[int]
    looks: list[Look]
    tables: list[BlockTable | None]
    texts: list[str]
    crs: list[int]


Result = tuple[int, Look, BlockTable | None]
"""Number of a file, the look at it and its block table."""


def looks_at(
    paths: Sequence[str],
    *,
    workers: int,
    cache: LookCache | None = None,
    meanwhile: Meanwhile = nothing,
) -> Iterator[Result]:
    """Yield looks at rasters that nothing is known of, in any order.

    Left out are those that fail, all that a process had taken that failed, and all of them where
    none can be started: who looks at them again is told what is wrong.

    Args:
        paths: The files.
        workers: Most processes at work, this one among them.
        cache: Is told of CRSs, and asked for them.
        meanwhile: Is called by this process while the others begin.
    """
    if not hashing.can_start():
        return
    with ExitStack() as stack:
        processes = []
        try:
            listed = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            listed.write(b"".join(os.fsencode(path) + b"\0" for path in paths))
            queue = stack.enter_context(tempfile.TemporaryFile(buffering=0))
            queue.write(np.arange(len(paths), dtype=np.uint64).tobytes())
            queue.seek(0)
            for _ in range(min(workers - 1, len(paths) // _WORTH)):
                output = stack.enter_context(tempfile.TemporaryFile())
                process = stack.enter_context(_start(queue, listed, output))
                stack.callback(process.kill)
                processes.append((process, output))
        except OSError:
            return
        meanwhile()
        read_crs = crs_reader(cache)
        while taken := _take(queue.fileno()):
            with hashing.alone(), gdal_environment():  # not across a yield
                found = _look_at(taken, paths, read_crs)
            yield from _results(found)
        for process, output in processes:
            if process.wait() == 0:
                output.seek(0)
                for found in _read(output):
                    yield from _results(found)


def _start(queue: IO[bytes], listed: IO[bytes], output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - Python's own path, and ours
        [sys.executable, "-P", "-c", _PROGRAM, str(listed.fileno()), str(os.getpid())],
        stdin=queue,
        stdout=output,
        stderr=subprocess.DEVNULL,
        pass_fds=[listed.fileno()],
        # The same code as this process runs, wherever it found it.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _take(queue: int) -> list[int]:
    """Take the next numbers from a queue; none at its end."""
    taken: list[int] = memoryview(os.read(queue, _AT_A_TIME * _NUMBER)).cast("Q").tolist()
    return taken


def _look_at(taken: list[int], paths: Sequence[str], read_crs: Callable[[str], Crs]) -> _Found:
    found = _Found(numbers=[], looks=[], tables=[], texts=[], crs=[])
    places: dict[str, int] = {}
    for number in taken:
        try:
            _, look, table = look_at(
                Path(paths[number]), "", None, None, known_crs={}, read_crs=read_crs
            )
        except GeobatchError:
            continue
        found.numbers.append(number)
        found.looks.append(replace(look, crs=""))
        found.tables.append(table)
        found.crs.append(places.setdefault(look.crs, len(places)))
    found.texts.extend(places)
    return found


def _results(found: _Found) -> Iterator[Result]:
    rows = zip(found.numbers, found.looks, found.tables, found.crs, strict=True)
    for number, look, table, crs in rows:
        yield number, replace(look, crs=found.texts[crs]), table


def _read(file: IO[bytes]) -> Iterator[_Found]:
    decoder = msgspec.msgpack.Decoder(_Found)
    # What it loads when it starts may have written there, too.
    with suppress(msgspec.MsgspecError, MemoryError, OverflowError):
        while size := file.read(_NUMBER):
            yield decoder.decode(file.read(int.from_bytes(size, sys.byteorder)))


def main() -> None:
    """Work off the queue that standard input is."""
    # Who interrupts a run interrupts the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    listed, parent = map(int, sys.argv[1:])
    names = os.pread(listed, os.fstat(listed).st_size, 0).split(b"\0")[:-1]
    paths = [os.fsdecode(name) for name in names]
    encode = msgspec.msgpack.Encoder().encode
    read_crs = crs_reader()
    # Who started this process may have been killed.
    while os.getppid() == parent and (taken := _take(0)):
        with hashing.alone():
            data = encode(_look_at(taken, paths, read_crs))
        sys.stdout.buffer.write(len(data).to_bytes(_NUMBER, sys.byteorder) + data)
