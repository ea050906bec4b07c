"""Encodes tiles again: the same pixels with another codec."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geobatch.errors import CorruptObjectError
from geobatch.execute.region import RegionResult
from geobatch.execute.stored_pixels import StoredLevels
from geobatch.format.codec import decode, encode
from geobatch.model.assets.asset import Codec
from geobatch.model.published import ArrayKey
from geobatch.model.tile import StoredTile, TileKey
from geobatch.store.pixels import damaged_tile


def recode_tiles(
    key: ArrayKey, entries: npt.NDArray[np.void], *, stored: StoredLevels, before: Codec
) -> RegionResult:
    """Put some tiles of an array in the codec of `stored`; their content digests stay.

    Raises:
        CorruptObjectError: A stored tile does not match its digest.
    """
    result = RegionResult()
    dtype = "uint8" if key.is_mask else stored.band.dtype
    rows = result.entries.setdefault(key, [])
    for entry in entries:
        try:
            found = stored.objects.get(bytes(entry["stored"]).hex())
        except CorruptObjectError as error:
            raise damaged_tile(TileKey(key, int(entry["row"]), int(entry["col"])), error) from error
        pixels = decode(before, found, dtype, stored.tile)
        data = encode(stored.codec, pixels)
        digest, is_new = stored.objects.put(data)
        if is_new:
            result.written += 1
            result.bytes_written += len(data)
        else:
            result.reused += 1
        rows.append(
            StoredTile(
                row=int(entry["row"]),
                col=int(entry["col"]),
                content=bytes(entry["content"]),
                stored=bytes.fromhex(digest),
                size=len(data),
            )
        )
    return result
