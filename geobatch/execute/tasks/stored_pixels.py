"""Planes of masked pixels over a box of tiles: read back from the store, joined, cut into tiles."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.assets.asset import Band, Codec
from geobatch.model.geobox import GeoBox
from geobatch.model.published import ArrayKey, PageRef
from geobatch.model.tile import StoredTile, TileKey
from geobatch.model.window import Box
from geobatch.pyramid.pixels import Mask, Plane, Values
from geobatch.store.index import Index
from geobatch.store.objects import Objects
from geobatch.store.pixels import read_array, read_tile


class StoredLevels(Struct, frozen=True, kw_only=True):
    """The current stored tiles of one band: base commit plus what this run indexed."""

    band: Band
    """The band after the run; the stored tiles have the same dtype and fill."""
    shape: tuple[int, int]
    """(rows, columns) of tiles at level 0."""
    tile: int
    """Side of a tile."""
    codec: Codec
    """Codec of the stored tiles."""
    objects: Objects
    """Where tiles are."""
    index: Index
    """Where tile indexes are."""
    roots: Mapping[ArrayKey, PageRef | None]
    """Index root per array, of at least this band."""

    def plane_shape(self, level: int) -> tuple[int, int]:
        """Return (rows, columns) of tiles at a level."""
        rows, cols = self.shape
        for _ in range(level):
            rows, cols = (rows + 1) // 2, (cols + 1) // 2
        return rows, cols

    def find(self, key: TileKey) -> StoredTile | None:
        """Return a tile as it is stored, or None where nothing is stored."""
        root = self.roots.get(key.array)
        if root is None:
            return None
        plane = self.plane_shape(key.array.level)
        return self.index.lookup(plane, root, row=key.row, col=key.col)

    def read(self, key: TileKey) -> Values | None:
        """Return the pixels of a tile (tile, tile), or None where it is not stored.

        Raises:
            CorruptObjectError: The object does not match its digest.
        """
        return read_array(
            key,
            self.find(key),
            objects=self.objects,
            codec=self.codec,
            dtype=self.band.dtype,
            side=self.tile,
        )

    def read_tile(self, level: int, row: int, col: int) -> tuple[Values | None, Mask | None]:
        """Return a tile's values and mask; no values: fully masked; no mask: fully valid."""
        return read_tile(self.band, level, lambda key: self.read(TileKey(key, row, col)))

    def load(
        self, geobox: GeoBox, level: int, box: Box, wanted: npt.NDArray[np.bool_] | None = None
    ) -> Plane:
        """Return the pixels of a box of tiles; those not `wanted` are left masked."""
        band, tile = self.band, self.tile
        window = box.window(geobox.shape, tile=tile)
        values = np.full(window.shape, band.fill, dtype=band.dtype)
        mask = None if not band.can_be_masked else np.zeros(values.shape, dtype=np.uint8)
        for row in range(box.height):
            for col in range(box.width):
                if wanted is not None and not wanted[row, col]:
                    continue
                pixels, weights = self.read_tile(level, box.row + row, box.col + col)
                if pixels is None:
                    continue
                area = (slice(row * tile, (row + 1) * tile), slice(col * tile, (col + 1) * tile))
                target = values[area]
                target[:] = pixels[: target.shape[0], : target.shape[1]]
                if mask is not None:
                    mask[area] = (
                        255 if weights is None else weights[: target.shape[0], : target.shape[1]]
                    )
        return Plane(values, None if mask is None or mask.min() == 255 else mask)
