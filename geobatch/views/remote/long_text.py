"""Documents that are put together piece by piece: a long one is in a file, not in memory."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from typing import TypeAlias

from geobatch.store.backends.protocol import Backend

Text: TypeAlias = bytes | memoryview
"""A document; one that is mapped lies in a temporary file, which goes with it."""

MOST_BYTES = 4 << 20
"""Bytes of a document that are kept in memory."""


def joined(pieces: Iterable[bytes]) -> Text:
    """Return some pieces one after the other: mapped from a temporary file if they are long."""
    head = bytearray()
    rest = iter(pieces)
    for piece in rest:
        head += piece
        if len(head) > MOST_BYTES:
            break
    else:
        return bytes(head)
    with tempfile.TemporaryFile(prefix="geobatch-") as file:
        file.write(head)
        head.clear()
        file.writelines(rest)
        file.flush()
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read(backend: Backend, name: str, size: int) -> Text:
    """Return the bytes of a name, which are known to be so many.

    Raises:
        NotFoundError: There is no such name.
        StoreError: The backend failed.
    """
    if size <= MOST_BYTES:
        return backend.get(name)
    starts = range(0, size, MOST_BYTES)
    return joined(backend.get(name, start=start, length=MOST_BYTES) for start in starts)
