"""The pool: it hands items of work to other processes, works on them too, and returns the values.

Items are bytes in one file, and a pipe has the location of each, so that each is taken once, by
whichever process is free. Answers go to one file per process. Nothing relies on the others: an item
whose process failed, ended, or was another program is done here, and its error is raised here.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Generic, Self, TypeAlias, TypeVar

from geobatch.processes.worker import (
    ANSWER,
    FAILED,
    ITEM,
    TOKEN_BYTES,
    Location,
    is_worker,
    pread,
    write,
)

_PAUSE = 0.001
"""Seconds after which it is checked again whether others have answered; then twice as many."""
_LONGEST_PAUSE = 0.016
MOST_SENT = 1024
"""Items that others may have at a time: a pipe holds the locations of 2,730."""
_SLICE = 0.02
"""How many seconds this process works before it takes in what others have done."""
_ROOT = str(Path(__file__).parents[2])

_ALONE = ContextVar("alone", default=False)

Keep: TypeAlias = Callable[[bytes], Location]
"""Puts data that several items need; `geobatch.processes.worker.kept` returns it."""
Item = TypeVar("Item")
Value = TypeVar("Value")


def can_start() -> bool:
    """Return whether this process may start others: it is Python's own, and not within `alone`."""
    is_python = bool(sys.executable) and not getattr(sys, "frozen", False)
    return is_python and not is_worker() and not _ALONE.get()


@contextmanager
def alone() -> Iterator[None]:
    """Start no other processes, where this one is one of several itself."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


class Work(ABC, Generic[Item, Value]):
    """One kind of work: how this process does an item, and how others are asked to."""

    module: ClassVar[str]
    """The module that others run: its `main` calls `geobatch.processes.worker.serve`."""
    is_light: ClassVar[bool] = False
    """Whether the module loads hardly anything: then it is run as a file, and starts at once."""

    @abstractmethod
    def pack(self, item: Item, keep: Keep) -> bytes:
        """Return an item as others get it.

        Args:
            item: The item.
            keep: Takes what it shares with other items.

        Raises:
            OSError: They cannot get it.
        """

    @abstractmethod
    def unpack(self, answer: bytes) -> Value:
        """Return the value of an answer."""

    @abstractmethod
    def run(self, item: Item) -> Value:
        """Do an item in this process."""


class Pool(Generic[Item, Value]):
    """Some processes that do one kind of work, of which one is this process.

    It is used from one thread, as a context manager that ends the others.
    """

    def __init__(
        self,
        work: Work[Item, Value],
        *,
        others: int,
        most_sent: int = MOST_SENT,
        arguments: Sequence[str] = (),
        shared: Sequence[int] = (),
    ) -> None:
        """Start the others; see `start`.

        Raises:
            OSError: No process can be started, or there is no room for the items.
        """
        self._work = work
        self._most_sent = min(most_sent, MOST_SENT)
        self._waiting: deque[tuple[int, Item]] = deque()
        """Items that any process may do next."""
        self._kept: deque[tuple[int, Item]] = deque()
        """Items that this process must do."""
        self._sent: dict[int, Item] = {}
        """Items that are in the queue or with other processes, by number."""
        self._size = 0
        self._is_ended = False
        self._others: list[_Other] = []
        self._stack = ExitStack()
        self._is_open = True
        token = os.urandom(TOKEN_BYTES)
        try:
            self._items = self._open_file().fileno()
            self._queue, self._into_queue = os.pipe()
            self._stack.callback(os.close, self._queue)
            self._stack.callback(self._close_queue)
            self._stack.callback(self._end_others)
            for _ in range(others):
                answers = self._open_file()
                own = [self._items, answers.fileno()]
                process = _start(
                    _command(work, [*map(str, own), str(os.getpid()), token.hex(), *arguments]),
                    self._queue,
                    [*own, *shared],
                )
                self._others.append(_Other(process, answers, token))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the others where they are: nothing waits for them."""
        self._stack.close()

    @property
    def is_busy(self) -> bool:
        """Whether an item has no value yet."""
        return bool(self._sent or self._waiting or self._kept)

    def map(
        self, items: Iterable[Item], *, meanwhile: Callable[[], object] = lambda: None
    ) -> Iterator[tuple[int, Value]]:
        """Yield the value of each item, with its number from 0, in any order; then end the others.

        Args:
            items: What is to be done.
            meanwhile: Is called once in this process while the others begin.
        """
        with self:
            for number, item in enumerate(items):
                self.submit(number, item)
            self.end()
            meanwhile()
            while self.is_busy:
                yield from self.completed()

    def submit(self, number: int, item: Item, *, is_portable: bool = True) -> None:
        """Take an item, which has a number of its own; do not wait for it.

        Args:
            number: The number.
            item: The item.
            is_portable: Whether others can do it.
        """
        (self._waiting if is_portable else self._kept).append((number, item))
        self._send()

    def end(self) -> None:
        """Take no more items: the others end when all are done."""
        self._is_ended = True
        self._send()

    def completed(self) -> list[tuple[int, Value]]:
        """Return the values of items that were done since the last call, by number.

        If there are none, this process does an item. If others have all, it waits.

        Raises:
            Exception: What the work raises for an item that is done here.
        """
        found: list[tuple[int, Value]] = []
        pause = _PAUSE
        while self.is_busy and not found:
            found += self._received()
            if self._is_open and not all(other.is_working() for other in self._others):
                # Which items it had is known when the others have done theirs.
                self._close_queue()
            self._send()
            found = found or self._run_here()
            if found:
                break
            if any(other.is_working() for other in self._others):
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                found += self._received()
                self._kept.extend(self._sent.items())
                self._sent.clear()
        return found

    def _send(self) -> None:
        while self._is_open and self._waiting and len(self._sent) < self._most_sent:
            number, item = self._waiting.popleft()
            try:
                location = self._keep(self._work.pack(item, self._keep))
                write(self._into_queue, ITEM.pack(number, *location))
            except OSError:
                self._kept.append((number, item))
            else:
                self._sent[number] = item
        if self._is_ended and not self._waiting:
            self._close_queue()

    def _keep(self, data: bytes) -> Location:
        location = (self._size, len(data))
        _pwrite(self._items, data, self._size)
        self._size += len(data)
        return location

    def _received(self) -> list[tuple[int, Value]]:
        """Return what others have answered since the last time, without waiting."""
        found = []
        for other in self._others:
            for number, answer in other.answers():
                item = self._sent.pop(number)
                if answer is None:
                    self._kept.append((number, item))
                else:
                    found.append((number, self._work.unpack(answer)))
        return found

    def _run_here(self) -> list[tuple[int, Value]]:
        """Do some items in this process, for a short time; none if others have all."""
        found: list[tuple[int, Value]] = []
        deadline = time.monotonic() + _SLICE
        with alone():
            while (not found or time.monotonic() < deadline) and (own := self._take()):
                number, item = own
                found.append((number, self._work.run(item)))
        return found

    def _take(self) -> tuple[int, Item] | None:
        """Return an item that this process does; None if others have all.

        If no more items can come, a read of the queue does not wait.
        """
        if waiting := self._kept or self._waiting:
            return waiting.popleft()
        if not self._is_open and (record := os.read(self._queue, ITEM.size)):
            number, _, _ = ITEM.unpack(record)
            return number, self._sent.pop(number)
        return None

    def _open_file(self) -> IO[bytes]:
        """Open a file without a name, until the processes have ended."""
        import tempfile  # noqa: PLC0415 - slow to import, and most runs start no process

        file = tempfile.TemporaryFile(prefix="geobatch-", buffering=0)  # noqa: SIM115
        return self._stack.enter_context(file)

    def _close_queue(self) -> None:
        if self._is_open:
            self._is_open = False
            os.close(self._into_queue)

    def _end_others(self) -> None:
        for other in self._others:
            other.process.kill()
        for other in self._others:
            other.process.wait()


def start(
    work: Work[Item, Value],
    *,
    others: int,
    most_sent: int = MOST_SENT,
    arguments: Sequence[str] = (),
    shared: Sequence[int] = (),
) -> Pool[Item, Value] | None:
    """Start a pool; None if this process may not start others, or cannot.

    Args:
        work: What it does.
        others: How many processes to start.
        most_sent: How many items the others have at a time.
        arguments: What they find in `worker.arguments`.
        shared: Descriptors that they hold open.
    """
    if not can_start():
        return None
    try:
        return Pool(work, others=others, most_sent=most_sent, arguments=arguments, shared=shared)
    except OSError:
        return None


class _Other:
    """Another process, and the file of its answers."""

    def __init__(self, process: subprocess.Popen[bytes], file: IO[bytes], token: bytes) -> None:
        self.process = process
        self._file = file.fileno()
        self._token = token
        self._read = 0

    def is_working(self) -> bool:
        return self.process.poll() is None

    def answers(self) -> Iterator[tuple[int, bytes | None]]:
        """Yield whole answers, by the number of the item; None for one that failed.

        One in the making is left for later. What another program has written has no token.
        """
        while len(head := os.pread(self._file, ANSWER.size, self._read)) == ANSWER.size:
            token, number, length = ANSWER.unpack(head)
            start = self._read + ANSWER.size
            count = 0 if length == FAILED else length
            if token != self._token or os.fstat(self._file).st_size < start + count:
                return
            self._read = start + count
            yield number, None if length == FAILED else pread(self._file, start, count)


def _command(work: Work[Item, Value], arguments: Sequence[str]) -> list[str]:
    if work.is_light:
        program = ["-S", str(sys.modules[work.module].__file__)]
    else:
        program = ["-c", f"from {work.module} import main; main()"]
    return [sys.executable, "-P", *program, *arguments]


def _start(command: list[str], queue: int, shared: Sequence[int]) -> subprocess.Popen[bytes]:
    # The first three descriptors are others in another process.
    if min(shared) < 3:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return subprocess.Popen(  # noqa: S603 - Python's own path, and ours
        command,
        stdin=queue,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=shared,
        # The same code as this process runs, wherever it found it.
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*filter(None, sys.path), _ROOT])},
    )


def _pwrite(file: int, data: bytes, start: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(file, left, start)
        left, start = left[written:], start + written
