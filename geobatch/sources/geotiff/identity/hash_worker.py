"""Digests of parts of a file; also a program, which does not wait for another Python's lock.

It imports nothing that takes time to load: a pool runs it as a file, without `site`. It saves a
sixth of a plan of 0.55 GB on free processors (docs/decisions/041-one-pool.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from blake3 import blake3

from geobatch.processes.worker import arguments, serve

_GROUP_BYTES = 2 << 20
_GAP_BYTES = 64 << 10

Stretch = tuple[int, int]
"""First byte and length of a part of a file."""


def new_buffer(end: int = _GROUP_BYTES) -> memoryview:
    """Return memory for what `digests_of` reads, for one thread.

    Args:
        end: Where the last stretch ends, if that is known: a small file needs little.
    """
    return memoryview(bytearray(min(end, _GROUP_BYTES)))


def digests_of(descriptor: int, stretches: Iterable[Stretch], buffer: memoryview) -> bytes:
    """Return the BLAKE3-256 of each stretch, one after another.

    Args:
        descriptor: The file; its position is not used.
        stretches: Sorted; they may overlap.
        buffer: Memory of `new_buffer`.

    Raises:
        OSError: The file cannot be read.
        EOFError: It ends before a stretch does.
    """
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
    """Be one of the processes of a pool; an item is stretches, as native 64-bit integers."""
    (descriptor,) = map(int, arguments())
    buffer = new_buffer()
    serve(lambda item: digests_of(descriptor, pairs(item), buffer))


def pairs(item: bytes) -> Iterator[Stretch]:
    """Return the stretches of an item."""
    numbers = memoryview(item).cast("Q").tolist()
    return zip(numbers[::2], numbers[1::2], strict=True)


if __name__ == "__main__":
    main()
