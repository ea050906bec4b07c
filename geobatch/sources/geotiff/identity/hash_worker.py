"""Digests of parts of a file; also a program, which does not wait for another Python's lock.

    python -I -S stretches.py FOLDER DESCRIPTOR COUNT PARENT < queue > digests

FOLDER is where BLAKE3 is installed; COUNT stretches are taken from the queue at a time, as long as
PARENT is the process that this one was started by. Nothing else is imported that takes time to
load.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator

_GROUP_BYTES = 2 << 20
_GAP_BYTES = 64 << 10
_NUMBER = 8
_RECORD = 3 * _NUMBER
_DIGEST = 32

Stretch = tuple[int, int]
"""First byte and length of a part of a file."""


def digests_of(descriptor: int, stretches: Iterable[Stretch]) -> bytes:
    """Return the BLAKE3-256 of each stretch, one after another.

    Args:
        descriptor: The file; its position is not used.
        stretches: Sorted; they may overlap.

    Raises:
        OSError: The file cannot be read.
        EOFError: It ends before a stretch does.
    """
    return _digests_of(descriptor, stretches, memoryview(bytearray(_GROUP_BYTES)))


def work_off(
    queue: int, descriptor: int, count: int, *, is_wanted: Callable[[], bool] = lambda: True
) -> bytes:
    """Digest the parts in a queue, until it is empty.

    Args:
        queue: A file of records of three native unsigned 64-bit integers: number, first byte and
            length of a stretch. Processes that share the descriptor share its position, so that
            each takes what no other has taken.
        descriptor: The file that the stretches are of.
        count: How many to take at a time.
        is_wanted: Whether to take more.

    Returns:
        For each stretch that was taken its number, as it stood there, and its digest.

    Raises:
        OSError: The file cannot be read.
        EOFError: It ends before a stretch does.
    """
    buffer = memoryview(bytearray(_GROUP_BYTES))
    found = bytearray()
    while is_wanted() and (records := os.read(queue, count * _RECORD)):
        numbers = memoryview(records).cast("Q").tolist()
        digests = _digests_of(descriptor, zip(numbers[1::3], numbers[2::3], strict=True), buffer)
        for at in range(len(records) // _RECORD):
            found += records[at * _RECORD : at * _RECORD + _NUMBER]
            found += digests[at * _DIGEST : (at + 1) * _DIGEST]
    return bytes(found)


def seal(found: bytes) -> bytes:
    """Return the program's output: the digests, then the BLAKE3-256 of them.

    The caller may have started another program by mistake, whose output has no meaning.
    """
    from blake3 import blake3  # noqa: PLC0415 - found by the program only when it knows where

    return found + blake3(found).digest()


def _digests_of(descriptor: int, stretches: Iterable[Stretch], buffer: memoryview) -> bytes:
    from blake3 import blake3  # noqa: PLC0415 - found by the program only when it knows where

    found = bytearray()
    for group in _groups(stretches):
        start = group[0][0]
        size = max(offset + count for offset, count in group) - start
        if size > _GROUP_BYTES:  # then it is a single one
            hasher = blake3()
            for offset in range(start, start + size, _GROUP_BYTES):
                part = buffer[: min(_GROUP_BYTES, start + size - offset)]
                _fill(part, descriptor, offset)
                hasher.update(part)
            found += hasher.digest()
            continue
        _fill(buffer[:size], descriptor, start)
        for offset, count in group:
            found += blake3(buffer[offset - start : offset - start + count]).digest()
    return bytes(found)


def _groups(stretches: Iterable[Stretch]) -> Iterator[list[Stretch]]:
    """Yield runs that are read in one go."""
    group: list[Stretch] = []
    start = end = 0
    for offset, count in stretches:
        stop = offset + count
        if group and (offset > end + _GAP_BYTES or max(end, stop) - start > _GROUP_BYTES):
            yield group
            group = []
        if not group:
            start = end = offset
        end = max(end, stop)
        group.append((offset, count))
    if group:
        yield group


def _fill(buffer: memoryview, descriptor: int, offset: int) -> None:
    done = 0
    while done < len(buffer):
        count = os.preadv(descriptor, [buffer[done:]], offset + done)
        if not count:
            raise EOFError
        done += count


def main() -> None:
    """Process the queue in standard input."""
    import signal  # noqa: PLC0415
    import sys  # noqa: PLC0415

    # Interrupting a run interrupts the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.append(sys.argv[1])
    descriptor, count, parent = map(int, sys.argv[2:])
    # The process that started this one may have been killed.
    found = work_off(0, descriptor, count, is_wanted=lambda: os.getppid() == parent)
    sys.stdout.buffer.write(seal(found))


if __name__ == "__main__":
    main()
