"""The tasks that compute a published image again, region by region, for all of its levels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from geobatch.execute.passes import PlannedBand, first_span, groups, next_span, regions
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import BandTask, RegionTask
from geobatch.model.assets.asset import AnyImage, Band, Source
from geobatch.model.assets.grid import Grid
from geobatch.model.digest import digest_json
from geobatch.model.published import AssetRecord
from geobatch.model.tiles import parents_of
from geobatch.sources.registry import drivers_of

Tiles = npt.NDArray[np.bool_]
"""(rows, columns) of a plane of tiles."""


def verification_tasks(
    record: AssetRecord,
    asset: AnyImage,
    *,
    unavailable: Mapping[str, Collection[int]],
    seed: int,
    inputs: Inputs,
) -> Iterator[RegionTask]:
    """Yield the tasks that compute every tile of an image that can be computed.

    The first levels of a region are computed from the sources; those above, from the published
    tiles of the level below them, which other tasks compute and compare. The key of a task is
    random, and the same for the same seed: tasks are drawn by it.

    Args:
        record: The published image.
        asset: The image with its sources located.
        unavailable: Positions of the sources that cannot be read, by tileset.
        seed: Number that decides the keys.
        inputs: Receives what the tasks name.
    """
    roots = dict(record.arrays)
    drivers = drivers_of(asset)
    is_portable = all(driver.is_portable for driver in drivers)
    is_streamed = any(driver.is_streamed for driver in drivers)
    named = inputs.add(_without(asset, unavailable))
    named_roots = inputs.add(roots) if roots else None
    for grid in asset.grids:
        bands = asset.bands_of(grid.name)
        ingested = [_ingested(asset, grid, band, unavailable) for band in bands]
        first, span = first_span(asset, ingested), next_span(asset, ingested)
        kept = [
            replace(one, dirty=tuple(map(np.ones_like, one.dirty)), from_sources=False)
            for one in ingested
        ]
        passes = [(0, min(first, grid.level_count - 1), ingested)]
        passes += [
            (level, min(span, grid.level_count - 1 - level), kept)
            for level in range(first, grid.level_count - 1, span)
        ]
        for level, height, planned in passes:
            for group in groups(asset, planned):
                for region in regions(group, level, height):
                    tasks = tuple(band.task(region) for band in group)
                    position = [level, region.row, region.col]
                    names = [one.band.id for one in group]
                    yield RegionTask(
                        key=digest_json(
                            ["geobatch verify", seed, asset.id, grid.name, names, position]
                        ),
                        asset=named,
                        roots=named_roots,
                        grid=grid.name,
                        region=region,
                        bands=tasks,
                        is_cached=False,
                        is_portable=is_portable or planned is kept,
                        is_streamed=is_streamed and planned is ingested,
                    )


def tile_total(asset: AnyImage) -> int:
    """Return how many tiles an image can have, over values and masks."""
    total = 0
    for band in asset.bands:
        geobox = asset.grid(band.grid).geobox
        for level in range(geobox.level_count):
            rows, cols = geobox.tile_shape(tile=asset.tile, level=level)
            total += rows * cols * (1 + band.has_mask(level))
    return total


def tile_count(task: RegionTask, asset: AnyImage) -> int:
    """Return how many tiles a task computes and compares, over values and masks."""
    return sum(_band_count(band, asset.band(band.band), task.region.level) for band in task.bands)


def _band_count(task: BandTask, band: Band, base: int) -> int:
    return sum(
        tiles.count * (1 + band.has_mask(base + up))
        for up, tiles in enumerate(task.dirty)
        if up or task.from_sources
    )


def _ingested(
    asset: AnyImage, grid: Grid, band: Band, unavailable: Mapping[str, Collection[int]]
) -> PlannedBand:
    """Return a band with the tiles, level by level, under which every source can be read."""
    lost = np.zeros(grid.geobox.tile_shape(tile=asset.tile), dtype=np.bool_)
    for name in {band.tileset, band.masking.tileset or band.tileset}:
        for number in unavailable.get(name, ()):
            part = grid.geobox.window.intersect(asset.tileset(name).sources[number])
            if part is not None:
                lost[part.in_tiles((asset.tile, asset.tile)).slices] = True
    levels = [lost]
    for _ in range(1, grid.level_count):
        levels.append(parents_of(levels[-1]))
    return PlannedBand(band=band, dirty=tuple(~one for one in levels), from_sources=True)


def _without(asset: AnyImage, unavailable: Mapping[str, Collection[int]]) -> AnyImage:
    """Return an image without some sources: no tile under them is computed."""
    tilesets = tuple(
        replace(tileset, sources=_available(tileset.sources, unavailable.get(tileset.id, ())))
        for tileset in asset.tilesets
    )
    return replace(asset, tilesets=tilesets)


def _available(sources: Sequence[Source], lost: Collection[int]) -> tuple[Source, ...]:
    return tuple(one for number, one in enumerate(sources) if number not in lost)
