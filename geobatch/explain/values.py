"""How much the pixels of two states differ: tile by tile, and only where tiles differ."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np

from geobatch.errors import NotFoundError
from geobatch.explain.diff import AssetDiff, StateDiff, records_of
from geobatch.model.assets.asset import Band, Image, Raster
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.processors import processor_count
from geobatch.store.pixels import BandPixels
from geobatch.store.tile_diff import differing
from geobatch.store.tilestore import TileStore
from geobatch.store.value_diff import ValueDiff, difference

_TILES_PER_THREAD = 8
"""Tiles in flight for each thread: enough to keep it busy, few enough to bound the memory."""


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
