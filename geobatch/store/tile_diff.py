"""Which tiles of an array differ between two records of an asset, by content digests."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from geobatch.model.published import ArrayKey, AssetRecord, PageRef
from geobatch.store.index import Entries, Places
from geobatch.store.tilestore import TileStore

_NOWHERE: Places = np.zeros((0, 2), dtype=np.uint32)


class ArraySide(Struct, frozen=True, kw_only=True):
    """One array of one of two records."""

    plane: tuple[int, int]
    """(rows, columns) of its tiles."""
    pixels: tuple[int, int, int]
    """(rows, columns) of its pixels, and the side of a tile."""
    root: PageRef | None
    """Root of its index."""

    def is_like(self, other: ArraySide) -> bool:
        """Return whether a tile of one covers the same pixels as that of the other."""
        return self.pixels == other.pixels


def differing(
    store: TileStore, old: AssetRecord | None, new: AssetRecord | None, key: ArrayKey
) -> tuple[Places, Places, Places]:
    """Return the (row, col) of the tiles of one array that were added, changed and removed.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    before, after = side_of(old, key), side_of(new, key)
    if before is not None and after is not None and before.is_like(after):
        return store.index.diff(before.plane, before.root, after.root)
    removed, added = (
        _NOWHERE if side is None else _places(store.index.entries(side.plane, side.root))
        for side in (before, after)
    )
    return added, _NOWHERE, removed


def _places(entries: Entries) -> Places:
    return np.stack([entries["row"], entries["col"]], axis=1)


def side_of(record: AssetRecord | None, key: ArrayKey) -> ArraySide | None:
    """Return an array of a record; None if the record has none of this key."""
    if record is None or key not in dict(record.arrays):
        return None
    asset = record.image
    geobox = asset.grid(asset.band(key.band).grid).geobox
    level = geobox.level(key.level)
    return ArraySide(
        plane=geobox.tile_shape(tile=asset.tile, level=key.level),
        pixels=(level.height, level.width, asset.tile),
        root=record.root(key),
    )
