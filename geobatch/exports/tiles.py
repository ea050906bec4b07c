"""Decoded tiles for an export, the last used of them kept: windows side by side share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TypeAlias

import numpy as np

from geobatch.exports.selection import Selection
from geobatch.store.pixels import BandPixels, Values, Weights
from geobatch.store.tilestore import TileStore

ReadTile: TypeAlias = Callable[[int, int], tuple[Values, Weights]]
"""Returns the values and masks of the tile at (row, column)."""

CACHE_BYTES = 128 << 20
"""Decoded tiles that are kept, over all bands."""


def tile_readers(store: TileStore, selection: Selection, *, level: int) -> Mapping[str, ReadTile]:
    """Return what reads the tiles of each band of a selection at a level; threads may share it."""
    tile = selection.record.image.tile
    pixel = sum(np.dtype(band.dtype).itemsize + 1 for band in selection.bands)
    kept = max(1, CACHE_BYTES // (tile * tile * pixel))
    return {
        band.id: lru_cache(maxsize=kept)(BandPixels(store, selection.record, band, level).tile)
        for band in selection.bands
    }
