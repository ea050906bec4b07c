"""Work for a pool: items are doubled, and some others do worse than that."""

from __future__ import annotations

import os
import signal
import time
from typing import ClassVar

from geobatch.processes.pool import Keep, Work, can_start
from geobatch.processes.worker import arguments, kept, serve


class Doubling(Work[bytes, bytes]):
    """Doubles bytes; `b"bad"` is an error in each process."""

    module = __name__

    def __init__(self) -> None:
        self.done: list[bytes] = []
        """What this process did."""

    def pack(self, item: bytes, _: Keep) -> bytes:
        return item

    def unpack(self, answer: bytes) -> bytes:
        return answer

    def run(self, item: bytes) -> bytes:
        self.done.append(item)
        return double(item)


class LightDoubling(Doubling):
    """The same by a module that is run as a file."""

    is_light: ClassVar[bool] = True


class Sharing(Doubling):
    """An item that others get in two parts, of which one is kept."""

    def pack(self, item: bytes, keep: Keep) -> bytes:
        start, length = keep(item[:3])
        return b"%d %d %s" % (start, length, item[3:])


def double(item: bytes) -> bytes:
    if item == b"bad":
        raise ValueError("a bad item")
    return item * 2


def die(item: bytes) -> bytes:
    if item == b"deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return double(item)


def fail(item: bytes) -> bytes:
    raise ValueError(item)


def wait(item: bytes) -> bytes:
    time.sleep(60)
    return item


def slow(item: bytes) -> bytes:
    time.sleep(0.05)
    return double(item)


def join(item: bytes) -> bytes:
    start, length, rest = item.split(b" ", 2)
    return double(kept((int(start), int(length))) + rest)


def ask(item: bytes) -> bytes:
    return str(can_start()).encode() + item


def main() -> None:
    functions = (double, die, fail, wait, slow, join, ask)
    serve({function.__name__: function for function in functions}[arguments()[0]])


if __name__ == "__main__":
    main()
