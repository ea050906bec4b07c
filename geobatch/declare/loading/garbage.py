"""Python's garbage collector, switched off while many values without cycles are made.

It saves a sixth of a plan of 10,000 documents from Python, and nothing from the command line, which
collects seldom anyway (docs/decisions/041-one-pool.md).
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
