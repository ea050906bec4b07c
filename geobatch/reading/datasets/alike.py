"""Levels of images that have the same arrays as another one: nothing of them is opened before."""

from __future__ import annotations

from functools import cached_property
from typing import Any, cast

import numpy.typing as npt
import zarr
from msgspec.structs import replace
from zarr.abc.store import Store

from geobatch.format.zarr_layout.paths import array_path
from geobatch.model.assets.cubes import difference
from geobatch.model.assets.image import Raster
from geobatch.model.published import ArrayKey
from geobatch.reading.datasets.level import Level


class LaterArray:
    """An array of a store that is opened when it is read first. It pickles where the store does."""

    def __init__(self, store: Store, path: str, shape: tuple[int, ...]) -> None:
        """Open nothing yet.

        Args:
            store: The store.
            path: Where the array is in it.
            shape: Its shape.
        """
        self._store = store
        self._path = path
        self.shape = shape

    def __getitem__(self, where: Any) -> npt.NDArray[Any]:
        """Return the values of a window."""
        return cast("npt.NDArray[Any]", self._array[where])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_array"}

    @cached_property
    def _array(self) -> zarr.Array[Any]:
        return zarr.open_array(self._store, path=self._path, mode="r")


def alike_level(first: Level, raster: Raster) -> Level | None:
    """Return the level of an image whose arrays are like those of another; None if they are not.

    Args:
        first: The level of the other one, from the same commit.
        raster: The image.
    """
    if first.raster.is_external or raster.is_external:
        return None
    if difference(first.raster, raster) is not None:
        return None
    store = first.group.store

    def array(band: str, shape: tuple[int, ...], *, is_mask: bool) -> Any:
        key = ArrayKey(band=band, level=first.number, is_mask=is_mask)
        return LaterArray(store, f"{raster.id}/{array_path(raster, key)}", shape)

    bands = [
        replace(
            one,
            band=raster.band(one.band.id),
            values=array(one.band.id, one.shape, is_mask=False),
            mask=None if one.mask is None else array(one.band.id, one.shape, is_mask=True),
        )
        for one in first.bands
    ]
    return replace(first, raster=raster, bands=tuple(bands))
