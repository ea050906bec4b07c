"""Where an asset changes: its planes, cut to the tiles that are computed or removed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from geobatch.model.assets.asset import Asset
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import GeoBox
from geobatch.model.plans.plan import AssetChange
from geobatch.model.window import Box


def extent(change: AssetChange, before: Asset | None) -> tuple[GeoBox, ...]:
    """Return the planes in which tiles of an asset change, each cut to their bounding box.

    Args:
        change: What happens to the asset.
        before: The asset as it is published, if it is.
    """
    asset = change.asset
    if asset is None:
        return tuple(grid.geobox for grid in before.grids) if isinstance(before, Raster) else ()
    made = tuple(_computed(asset, change)) if isinstance(asset, Raster) else ()
    return tuple(dict.fromkeys((*_gone(asset, before), *made)))


def _computed(asset: Raster, change: AssetChange) -> Iterator[GeoBox]:
    masks: dict[str, npt.NDArray[np.bool_]] = {}
    for work in change.work:
        tiles = work.tiles if work.above is None else work.tiles | work.above
        name = asset.band(work.band).grid
        masks[name] = masks[name] | tiles.mask if name in masks else tiles.mask
    for name, mask in masks.items():
        plane = asset.grid(name).geobox
        yield plane.crop(Box.around(mask).window(plane.shape, tile=asset.tile))


def _gone(asset: Asset, before: Asset | None) -> Iterator[GeoBox]:
    """Yield the planes of published bands that are removed, or whose position changes."""
    if not isinstance(before, Raster):
        return
    planes: dict[str, GeoBox] = {}
    if isinstance(asset, Raster):
        planes = {band.id: asset.grid(band.grid).geobox for band in asset.bands}
    for band in before.bands:
        plane = before.grid(band.grid).geobox
        if planes.get(band.id) != plane:
            yield plane
