"""Decoded tiles for an export, the last used of them kept: windows side by side share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from geobatch import reading
from geobatch.exports.selection import Selection
from geobatch.model.assets.asset import Band, ExternalImage
from geobatch.model.published import ArrayKey
from geobatch.model.window import Box
from geobatch.store.pixels import BandPixels, Values, Weights, tile_pixels
from geobatch.store.tilestore import TileStore

ReadTile: TypeAlias = Callable[[int, int], tuple[Values, Weights]]
"""Returns the values and masks of the tile at (row, column)."""

CACHE_BYTES = 128 << 20
"""Decoded tiles that are kept, over all bands."""


def tile_readers(store: TileStore, selection: Selection, *, level: int) -> Mapping[str, ReadTile]:
    """Return what reads the tiles of each band of a selection at a level; threads may share it.

    Those of an external image are decoded from its COGs, in the states that are pinned.
    """
    record = selection.record
    tile = record.image.tile
    pixel = sum(np.dtype(band.dtype).itemsize + 1 for band in selection.bands)
    kept = max(1, CACHE_BYTES // (tile * tile * pixel))
    if isinstance(record.asset, ExternalImage):
        chunks = reading.ExternalChunks(selection.location)
        readers = {band.id: _external(chunks, selection, band, level) for band in selection.bands}
    else:
        readers = {band.id: BandPixels(store, record, band, level).tile for band in selection.bands}
    return {name: lru_cache(maxsize=kept)(read) for name, read in readers.items()}


def _external(
    chunks: reading.ExternalChunks, selection: Selection, band: Band, level: int
) -> ReadTile:
    """Return what reads the tiles of a band of an external image."""
    record, shape, side = (
        selection.record,
        selection.grid.level(level).shape,
        selection.record.image.tile,
    )

    def read(row: int, col: int) -> tuple[Values, Weights]:
        def array(key: ArrayKey) -> Values | None:
            data = chunks.read(record, key, row=row, col=col)
            if data is None:
                return None
            dtype = np.dtype("uint8" if key.is_mask else band.dtype).newbyteorder("<")
            return np.frombuffer(data, dtype).reshape(side, side)

        inside = Box.of_tile(row, col).window(shape, tile=side).shape
        return tile_pixels(band, level, inside, array)

    return read
