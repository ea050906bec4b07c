"""Tasks: values that say what to compute, and what each puts; any process can run them."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct, field

from geobatch.model.assets.asset import AnyImage, Band, Codec
from geobatch.model.digest import Digest
from geobatch.model.geobox import GeoBox
from geobatch.model.published import ArrayKey, PageRef
from geobatch.model.tile import StoredTile
from geobatch.model.tiles import TileSet
from geobatch.model.window import Box
from geobatch.sources.registry import drivers_of

Peaks: TypeAlias = dict[str, int]
"""The highest weight that was read of the masks of files, by tileset."""
Roots: TypeAlias = dict[ArrayKey, PageRef | None]
"""The index root per array; None where no tile is stored."""


class Region(Struct, frozen=True, kw_only=True):
    """A square of tiles at a base level, with the levels above it up to one tile."""

    level: int
    """Base level, whose pixels are ingested or read back from the store."""
    row: int
    """First tile row at the base level; a multiple of 2^span."""
    col: int
    """First tile column at the base level; a multiple of 2^span."""
    span: int
    """Levels above the base; the region's side is 2^span tiles."""

    def box(self, level: int, plane: tuple[int, int]) -> Box:
        """Return the region's tiles at a level whose plane has `plane` (rows, columns) of tiles."""
        up = level - self.level
        side = 1 << (self.span - up)
        row, col = self.row >> up, self.col >> up
        return Box(
            row=row, col=col, height=min(side, plane[0] - row), width=min(side, plane[1] - col)
        )


class BandTask(Struct, frozen=True, kw_only=True):
    """What a region computes of one band."""

    band: Band
    """The band."""
    dirty: tuple[TileSet, ...]
    """The tiles of the region to recompute, level by level from the region's base."""
    roots: tuple[tuple[ArrayKey, PageRef | None], ...]
    """Index roots of the band's stored arrays, at the levels of the region."""
    from_sources: bool
    """Whether level 0 is ingested; else the base is read from the store."""
    can_stop: bool = False
    """Whether a tile that equals the stored one leaves its ancestors unchanged."""


class RegionTask(Struct, frozen=True, kw_only=True):
    """The work of one region: it depends on nothing but this value, the store and the sources."""

    key: Digest
    """Fingerprint of everything that determines the result."""
    asset: AnyImage
    """The image, with its sources."""
    geobox: GeoBox
    """Level 0 of the grid of the bands."""
    region: Region
    """Which tiles of the grid."""
    bands: tuple[BandTask, ...]
    """What is computed of each band."""
    is_cached: bool
    """Whether the result is loaded from the region cache if possible, and else kept there."""
    is_whole: bool = False
    """Whether it is all that is computed of a new image."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can run it: it can read the sources, or none is read."""
        return not any(band.from_sources for band in self.bands) or all(
            driver.is_portable for driver in drivers_of(self.asset)
        )


class RecodeTask(Struct, frozen=True, kw_only=True):
    """Some tiles of an array that are encoded again: the same pixels with another codec."""

    array: ArrayKey
    """The array."""
    tiles: tuple[StoredTile, ...]
    """The tiles as they are stored."""
    dtype: str
    """Pixel type of the array."""
    side: int
    """Side of a tile."""
    before: Codec
    """Codec of the stored tiles."""
    codec: Codec
    """Codec of the tiles that are put."""
    empty: int = 0
    """Tiles of the array that are not stored, which are reported with these."""

    @property
    def is_portable(self) -> bool:
        """Whether another process can run it: no source is read."""
        return True


Task: TypeAlias = RegionTask | RecodeTask
"""What an executor runs."""


class TaskResult(Struct, kw_only=True):
    """What a task put: plain data, ready to be indexed by the coordinator."""

    entries: dict[ArrayKey, list[StoredTile]] = field(default_factory=dict)
    """Tiles per array."""
    removed: dict[ArrayKey, list[tuple[int, int]]] = field(default_factory=dict)
    """(row, column) of tiles that hold no valid pixel, per array."""
    changed: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """(row, column) of the tiles at the region's top level that differ from the base, per band."""
    written: int = 0
    """Tiles whose object this task put."""
    reused: int = 0
    """Tiles whose object was there already."""
    empty: int = 0
    """Fully masked tiles."""
    bytes_written: int = 0
    """Bytes of the objects put."""
    bytes_read: int = 0
    """Source bytes that were read by another process than the coordinator's."""
    peaks: dict[str, Peaks] = field(default_factory=dict)
    """The highest weight that was read of masks, by asset and tileset."""
    sunk: bytes = b""
    """What the sink of another process made of an image that is one task; see `TileSink.pack`."""

    @property
    def tiles(self) -> int:
        """Tiles that were computed."""
        return self.written + self.reused + self.empty
