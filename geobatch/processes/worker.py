"""One of the other processes of a pool: it takes items from a queue, and answers them.

It imports little, because some programs must start within a hundredth of a second.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
from collections.abc import Callable, Sequence

ITEM = struct.Struct("=QQQ")
"""Number of an item, and where it is: its first byte and its length."""
ANSWER = struct.Struct("=16sQQ")
"""The token of the pool, the number of the item, and the length of the answer; see `FAILED`."""
FAILED = (1 << 64) - 1
"""Length of an answer that is missing, because an error was raised."""
TOKEN_BYTES = 16
_OWN_ARGUMENTS = 5

Location = tuple[int, int]
"""First byte and length of what is in the file of the items."""

_is_serving: list[bool] = []


def is_worker() -> bool:
    """Return whether this process is one of the others."""
    return bool(_is_serving)


def serve(work: Callable[[bytes], bytes]) -> None:
    """Answer items until no more can come; the queue is the standard input.

    An error of the work is not reported: the process that started this one does the item itself,
    and meets the error there.

    Args:
        work: Returns the answer to an item.
    """
    # An interrupt of the run is sent to the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _is_serving.append(True)
    items, answers, parent = map(int, sys.argv[1:4])
    token = bytes.fromhex(sys.argv[4])
    # The process that started this one may have been killed.
    while os.getppid() == parent and (record := os.read(0, ITEM.size)):
        number, start, length = ITEM.unpack(record)
        try:
            answer = work(pread(items, start, length))
        except Exception:  # noqa: BLE001 - met again where the item is done
            write(answers, ANSWER.pack(token, number, FAILED))
        else:
            write(answers, ANSWER.pack(token, number, len(answer)) + answer)


def arguments() -> Sequence[str]:
    """Return what the pool was given for its workers."""
    return sys.argv[_OWN_ARGUMENTS:]


def kept(location: Location) -> bytes:
    """Return what `Pool.keep` has put."""
    return pread(int(sys.argv[1]), *location)


def pread(file: int, start: int, length: int) -> bytes:
    """Read some bytes of a file.

    Raises:
        EOFError: The file ends before them.
    """
    parts = []
    while length:
        part = os.pread(file, length, start)
        if not part:
            raise EOFError
        parts.append(part)
        start, length = start + len(part), length - len(part)
    return b"".join(parts)


def write(file: int, data: bytes) -> None:
    """Write bytes where a file stands.

    Raises:
        OSError: There is no room for them.
    """
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
