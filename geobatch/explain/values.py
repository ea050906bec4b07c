"""How much the pixels of two states differ: tile by tile, and only where tiles differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.explain.diff import AssetDiff, StateDiff, differing, records_of
from geobatch.model.assets.asset import Band, Image, Raster
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.processors import processor_count
from geobatch.store.pixels import BandPixels, Values, Weights
from geobatch.store.tilestore import TileStore

_TILES_PER_THREAD = 8
"""Tiles in flight for each thread: enough to keep it busy, few enough to bound the memory."""


class ValueDiff(Struct, frozen=True, kw_only=True):
    """How the pixels of one band differ at one level, from the first state to the second."""

    band: str
    """Band id."""
    level: int
    """Level."""
    tiles: int = 0
    """Tiles that were compared: those whose values or masks differ."""
    changed: int = 0
    """Pixels that are valid in both states, with different values."""
    masked: int = 0
    """Pixels that are valid in the first state only."""
    unmasked: int = 0
    """Pixels that are valid in the second state only."""
    reweighted: int = 0
    """Pixels that are valid in both, with different masks."""
    total: int | float = 0
    """Sum of the differences, second minus first, over the changed pixels; exact for integers."""
    smallest: int | float | None = None
    """Smallest difference over the changed pixels; None without any."""
    largest: int | float | None = None
    """Largest difference over the changed pixels; None without any."""

    @property
    def mean(self) -> float | None:
        """Mean difference over the changed pixels; None without any."""
        return self.total / self.changed if self.changed else None

    def __add__(self, other: ValueDiff) -> ValueDiff:
        smallest = _numbers(self.smallest, other.smallest)
        largest = _numbers(self.largest, other.largest)
        return ValueDiff(
            band=self.band,
            level=self.level,
            tiles=self.tiles + other.tiles,
            changed=self.changed + other.changed,
            masked=self.masked + other.masked,
            unmasked=self.unmasked + other.unmasked,
            reweighted=self.reweighted + other.reweighted,
            total=self.total + other.total,
            smallest=min(smallest) if smallest else None,
            largest=max(largest) if largest else None,
        )


def value_diffs(
    store: TileStore, asset: AssetDiff, *, level: int = 0, workers: int | None = None
) -> Iterator[ValueDiff]:
    """Yield how the pixels of an asset differ, per band that both states have on like planes.

    Args:
        store: The store.
        asset: What differs of an asset that both states have.
        level: Level to compare; bands without it are passed over.
        workers: Threads that decode tiles, by default one per processor; only they decide how
            much memory is taken.

    Raises:
        CorruptObjectError: A tile, a document or an index page is damaged.
    """
    old, new = records_of(store, asset)
    if old is None or new is None:
        return
    if not isinstance(old.asset, Image) or not isinstance(new.asset, Image):
        return  # of an external image, no earlier pixels are left to compare with
    apart = {array.key.band for array in asset.arrays if not array.is_comparable}
    names = {band.id for band in old.asset.bands}
    threads = workers or processor_count()
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="diff") as pool:
        for band in new.asset.bands:
            geobox = new.asset.grid(band.grid).geobox
            if band.id in names and band.id not in apart and level < geobox.level_count:
                before = BandPixels(store, old, old.asset.band(band.id), level)
                after = BandPixels(store, new, band, level)
                total = ValueDiff(band=band.id, level=level)
                places = _places(store, old, new, band, level)
                while batch := list(islice(places, threads * _TILES_PER_THREAD)):
                    # In order, so that the sum of floats does not depend on the threads.
                    for part in pool.map(partial(_tile_diff, before, after), batch):
                        total += part
                yield total


def check_level(store: TileStore, diff: StateDiff, level: int) -> None:
    """Refuse a level that no asset to compare has.

    Raises:
        NotFoundError: There is no such level.
    """
    depths = [
        grid.level_count
        for asset in diff.assets
        for record in records_of(store, asset)
        if record is not None and isinstance(record.asset, Raster)
        for grid in record.asset.grids
    ]
    if depths and not 0 <= level < max(depths):
        raise NotFoundError(
            f"the arrays that differ have no level `{level}`",
            hint=f"levels go from 0, the finest, to {max(depths) - 1}",
        )


def difference(
    before: tuple[Values, Weights], after: tuple[Values, Weights], *, band: str = "", level: int = 0
) -> ValueDiff:
    """Return how some pixels differ.

    Args:
        before: Values and masks of the first state, of one shape.
        after: Values and masks of the second, of the same shape.
        band: Band id, for the result.
        level: Level, for the result.
    """
    was, now = before[1] > 0, after[1] > 0
    both = was & now
    differs = both & (before[0] != after[0])
    if before[0].dtype.kind == after[0].dtype.kind == "f":
        differs &= ~(np.isnan(before[0]) & np.isnan(after[0]))
    total, smallest, largest = _spread(before[0][differs], after[0][differs])
    return ValueDiff(
        band=band,
        level=level,
        tiles=1,
        changed=int(np.count_nonzero(differs)),
        masked=int(np.count_nonzero(was & ~now)),
        unmasked=int(np.count_nonzero(now & ~was)),
        reweighted=int(np.count_nonzero(both & (before[1] != after[1]))),
        total=total,
        smallest=smallest,
        largest=largest,
    )


def _places(
    store: TileStore, old: AssetRecord, new: AssetRecord, band: Band, level: int
) -> Iterator[tuple[int, int]]:
    """Yield the tiles whose values or masks differ, by rows."""
    geobox = new.image.grid(band.grid).geobox
    found = np.zeros(geobox.tile_shape(tile=new.image.tile, level=level), dtype=np.bool_)
    for is_mask in (False, True):
        key = ArrayKey(band=band.id, level=level, is_mask=is_mask)
        for places in differing(store, old, new, key):
            found[places[:, 0], places[:, 1]] = True
    for row, cols in enumerate(found):
        for col in np.flatnonzero(cols):
            yield row, int(col)


def _tile_diff(before: BandPixels, after: BandPixels, place: tuple[int, int]) -> ValueDiff:
    return difference(
        before.tile(*place), after.tile(*place), band=after.band.id, level=after.level
    )


def _spread(
    before: Values, after: Values
) -> tuple[int | float, int | float | None, int | float | None]:
    """Return sum, minimum and maximum of the differences of values that all differ."""
    if len(before) == 0:
        return 0, None, None
    if before.dtype.kind == "f" or after.dtype.kind == "f":
        with np.errstate(over="ignore", invalid="ignore"):
            apart = after.astype(np.float64) - before.astype(np.float64)
            low, high = np.fmin.reduce(apart), np.fmax.reduce(apart)
            return float(apart.sum()), float(low), float(high)
    if before.dtype.kind != after.dtype.kind and max(before.itemsize, after.itemsize) == 8:
        exact = after.astype(object) - before.astype(object)
        return int(exact.sum()), int(exact.min()), int(exact.max())
    # Modulo 2^64 the size of any difference is exact, and no 64-bit type could hold its sign too.
    wide = np.uint64 if before.dtype.kind == after.dtype.kind == "u" else np.int64
    was, now = before.astype(wide), after.astype(wide)
    rises = now > was
    size = np.where(rises, now, was).view(np.uint64) - np.where(rises, was, now).view(np.uint64)
    up, down = size[rises], size[~rises]
    ends = [*_ends(up), *(-end for end in _ends(down))]
    return _sum(up) - _sum(down), min(ends), max(ends)


def _numbers(*values: float | None) -> list[int | float]:
    """Return the values that are there; NaN, which no order holds, only where there is no other."""
    found = [value for value in values if value is not None]
    return [value for value in found if not math.isnan(value)] or found


def _ends(sizes: npt.NDArray[np.uint64]) -> tuple[int, ...]:
    return (int(sizes.min()), int(sizes.max())) if len(sizes) else ()


def _sum(sizes: npt.NDArray[np.uint64]) -> int:
    """Return the exact sum: halves of 32 bits of up to 2^32 numbers do not overflow 64."""
    low, high = sizes & np.uint64(0xFFFFFFFF), sizes >> np.uint64(32)
    return int(low.sum()) + (int(high.sum()) << 32)
