"""What a region will read of objects in buckets and on servers, fetched before it is needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from geobatch.execute.reuse.region_cache import RegionCache
from geobatch.execute.tasks.batches import pieces
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import RegionTask, Task
from geobatch.model.assets.asset import Band, MaskSource
from geobatch.model.assets.image import Raster
from geobatch.model.window import Window
from geobatch.sources.driver import ObjectReader, Reader


def begin_reading(
    task: Task,
    *,
    inputs: Inputs,
    reader: Reader,
    regions: RegionCache | None,
    is_soon: bool = False,
) -> None:
    """Start to fetch all that a task will read of objects; do not wait for it, and raise nothing.

    Nothing is fetched for a region whose result is in the cache.

    Args:
        task: The task.
        inputs: What it names by digest.
        reader: Where source pixels come from.
        regions: Where the results of finished regions are kept; None for nowhere.
        is_soon: Whether the task is only waiting to be run.
    """
    if not isinstance(task, RegionTask):
        return
    if not any(band.from_sources for band in task.bands):
        return
    asset = inputs.asset(task.asset)
    if not any(one.remote for tileset in asset.tilesets for one in tileset.sources):
        return
    if not isinstance(reader, ObjectReader):  # a check of a protocol is slow
        return
    if is_soon and regions is not None and task.is_cached and regions.get(task.key) is not None:
        return
    windows = _windows(task, asset)
    bands = [asset.band(one.band) for one in task.bands if one.from_sources]
    for name, (indexes, has_mask) in channels(bands, asset).items():
        for source in asset.tileset(name).sources:
            if source.remote is None:
                continue
            found = (window.intersect(source) for window in windows)
            parts = [one.shift(rows=-source.row, cols=-source.col) for one in found if one]
            if parts:
                reader.begin(source, parts, sorted(indexes), with_mask=has_mask, is_soon=is_soon)


def _windows(task: RegionTask, asset: Raster) -> list[Window]:
    """Return the parts of the canvas that are ingested at a time."""
    region, geobox = task.region, asset.grid(task.grid).geobox
    wanted = [
        (asset.band(one.band), one.dirty[0].mask)
        for one in task.bands
        if one.from_sources and one.dirty[0]
    ]
    boxes = (piece.shift(rows=region.row, cols=region.col) for piece in pieces(wanted, asset))
    return [box.window(geobox.shape, tile=asset.tile) for box in boxes]


def channels(bands: Iterable[Band], asset: Raster) -> dict[str, tuple[set[int], bool]]:
    """Return which bands of each tileset are read for some bands, and whether its files' masks.

    Args:
        bands: Bands of the asset.
        asset: The asset.
    """
    indexes: defaultdict[str, set[int]] = defaultdict(set)
    masked: set[str] = set()
    for band in bands:
        indexes[band.tileset].add(band.index)
        if band.masking.source is MaskSource.FILE:
            masked.add(band.tileset)
        name = band.masking.tileset
        if name is not None:
            indexes[name].add(len(asset.tileset(name).dtypes) - 1)
    return {name: (found, name in masked) for name, found in indexes.items()}
