"""Digests of stretches of a file; also a program, which waits for no lock of another's Python.

    python -I -S stretches.py FOLDER DESCRIPTOR < stretches > digests

FOLDER is where BLAKE3 is installed. Nothing else is imported that takes time to load.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

GROUP_BYTES = 2 << 20
_GAP_BYTES = 64 << 10

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
    from blake3 import blake3  # noqa: PLC0415 - found by the program only when it knows where

    buffer = memoryview(bytearray(GROUP_BYTES))
    found = bytearray()
    for group in _groups(stretches):
        start = group[0][0]
        size = max(offset + count for offset, count in group) - start
        if size > GROUP_BYTES:  # then it is a single one
            hasher = blake3()
            for offset in range(start, start + size, GROUP_BYTES):
                part = buffer[: min(GROUP_BYTES, start + size - offset)]
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
        if group and (offset > end + _GAP_BYTES or max(end, stop) - start > GROUP_BYTES):
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
    """Digest what standard input names: pairs of unsigned 64-bit integers."""
    import signal  # noqa: PLC0415
    import sys  # noqa: PLC0415

    # Who interrupts a run interrupts the process that started this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path.append(sys.argv[1])
    numbers = iter(memoryview(sys.stdin.buffer.read()).cast("Q"))
    sys.stdout.buffer.write(digests_of(int(sys.argv[2]), zip(numbers, numbers, strict=True)))


if __name__ == "__main__":
    main()
