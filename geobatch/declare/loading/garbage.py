"""Python's garbage collector, switched off while many values without cycles are made.

What it saves is not settled: on a busy machine, `validate` of 10,000 documents took 0.93 of the CPU
time from Python and 1.02 from the command line, which has high thresholds, and more of the wall
time (docs/decisions/041-one-pool.md).
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collecting() -> Iterator[None]:
    """Switch the collector off inside the block.

    Nodes, specs, assets and plans are trees, and a look at a file leaves no cycle behind: to search
    for them again and again while a hundred thousand are made takes as long as making them.
    """
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()
