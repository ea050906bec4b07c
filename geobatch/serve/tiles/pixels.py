"""Pixels of a published band at a level, tile by tile: verified, and kept while they fit."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.model.assets.band import Band
from geobatch.model.assets.grid import Grid
from geobatch.model.digest import Digest
from geobatch.model.geobox import GeoBox
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.model.window import Box
from geobatch.serve.tiles.kept import Kept
from geobatch.store.pixels import BandPixels, Values, Weights, tile_pixels
from geobatch.store.tilestore import TileStore

MOST_TILES = 64
"""Stored tiles under one tile of a map: more are seen at a coarser level."""


class Chunks(Protocol):
    """Decodes tiles of external images."""

    def read(self, record: AssetRecord, key: ArrayKey, *, row: int, col: int) -> memoryview | None:
        """Return the plain pixels of a tile, or None where all of it is masked."""


class Published(Struct, frozen=True, kw_only=True, eq=False):
    """An image of a commit, and what reads it."""

    store: TileStore
    """The store."""
    record: AssetRecord
    """The image."""
    stored: Digest
    """Digest of its document: equal in all commits that did not change it."""
    chunks: Chunks
    """Reads external images."""
    kept: Kept[tuple[Values, Weights]]
    """Decoded tiles."""

    def grid(self, band: Band) -> Grid:
        """Return the planes of a band."""
        return self.record.image.grid(band.grid)

    def tile(self, band: Band, level: int, row: int, col: int) -> tuple[Values, Weights]:
        """Return the values and masks of a stored tile, less the padding; both are read-only.

        Raises:
            CorruptObjectError: The tile, or an index page on the way, is damaged.
            SourceError: A COG is not in the state that was applied.
        """
        return self.kept.get(
            (self.stored, band.id, level, row, col),
            lambda: self._read(band, level, row, col),
            lambda found: found[0].nbytes + found[1].nbytes,
        )

    def _read(self, band: Band, level: int, row: int, col: int) -> tuple[Values, Weights]:
        if not self.record.asset.is_external:
            return BandPixels(self.store, self.record, band, level).tile(row, col)
        side, plane = self.record.image.tile, self.grid(band).level(level)

        def read(key: ArrayKey) -> Values | None:
            data = self.chunks.read(self.record, key, row=row, col=col)
            dtype = np.dtype("uint8" if key.is_mask else band.dtype).newbyteorder("<")
            return None if data is None else np.frombuffer(data, dtype).reshape(side, side)

        shape = Box.of_tile(row, col).window(plane.shape, tile=side).shape
        return tile_pixels(band, level, shape, read)

    def sample(
        self,
        band: Band,
        level: int,
        rows: npt.NDArray[np.int64],
        cols: npt.NDArray[np.int64],
    ) -> tuple[Values, Weights]:
        """Return the pixels at some positions of a level; those outside of it are masked.

        Args:
            band: The band.
            level: Its level.
            rows: Row of each pixel, of any shape; may be outside.
            cols: Column of each, of the same shape.

        Raises:
            CorruptObjectError: A tile is damaged.
            SourceError: A COG is not in the state that was applied.
        """
        height, width = self.grid(band).level(level).shape
        side = self.record.image.tile
        values = np.full(rows.shape, band.fill, band.dtype)
        weights = np.zeros(rows.shape, np.uint8)
        inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
        across = -(-width // side)
        numbers = np.where(inside, rows // side * across + cols // side, -1)
        for number in _distinct(numbers[inside]):
            row, col = divmod(number, across)
            found, mask = self.tile(band, level, row, col)
            here = numbers == number
            at = (rows[here] - row * side, cols[here] - col * side)
            values[here], weights[here] = found[at], mask[at]
        return values, weights

    def tiles_under(
        self, plane: GeoBox, rows: npt.NDArray[np.int64], cols: npt.NDArray[np.int64]
    ) -> int:
        """Return how many stored tiles some positions of a level are in."""
        side = self.record.image.tile
        inside = (rows >= 0) & (rows < plane.height) & (cols >= 0) & (cols < plane.width)
        across = -(-plane.width // side)
        return len(_distinct(rows[inside] // side * across + cols[inside] // side))


def _distinct(numbers: npt.NDArray[np.int64]) -> list[int]:
    """Return the different ones of some numbers, which are close to each other as a rule."""
    if not numbers.size:
        return []
    least, most = int(numbers.min()), int(numbers.max())
    if most - least > numbers.size:
        return [int(one) for one in np.unique(numbers)]
    return [int(one) + least for one in np.flatnonzero(np.bincount(numbers - least))]
