"""The pixels of one published band at one level, tile by tile, verified as they are read."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.format.codec import decode
from geobatch.model.assets.asset import Band, Codec
from geobatch.model.geobox import GeoBox
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.model.tile import StoredTile, TileKey
from geobatch.model.window import Box
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore

Values: TypeAlias = npt.NDArray[Any]
"""Pixels of a band."""
Weights: TypeAlias = npt.NDArray[np.uint8]
"""Their masks, from 0 to 255."""


def read_array(
    key: TileKey, tile: StoredTile | None, *, objects: Objects, codec: Codec, dtype: str, side: int
) -> Values | None:
    """Return the pixels of one array in a tile (side, side), or None where it is not stored.

    Args:
        key: Which tile, for the error.
        tile: The tile as its index has it.
        objects: Where its object is.
        codec: How it is encoded.
        dtype: Pixel type of the band; a mask has its own.
        side: Side of a tile in pixels.

    Raises:
        CorruptObjectError: The object does not match its digest.
    """
    if tile is None:
        return None
    try:
        data = objects.get(tile.stored.hex())
    except CorruptObjectError as error:
        raise damaged_tile(key, error) from error
    return decode(codec, data, "uint8" if key.array.is_mask else dtype, side)


def read_tile(
    band: Band, level: int, read: Callable[[ArrayKey], Values | None]
) -> tuple[Values | None, Weights | None]:
    """Return the values and the mask of a tile; no values: all masked; no mask: all valid.

    Args:
        band: Its band.
        level: Its level.
        read: Returns what the tile has of an array, if anything.
    """
    values = read(ArrayKey(band=band.id, level=level))
    if values is None or band.mask_from_level is None:
        return values, None
    if band.has_mask(level):
        weights = read(ArrayKey(band=band.id, level=level, is_mask=True))
        return values, np.zeros(values.shape, np.uint8) if weights is None else weights
    is_valid = ~np.isnan(values) if np.isnan(band.fill) else values != band.fill
    return values, None if is_valid.all() else is_valid.view(np.uint8) * np.uint8(255)


def tile_pixels(
    band: Band, level: int, shape: tuple[int, int], read: Callable[[ArrayKey], Values | None]
) -> tuple[Values, Weights]:
    """Return the values and the masks of a tile, less the padding; both may be read-only.

    Args:
        band: Its band.
        level: Its level.
        shape: (rows, columns) of its pixels that are inside the plane.
        read: Returns what the tile has of an array, if anything.
    """
    values, weights = read_tile(band, level, read)
    if values is None:
        return np.full(shape, band.fill, dtype=band.dtype), np.zeros(shape, dtype=np.uint8)
    values = values[: shape[0], : shape[1]]
    if weights is None:
        return values, np.full(shape, 255, dtype=np.uint8)
    return values, weights[: shape[0], : shape[1]]


def damaged_tile(key: TileKey, error: CorruptObjectError) -> CorruptObjectError:
    """Return the error of a damaged object with the tile that it is."""
    return CorruptObjectError(f"{key}: {error.message}", hint=error.hint)


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
        return self.record.image.grid(self.band.grid).geobox.level(self.level)

    def tile(self, row: int, col: int) -> tuple[Values, Weights]:
        """Return the values and masks of a tile, less the padding; both may be read-only.

        Raises:
            CorruptObjectError: The tile, or an index page on the way, is damaged.
        """
        shape = Box.of_tile(row, col).window(self.plane.shape, tile=self.record.image.tile).shape
        return tile_pixels(self.band, self.level, shape, partial(self.read_array, row, col))

    def read_array(self, row: int, col: int, key: ArrayKey) -> Values | None:
        """Return what a tile has of an array, with its padding; None if nothing."""
        asset = self.record.image
        plane = asset.grid(self.band.grid).geobox.tile_shape(tile=asset.tile, level=self.level)
        return read_array(
            TileKey(key, row, col),
            self.store.index.lookup(plane, self.record.root(key), row=row, col=col),
            objects=self.store.objects,
            codec=asset.codec,
            dtype=self.band.dtype,
            side=asset.tile,
        )
