"""How much a rehearsed plan changes the pixels of an image, band by band, in bounded memory.

The stored tiles are read back, and only those that differ: so it does not matter whether a tile was
computed now, by a run that was killed, or for another asset.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from geobatch.model.assets.asset import Band
from geobatch.model.digest import Json
from geobatch.model.published import ArrayKey
from geobatch.model.tiles import TileSet
from geobatch.model.window import Box
from geobatch.store.pages.places import Places
from geobatch.store.pixels import BandPixels, Values, Weights
from geobatch.store.rehearsals.differences import RehearsedAsset
from geobatch.store.rehearsals.histogram import Histogram, Numbers
from geobatch.store.tile_diff import differing, side_of
from geobatch.store.tilestore import TileStore
from geobatch.store.value_diff import ValueDiff, difference, spread

_TILES_PER_THREAD = 4
"""Tiles in flight for each thread: enough to keep it busy, few enough to bound the memory."""

Pixels = tuple[Values, Weights]
_Part = tuple[ValueDiff, Histogram]


class BandStatistics(Struct, frozen=True, kw_only=True, eq=False):
    """How the pixels of a band change at level 0."""

    values: ValueDiff
    """Counts, and the spread of the differences; without a state before, that of the values."""
    histogram: Histogram
    """Of the same numbers."""
    pixels: int
    """Pixels of the band."""
    is_new: bool
    """Whether there is no state before that pixels could be compared with."""
    different: tuple[tuple[int, int], ...] = ()
    """Of a sample: (row, column) of the tiles that differ, or that are new."""


def band_statistics(
    store: TileStore,
    asset: RehearsedAsset,
    *,
    workers: int,
    sample: Mapping[str, TileSet] | None = None,
) -> Iterator[BandStatistics]:
    """Yield how each band of an image changes.

    Args:
        store: The store.
        asset: The image.
        workers: Threads that decode tiles; only they decide how much memory is taken.
        sample: The tiles that were computed, by band, if they are not all; then only they count.

    Raises:
        CorruptObjectError: A tile, a document or an index page is damaged.
    """
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="statistics") as pool:
        for band in asset.after.image.bands:
            if sample is not None and band.id not in sample:
                continue
            measure, positions = _work(store, asset, band)
            found = ValueDiff(band=band.id, level=0), Histogram()
            places = iter(positions.tolist())
            while batch := list(islice(places, workers * _TILES_PER_THREAD)):
                # In order, so that the sum of floats does not depend on the threads.
                for values, histogram in pool.map(measure, batch):
                    found = found[0] + values, found[1]
                    found[1].merge(histogram)
            values, histogram = found
            pixels = _pixels(asset, band, None if sample is None else sample[band.id])
            is_new = not asset.is_comparable(band)
            if is_new:  # tiles that are not stored are masked
                values = replace(values, masked=pixels - values.changed)
            yield BandStatistics(
                values=values,
                histogram=histogram,
                pixels=pixels,
                is_new=is_new,
                different=() if sample is None else tuple(map(tuple, positions.tolist())),
            )


def statistics_json(found: BandStatistics) -> dict[str, Json]:
    """Return how a band changes, as plans state it."""
    values, edges = found.values, found.histogram.edges
    return {
        "band": values.band,
        "pixels": found.pixels,
        "changed": values.changed,
        "masked": values.masked,
        "unmasked": values.unmasked,
        "reweighted": values.reweighted,
        "minimum": _finite(values.smallest),
        "maximum": _finite(values.largest),
        "mean": _finite(values.mean),
        "histogram": {"edges": list(edges), "counts": list(found.histogram.counts)}
        if edges
        else None,
    }


def _pixels(asset: RehearsedAsset, band: Band, tiles: TileSet | None) -> int:
    """Return how many pixels a band, or some tiles of it, has."""
    shape = asset.after.image.grid(band.grid).geobox.shape
    if tiles is None:
        return math.prod(shape)
    side = asset.after.image.tile
    return sum(math.prod(Box.of_tile(*at).window(shape, tile=side).shape) for at in tiles)


def _work(
    store: TileStore, asset: RehearsedAsset, band: Band
) -> tuple[Callable[[tuple[int, int]], _Part], Places]:
    """Return a function that measures a tile, and the tiles."""
    after = BandPixels(store, asset.after, band, 0)
    old = asset.before
    if old is not None and asset.is_comparable(band):
        before = BandPixels(store, old, old.image.band(band.id), 0)

        def compare(position: tuple[int, int]) -> _Part:
            return _difference(before.tile(*position), after.tile(*position), band.id)

        # A mask that only one of the states has can mask any pixel below it.
        positions = [
            part
            for is_mask in (False, True)
            for part in differing(
                store, old, asset.after, ArrayKey(band=band.id, level=0, is_mask=is_mask)
            )
        ]
        return compare, np.unique(np.concatenate(positions), axis=0)

    def measure(position: tuple[int, int]) -> _Part:
        pixels = after.tile(*position)
        is_valid = pixels[1] > 0
        histogram = Histogram()
        histogram.add(_numbers(pixels[0].ravel() if is_valid.all() else pixels[0][is_valid]))
        return spread(pixels, band=band.id), histogram

    side = side_of(asset.after, ArrayKey(band=band.id, level=0))
    if side is None:
        return measure, np.zeros((0, 2), dtype=np.uint32)
    entries = store.index.entries(side.plane, side.root)
    return measure, np.stack([entries["row"], entries["col"]], axis=1)


def _difference(before: Pixels, after: Pixels, band: str) -> _Part:
    both = (before[1] > 0) & (after[1] > 0)
    was, now = before[0][both], after[0][both]
    differs = was != now
    if was.dtype.kind == now.dtype.kind == "f":
        differs &= ~(np.isnan(was) & np.isnan(now))
    histogram = Histogram()
    with np.errstate(over="ignore", invalid="ignore"):
        histogram.add(_subtracted(now[differs], was[differs]))
    return difference(before, after, band=band), histogram


def _subtracted(now: Values, was: Values) -> Numbers:
    if _is_exact(now) and _is_exact(was):
        return now.astype(np.int64) - was.astype(np.int64)
    return now.astype(np.float64) - was.astype(np.float64)


def _numbers(values: Values) -> Numbers:
    return values.astype(np.int64 if _is_exact(values) else np.float64)


def _is_exact(values: Values) -> bool:
    """Return whether int64 holds the values and their differences."""
    return values.dtype.kind in "iub" and values.dtype.itemsize < 8


def _finite(number: float | None) -> int | float | None:
    return number if number is not None and math.isfinite(number) else None
