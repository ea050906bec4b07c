"""The pixels of one published band at one level, tile by tile, verified as they are read."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.asset import Band
from geobatch.model.geobox import GeoBox
from geobatch.model.record import ArrayKey, AssetRecord
from geobatch.store.codec import decode
from geobatch.store.tilestore import TileStore

Values: TypeAlias = npt.NDArray[Any]
"""Pixels of a band."""
Weights: TypeAlias = npt.NDArray[np.uint8]
"""Their masks, from 0 to 255."""


class BandPixels(Struct, frozen=True):
    """The pixels of one band of one record at one level; threads may share it."""

    store: TileStore
    """Where the tiles are."""
    record: AssetRecord
    """The published asset."""
    band: Band
    """One of its bands."""
    level: int
    """A level of the band's grid."""

    @property
    def plane(self) -> GeoBox:
        """The pixel plane."""
        return self.record.asset.grid(self.band.grid).geobox.level(self.level)

    def tile(self, row: int, col: int) -> tuple[Values, Weights]:
        """Return the values and masks of a tile, less the padding; both may be read-only.

        Raises:
            CorruptObjectError: The tile, or an index page on the way, is damaged.
        """
        asset, band = self.record.asset, self.band
        plane = self.plane
        shape = (
            min(asset.tile, plane.height - row * asset.tile),
            min(asset.tile, plane.width - col * asset.tile),
        )
        values = self._array(row, col, is_mask=False)
        if values is None:
            return np.full(shape, band.fill, dtype=band.dtype), np.zeros(shape, dtype=np.uint8)
        values = values[: shape[0], : shape[1]]
        if band.mask_from_level is None:
            return values, np.full(shape, 255, dtype=np.uint8)
        if not band.has_mask(self.level):
            is_fill = np.isnan(values) if np.isnan(band.fill) else values == band.fill
            return values, np.where(is_fill, np.uint8(0), np.uint8(255))
        weights = self._array(row, col, is_mask=True)
        if weights is None:
            return values, np.zeros(shape, dtype=np.uint8)
        return values, weights[: shape[0], : shape[1]]

    def _array(self, row: int, col: int, *, is_mask: bool) -> Values | None:
        asset = self.record.asset
        plane = asset.grid(self.band.grid).geobox.tile_shape(tile=asset.tile, level=self.level)
        root = self.record.root(ArrayKey(band=self.band.id, level=self.level, is_mask=is_mask))
        entry = self.store.index.lookup(plane, root, row=row, col=col)
        if entry is None:
            return None
        data = self.store.objects.get(entry.stored.hex())
        return decode(asset.codec, data, "uint8" if is_mask else self.band.dtype, asset.tile)
