"""Digests of parts of a large file, by processes: threads would wait for Python's lock."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from geobatch.processes.pool import Keep, Work, start
from geobatch.processors import processor_count
from geobatch.sources.geotiff.identity import hash_worker as program

_APART_FROM = 128 << 20
"""Bytes from which processes are worth starting: each takes 10 ms."""
_MOST = 4
"""Processes per file, this one among them."""
_PARTS = 256
"""In how many parts the work is divided."""
_AT_A_TIME = 1 << 16

Meanwhile = Callable[[], object]
"""Work for this process while others hash."""
Ranges = npt.NDArray[np.uint64]
"""(stretch, 2): first byte and length, sorted."""


def digests_of(descriptor: int, ranges: Ranges, *, meanwhile: Meanwhile = lambda: None) -> bytes:
    """Return the BLAKE3-256 of stretches of a file, one after another.

    While a run begins, some thread holds Python's lock nearly all the time: it imports. Threads
    that hash would wait for it before and after each stretch.

    Args:
        descriptor: The file.
        ranges: The stretches.
        meanwhile: Is called once while other processes hash, before this one helps.

    Raises:
        OSError: The file cannot be read.
        EOFError: It ends before a stretch does.
    """
    ends = ranges[:, 0] + ranges[:, 1]
    hashing = _Hashing(descriptor, end=int(ends.max(initial=0)))
    if int(ranges[:, 1].sum()) < _APART_FROM:
        return hashing.run(ranges)
    others = min(processor_count(), _MOST) - 1
    pool = start(hashing, others=others, arguments=[str(descriptor)], shared=[descriptor])
    if pool is None:
        return hashing.run(ranges)
    count = -(-len(ranges) // _PARTS)
    parts = [ranges[first : first + count] for first in range(0, len(ranges), count)]
    digests = dict(pool.map(parts, meanwhile=meanwhile))
    return b"".join(digests[number] for number in range(len(parts)))


class _Hashing(Work[Ranges, bytes]):
    """The work of a pool: an item is some stretches, and its value their digests."""

    module = program.__name__
    is_light = True

    def __init__(self, descriptor: int, *, end: int) -> None:
        self._descriptor = descriptor
        self._buffer = program.new_buffer(end)

    def pack(self, item: Ranges, _: Keep) -> bytes:
        return item.tobytes()

    def unpack(self, answer: bytes) -> bytes:
        return answer

    def run(self, item: Ranges) -> bytes:
        parts = (item[first : first + _AT_A_TIME] for first in range(0, len(item), _AT_A_TIME))
        stretches = ((a, b) for part in parts for a, b in part.tolist())
        return program.digests_of(self._descriptor, stretches, self._buffer)
