"""How the work on a grid is cut into passes, groups of bands, and regions: all within bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.execute.tasks.task import BandTask, Region
from geobatch.model.assets.asset import Band
from geobatch.model.assets.image import Raster
from geobatch.model.plans.plan import BandWork, Start
from geobatch.model.tile_squares import SIDE, TileSquares
from geobatch.model.tiles import TileSet, parents_of

_PAGE = 6
"""Logarithm of the side of an index page in tiles."""
_REGIONS = 3
"""Logarithm of the most regions on a side of a square: 64 regions take about a minute."""
REGION_PIXELS = 2048
"""Longest side of a region."""
REGION_BYTES = 64 << 20
"""Most bytes of values and masks that the level-0 pixels of a region may take."""
SHARED_BYTES = 192 << 20
"""The same of one tile, if the bands of a source share their blocks."""
STRIP_BYTES = 96 << 20
"""Most bytes of full-width strips that the rows of a region may span, so that they are kept for the
next region of the same rows."""


PAGED_TILES = 1 << 17
"""Tiles of a pass from which on tasks cover squares, and put the index pages of their tiles. Their
results take 70 MB otherwise."""
SQUARES = 64
"""Squares that a pass should have at least, so that all workers have work until its end."""

Tiles: TypeAlias = "npt.NDArray[np.bool_] | TileSquares"
"""A set of tiles of a plane; both give boolean arrays of its parts."""


class PlannedBand(Struct, frozen=True, kw_only=True, eq=False):
    """What a run computes of one band, over all regions."""

    band: Band
    """The band."""
    dirty: tuple[Tiles, ...]
    """Per level, (rows, columns) of tiles: those to recompute."""
    from_sources: bool
    """Whether level 0 is ingested; else it is kept and read from the store."""
    can_stop: bool = False
    """Whether a tile that equals the stored one leaves its ancestors unchanged."""
    is_counted: bool = False
    """Whether all of level 0 is ingested, and counted for checks."""

    def task(self, region: Region, span: int | None = None) -> BandTask:
        """Return the part of the work that is in a region, up to its top or by some levels."""
        top = region.level + (region.span if span is None else span)
        levels = range(region.level, min(top, len(self.dirty) - 1) + 1)
        return BandTask(
            band=self.band.id,
            dirty=tuple(TileSet.from_mask(self._part(region, level)) for level in levels),
            from_sources=self.from_sources,
            can_stop=self.can_stop,
            is_counted=self.is_counted and region.level == 0,
        )

    def _part(self, region: Region, level: int) -> npt.NDArray[np.bool_]:
        mask = self.dirty[level]
        return mask[region.box(level, (mask.shape[0], mask.shape[1])).slices]


def regions(
    bands: Sequence[PlannedBand], level: int, span: int, *, square: int = 0
) -> Iterator[Region]:
    """Yield the regions above a level that hold a tile to recompute, in row-major order.

    Args:
        bands: What is computed.
        level: The base level.
        span: Levels above it that are computed.
        square: Logarithm of the side of what is yielded, if these are squares of several regions.
    """
    size = max(span, square)
    side = 1 << size
    rows = bands[0].dirty[level].shape[0] if bands else 0
    height = max(side, SIDE)
    for top in range(0, rows, height):
        blocks = [
            blocks_of(
                band.dirty[level + up][top >> up : (top + height) >> up, :],
                side >> up,
            )
            for band in bands
            for up in range(span + 1)
        ]
        for row, col in np.argwhere(np.logical_or.reduce(blocks)).tolist():
            yield Region(level=level, row=top + row * side, col=col * side, span=size)


def square_of(
    asset: Raster, bands: Sequence[PlannedBand], level: int, span: int, *, groups: int
) -> int | None:
    """Return the logarithm of the side of the squares that tasks of a pass cover; None for none.

    They are pages of the index, or parts of pages if a page is more than a minute's work, or if
    squares would be few. It does not depend on the number of workers, so that the results of a run
    serve another one.

    Args:
        asset: What is computed.
        bands: Its bands on one grid.
        level: The base level.
        span: Levels above it that are computed.
        groups: Groups of bands that have tasks of their own.
    """
    tiles = sum(
        count_of(band.dirty[at]) * (1 + band.band.has_mask(at))
        for band in bands
        for at in range(level, level + span + 1)
        if at > level or band.from_sources
    )
    # Of a source in strips, the rows of one region are kept for the next one.
    if not is_large(tiles) or (level == 0 and _strip_row(asset, bands)):
        return None
    plane = bands[0].dirty[level].shape
    square = max(span, min(_PAGE, span + _REGIONS))
    while square > span and groups * math.prod(-(-size >> square) for size in plane) < SQUARES:
        square -= 1
    return square


def is_large(tiles: int) -> bool:
    """Return whether so many tiles are too many for a process to know each of them."""
    return tiles > PAGED_TILES


def count_of(tiles: Tiles) -> int:
    """Return how many tiles a set holds."""
    return tiles.count if isinstance(tiles, TileSquares) else int(np.count_nonzero(tiles))


def planned_tiles(work: BandWork, level_count: int) -> tuple[Tiles, ...]:
    """Return the tiles to recompute of a band, level by level."""
    if not is_large(math.prod(work.tiles.shape)):
        return tuple(level.mask for level in work.dirty(level_count))
    levels = [TileSquares.of(work.tiles if work.above is None else work.above)]
    for _ in range(1, level_count):
        levels.append(levels[-1].parents())
    if work.start is Start.LEVEL_0:
        levels[0] = TileSquares(work.tiles.shape)
    elif work.above is not None:
        levels[0] = TileSquares.of(work.tiles)
    return tuple(levels)


def built_from(tiles: Tiles, changed: Tiles) -> Tiles:
    """Return those of some tiles that are built from the ones of the level below that changed."""
    parents = changed.parents() if isinstance(changed, TileSquares) else parents_of(changed)
    return tiles.intersect(parents) if isinstance(tiles, TileSquares) else tiles & parents[:, :]


def groups(asset: Raster, bands: Sequence[PlannedBand]) -> list[list[PlannedBand]]:
    """Return the bands that are worked on together: those that may share reads of sources.

    They are as many as a region of one tile can hold, or a single one. Those that start from the
    store are alone: there are few regions above, and small tasks keep all workers at work.
    """
    found: list[list[PlannedBand]] = []
    room = 0
    for band in bands:
        size = asset.tile**2 * _pixel_bytes([band])
        if not band.from_sources or size > room:
            found.append([])
            room = _group_bytes(asset, bands) if band.from_sources else 0
        found[-1].append(band)
        room -= size
    return found


def first_span(asset: Raster, bands: Sequence[PlannedBand]) -> int:
    """Return how many levels above level 0 a region of the first pass has."""
    return _span(asset, bands, strip_row=_strip_row(asset, bands))


def next_span(asset: Raster, bands: Sequence[PlannedBand]) -> int:
    """Return how many levels above its base a region of a later pass has; at least one."""
    return max(1, _span(asset, bands, strip_row=0))


def _group_bytes(asset: Raster, bands: Sequence[PlannedBand]) -> int:
    """Return the most bytes of a tile of all bands that are worked on together.

    They are more if the bands of a source share their blocks, because each group decodes those
    blocks again.
    """
    names = {band.band.tileset for band in bands if band.from_sources}
    is_shared = any(
        source.is_pixel_interleaved
        for tileset in asset.tilesets
        if tileset.id in names
        for source in tileset.sources
    )
    return SHARED_BYTES if is_shared else REGION_BYTES


def _pixel_bytes(bands: Sequence[PlannedBand]) -> int:
    return sum(np.dtype(band.band.dtype).itemsize + 1 for band in bands)


def _strip_row(asset: Raster, bands: Sequence[PlannedBand]) -> int:
    """Return the bytes of the widest source row that can only be decoded whole; 0 for tiles."""
    names = {band.band.tileset for band in bands if band.from_sources}
    widest = 0
    for tileset in asset.tilesets:
        if tileset.id in names:
            pixel = sum(np.dtype(dtype).itemsize for dtype in tileset.dtypes)
            for source in tileset.sources:
                if source.block[1] >= source.width > REGION_PIXELS:
                    widest = max(widest, source.width * pixel)
    return widest


def _span(asset: Raster, bands: Sequence[PlannedBand], *, strip_row: int) -> int:
    """Return how many levels above its base a region holds within its bounds of memory."""
    pixel = _pixel_bytes(bands)
    span, side = 0, 2 * asset.tile
    while (
        side <= REGION_PIXELS
        and side * side * pixel <= REGION_BYTES
        and side * strip_row <= STRIP_BYTES
    ):
        span, side = span + 1, side * 2
    return span


def blocks_of(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.bool_]:
    """Return which (side, side) blocks of a mask hold a True."""
    rows, cols = (-(-size // side) for size in mask.shape)
    padded = np.zeros((rows * side, cols * side), dtype=np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    blocks: npt.NDArray[np.bool_] = np.any(padded.reshape(rows, side, cols, side), axis=(1, 3))
    return blocks
