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

_ITEM = struct.Struct("=QQQ")
"""Number of an item, its first byte and its length."""
_ANSWER = struct.Struct("=QQ")
"""How many items an answer is to, and its length."""
_OWN_ARGUMENTS = 5
PAUSE = 0.01
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


class _Processes:
    """Other processes, the file of the items, and the queue that they share."""

    def __init__(self) -> None:
        self._open = 0
        """Items that are neither taken by this process nor answered by another."""
        self._others: list[_Other] = []
        self._stack = ExitStack()
        self._items = self._open_file(buffering=-1)

    def _start_others(
        self,
        program: str,
        queue: int,
        *,
        others: int,
        at_a_time: int,
        arguments: Sequence[str],
        shared: Sequence[int],
    ) -> None:
        self._stack.callback(self._end)
        for _ in range(others):
            answers = self._open_file()
            process = _start(
                program,
                queue,
                (self._items.fileno(), answers.fileno(), at_a_time, os.getpid()),
                arguments,
                shared,
            )
            self._others.append(_Other(process, answers))

    def _open_file(self, *, buffering: int = 0) -> IO[bytes]:
        """Open a file without a name, until the processes have ended."""
        file = tempfile.TemporaryFile(prefix="geobatch-", buffering=buffering)  # noqa: SIM115
        return self._stack.enter_context(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

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
                time.sleep(PAUSE)

    def _end(self) -> None:
        """End the processes that still run: nothing waits for them."""
        for other in self._others:
            other.kill()
        for other in self._others:
            other.wait()


class Crew(_Processes):
    """Processes that work off a queue of items with this one."""

    def __init__(
        self,
        program: str,
        items: Iterable[bytes],
        *,
        others: int,
        at_a_time: int = 1,
    ) -> None:
        """Start the others.

        Args:
            program: Python that they run; it calls `serve`.
            items: What is to be done.
            others: How many to start.
            at_a_time: How many items each takes at a time.

        Raises:
            OSError: There is no room for the items, or no process can be started.
        """
        super().__init__()
        self._at_a_time = at_a_time
        with _closing_after_error(self._stack):
            self._queue = self._open_file()
            offsets = bytearray()
            start = 0
            for number, item in enumerate(items):
                self._items.write(item)
                offsets += _ITEM.pack(number, start, len(item))
                start += len(item)
                self._open += 1
            self._items.flush()
            _write(self._queue.fileno(), offsets)
            self._queue.seek(0)
            queue = self._queue.fileno()
            self._start_others(
                program, queue, others=others, at_a_time=at_a_time, arguments=(), shared=()
            )

    def take(self) -> list[Item]:
        """Take the next items for this process; none where all are taken."""
        taken = _take(self._queue.fileno(), self._items.fileno(), self._at_a_time)
        self._open -= len(taken)
        return taken


class Feed(_Processes):
    """Processes that work off a queue to which this one adds items; it takes none itself.

    The queue is a pipe: a process waits at it for an item, and ends when no other can come. So few
    items may be open at a time that it is never full: 1,000 are.
    """

    def __init__(
        self, program: str, *, others: int, arguments: Sequence[str], shared: Sequence[int]
    ) -> None:
        """Start the others.

        Args:
            program: Python that they run; it calls `serve`.
            others: How many to start.
            arguments: What they find in `sys.argv` from 5.
            shared: Descriptors that they hold open.

        Raises:
            OSError: No process can be started.
        """
        super().__init__()
        self._count = 0
        self._size = 0
        with _closing_after_error(self._stack):
            # Kept open, so that writing does not fail if all have ended.
            queue, self._queue = os.pipe()
            self._stack.callback(os.close, queue)
            self._closing = ExitStack()
            self._closing.callback(os.close, self._queue)
            self._stack.callback(self._closing.close)
            self._start_others(
                program, queue, others=others, at_a_time=1, arguments=arguments, shared=shared
            )

    def put(self, item: bytes) -> None:
        """Add an item to the queue.

        Raises:
            OSError: There is no room for it.
        """
        _pwrite(self._items.fileno(), item, self._size)
        _write(self._queue, _ITEM.pack(self._count, self._size, len(item)))
        self._count += 1
        self._size += len(item)
        self._open += 1

    def has_lost_one(self) -> bool:
        """Return whether a process has ended, maybe with an item."""
        return not all(other.is_working() for other in self._others)

    def rest(self) -> Iterator[bytes]:
        """Add no more items; yield what is still answered."""
        self._closing.close()
        yield from super().rest()


@contextmanager
def _closing_after_error(stack: ExitStack) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stack.close()
        raise


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
    queue: int,
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
    offsets = _ITEM.iter_unpack(os.read(queue, at_a_time * _ITEM.size))
    return [(number, _pread(items, start, length)) for number, start, length in offsets]


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


def _pwrite(file: int, data: bytes, start: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, start)
        left, start = left[written:], start + written
