"""Other processes that share the work of this one: its threads would take turns at Python's lock.

The work consists of items, which are bytes. They are in one file, and a queue in another file says
where. Processes that share the queue's descriptor share its position, so that each takes what no
other has taken. Nothing relies on them: an item that is not answered is left to the one that asked.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import IO, Self, TypeAlias

Item: TypeAlias = tuple[int, bytes]
"""Number of an item, from 0, and what it is."""

_PLACE = struct.Struct("=QQQ")
"""Number of an item, its first byte and its length."""
_ANSWER = struct.Struct("=QQ")
"""How many items an answer is to, and its length."""
_OWN_ARGUMENTS = 5
_PAUSE = 0.01
"""Seconds between two checks whether a process has ended."""

_ALONE = ContextVar("alone", default=False)


def can_start() -> bool:
    """Return whether this process may start others: it is Python's own, and not within `alone`."""
    is_python = bool(sys.executable) and not getattr(sys, "frozen", False)
    return is_python and not _ALONE.get()


@contextmanager
def alone() -> Iterator[None]:
    """Start no other processes, where this one is one of several itself."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


class Crew:
    """Processes that work off a queue of items with this one."""

    def __init__(
        self,
        program: str,
        items: Iterable[bytes],
        *,
        others: int,
        at_a_time: int = 1,
        arguments: Sequence[str] = (),
        shared: Sequence[int] = (),
    ) -> None:
        """Start the others.

        Args:
            program: Python that they run; it calls `serve`.
            items: What is to be done.
            others: How many to start.
            at_a_time: How many items each takes at a time.
            arguments: What they find in `sys.argv` from 5.
            shared: Descriptors that they hold open.

        Raises:
            OSError: There is no room for the items, or no process can be started.
        """
        self._at_a_time = at_a_time
        self._open = 0
        """Items that are neither taken by this process nor answered by another."""
        self._others: list[_Other] = []
        with ExitStack() as stack:
            self._items = stack.enter_context(tempfile.TemporaryFile(prefix="geobatch-"))
            self._queue = stack.enter_context(
                tempfile.TemporaryFile(prefix="geobatch-", buffering=0)
            )
            places = bytearray()
            start = 0
            for number, item in enumerate(items):
                self._items.write(item)
                places += _PLACE.pack(number, start, len(item))
                start += len(item)
                self._open += 1
            self._items.flush()
            _write(self._queue.fileno(), places)
            self._queue.seek(0)
            stack.callback(self._end)
            for _ in range(others):
                answers = stack.enter_context(
                    tempfile.TemporaryFile(prefix="geobatch-", buffering=0)
                )
                process = _start(
                    program,
                    self._queue,
                    (self._items.fileno(), answers.fileno(), at_a_time, os.getpid()),
                    arguments,
                    shared,
                )
                self._others.append(_Other(process, answers))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def take(self) -> list[Item]:
        """Take the next items for this process; none where all are taken."""
        taken = _take(self._queue.fileno(), self._items.fileno(), self._at_a_time)
        self._open -= len(taken)
        return taken

    def answers(self) -> Iterator[bytes]:
        """Yield what the others have answered since the last time, without waiting."""
        for other in self._others:
            for count, answer in other.answers():
                self._open -= count
                yield answer

    def rest(self) -> Iterator[bytes]:
        """Yield what the others answer from now on, until all is answered or they have ended."""
        is_working = True
        while self._open and is_working:
            is_working = any(other.is_working() for other in self._others)
            yield from self.answers()
            if self._open and is_working:
                time.sleep(_PAUSE)

    def _end(self) -> None:
        """End the processes that still run: nothing waits for them."""
        for other in self._others:
            other.kill()
        for other in self._others:
            other.wait()


class _Other:
    """Another process, and the file of its answers."""

    def __init__(self, process: subprocess.Popen[bytes], file: IO[bytes]) -> None:
        self._process = process
        self._file = file.fileno()
        self._read = 0

    def is_working(self) -> bool:
        return self._process.poll() is None

    def answers(self) -> Iterator[tuple[int, bytes]]:
        """Yield whole answers, and to how many items; one in the making is left for later."""
        while len(head := os.pread(self._file, _ANSWER.size, self._read)) == _ANSWER.size:
            count, length = _ANSWER.unpack(head)
            start = self._read + _ANSWER.size
            if os.fstat(self._file).st_size < start + length:
                return
            self._read = start + length
            yield count, _pread(self._file, start, length)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> None:
        self._process.wait()


def serve(work: Callable[[Sequence[Item]], bytes]) -> None:
    """Run as one of the other processes: work off the queue, which is the standard input.

    Args:
        work: Returns the answer to some items.
    """
    # An interrupt of the run is sent to the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    items, file, at_a_time, parent = map(int, sys.argv[1:_OWN_ARGUMENTS])
    with alone():
        # The process that started this one may have been killed.
        while os.getppid() == parent and (taken := _take(0, items, at_a_time)):
            answer = work(taken)
            _write(file, _ANSWER.pack(len(taken), len(answer)) + answer)


def _start(
    program: str,
    queue: IO[bytes],
    own: tuple[int, ...],
    arguments: Sequence[str],
    shared: Sequence[int],
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - Python's own path, and ours
        [sys.executable, "-P", "-c", program, *map(str, own), *arguments],
        stdin=queue,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[*own[:2], *shared],
        # The same code as this process runs, wherever it found it.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def _take(queue: int, items: int, at_a_time: int) -> list[Item]:
    places = _PLACE.iter_unpack(os.read(queue, at_a_time * _PLACE.size))
    return [(number, _pread(items, start, length)) for number, start, length in places]


def _pread(file: int, start: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.pread(file, length, start)
        if not part:
            raise EOFError
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)


def _write(file: int, data: bytes | bytearray) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
