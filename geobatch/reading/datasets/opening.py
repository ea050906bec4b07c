"""Images of one commit, opened as datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import xarray as xr
import zarr
from msgspec import Struct

from geobatch.errors import NotFoundError
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import Bounds
from geobatch.model.published import Head
from geobatch.model.text.suggest import suggestion
from geobatch.reading.datasets.alike import alike_level
from geobatch.reading.datasets.collection import collection_dataset
from geobatch.reading.datasets.level import Level, level_dataset, select_level
from geobatch.store.tilestore import TileStore


class Opening(Struct, frozen=True, kw_only=True, eq=False):
    """What opens images of a commit."""

    tiles: TileStore
    """The store."""
    head: Head
    """The commit."""
    group: Callable[[str], zarr.Group]
    """Returns the group of an asset."""

    def dataset(
        self,
        asset_id: str,
        *,
        level: int,
        bands: Sequence[str] | None,
        grid: str | None,
        is_masked: bool,
        chunks: Mapping[str, int] | None,
    ) -> xr.Dataset:
        """Return a level of an image; see `Store.dataset`."""
        raster = self._raster(asset_id)
        group = self.group(asset_id)
        chosen = select_level(
            raster, group, self.head, level=level, bands=bands, grid=grid, is_masked=is_masked
        )
        return _chunked(level_dataset(chosen), chunks)

    def collection(
        self,
        prefix: str,
        ids: Sequence[str],
        *,
        level: int,
        bands: Sequence[str] | None,
        grid: str | None,
        bounds: Bounds | None,
        chunks: Mapping[str, int] | None,
    ) -> xr.Dataset:
        """Return images along time; see `Store.collection`."""
        levels: list[Level] = []
        for asset_id in ids:
            entry = self.head.tree.entry(asset_id)
            if entry is None or entry.is_table:
                continue
            raster = self._raster(asset_id)
            # The images of a cube are all like the first: they are opened when they are read.
            if levels and (alike := alike_level(levels[0], raster)) is not None:
                levels.append(alike)
                continue
            group = self.group(asset_id)
            levels.append(
                select_level(
                    raster, group, self.head, level=level, bands=bands, grid=grid, is_masked=True
                )
            )
            bands = bands or [one.band.id for one in levels[0].bands]
        if not levels:
            what = f"no image below `{prefix}` matches"
            raise NotFoundError(what, hint="`geobatch ls` lists the assets")
        return _chunked(collection_dataset(levels, bounds), chunks)

    def _raster(self, asset_id: str) -> Raster:
        entry = self.head.tree.entry(asset_id)
        if entry is None:
            ids = [one.id for one in self.head.tree.entries]
            hint = suggestion(asset_id, ids) or "`geobatch ls` lists the assets"
            raise NotFoundError(f"there is no asset `{asset_id}`", hint=hint)
        if entry.is_table:
            raise NotFoundError(
                f"`{asset_id}` is a table, which has no pixels", hint="`open_table` opens it"
            )
        return self.tiles.record(entry).image


def _chunked(dataset: xr.Dataset, chunks: Mapping[str, int] | None) -> xr.Dataset:
    """Return a dataset of dask's arrays, a chunk per tile where no size is given."""
    if chunks is None:
        return dataset
    sizes: dict[str, int] = {}
    for variable in dataset.variables.values():
        sizes |= variable.encoding.get("preferred_chunks", {})
    return dataset.chunk({**sizes, **chunks})
