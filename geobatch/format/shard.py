"""A shard: many encoded chunks as one run of bytes, with the index that finds each of them."""

from __future__ import annotations

from collections.abc import Sequence

import google_crc32c
import numpy as np

from geobatch.errors import CorruptObjectError

_CHECKSUM = 4


def pack(chunks: Sequence[bytes]) -> bytes:
    """Return the shard of some chunks, in their order.

    None is left out: what is absent takes the fill value of the array that it is read for, and
    equal bytes must mean equal pixels in any array.

    Source: the codec `sharding_indexed` of Zarr v3, with its index at the end.
    """
    index = np.zeros((len(chunks), 2), dtype="<u8")
    index[:, 1] = [len(chunk) for chunk in chunks]
    index[1:, 0] = np.cumsum(index[:-1, 1])
    plain = index.tobytes()
    checksum = int(google_crc32c.value(plain)).to_bytes(_CHECKSUM, "little")
    return b"".join((*chunks, plain, checksum))


def unpack(data: bytes, count: int) -> list[memoryview]:
    """Return the `count` chunks of a shard, in their order.

    Raises:
        CorruptObjectError: The bytes are no such shard.
    """
    size = 16 * count
    start = len(data) - size - _CHECKSUM
    if start < 0:
        raise CorruptObjectError(f"{len(data)} bytes are not a shard of {count} chunks")
    plain = data[start : start + size]
    if int(google_crc32c.value(plain)) != int.from_bytes(data[-_CHECKSUM:], "little"):
        raise CorruptObjectError("the index of a shard does not match its checksum")
    index = np.frombuffer(plain, dtype="<u8").reshape(count, 2).tolist()
    if any(offset + length > start for offset, length in index):
        raise CorruptObjectError("a shard ends before one of its chunks")
    whole = memoryview(data)
    return [whole[offset : offset + length] for offset, length in index]
