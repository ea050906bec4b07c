"""Which tiles of an array differ between two records of an asset, by content digests.

Equal bytes are other pixels if what masks them changed: a fill value, or whether there is a mask.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.assets.asset import Band
from geobatch.model.published import ArrayKey, AssetRecord, PageRef
from geobatch.store.index import Entries
from geobatch.store.pages.places import Places
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
    masked_by: str
    """What masks values: nothing, an array of masks, or the fill value; empty for masks."""

    def is_like(self, other: ArraySide) -> bool:
        """Return whether a tile of one covers the same pixels as that of the other."""
        return self.pixels == other.pixels


def differing(
    store: TileStore, old: AssetRecord | None, new: AssetRecord | None, key: ArrayKey
) -> tuple[Places, Places, Places]:
    """Return the (row, col) of the tiles of one array that were added, changed and removed.

    If something else masks the values of a band, all tiles of them count that both records have.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    before, after = side_of(old, key), side_of(new, key)
    if before is not None and after is not None and before.is_like(after):
        found = store.index.diff(before.plane, before.root, after.root)
        if before.masked_by == after.masked_by:
            return found.added, found.changed, found.removed
        places = _places(store.index.entries(after.plane, after.root))
        is_added = np.isin(_numbers(places, after.plane), _numbers(found.added, after.plane))
        return found.added, places[~is_added], found.removed
    removed, added = (
        _NOWHERE if side is None else _places(store.index.entries(side.plane, side.root))
        for side in (before, after)
    )
    return added, _NOWHERE, removed


def _numbers(places: Places, plane: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return the number of each tile, row by row."""
    return places[:, 0].astype(np.int64) * plane[1] + places[:, 1]


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
        masked_by="" if key.is_mask else _masked_by(asset.band(key.band), key.level),
    )


def _masked_by(band: Band, level: int) -> str:
    if band.mask_from_level is None:
        return "nothing"
    return "an array" if band.has_mask(level) else repr(band.fill)
