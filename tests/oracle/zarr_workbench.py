"""Small assets with pixels, published without any spec or plan, for tests of the Zarr side."""

from __future__ import annotations

import functools
import json
import math
import os
import sys
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyproj

from geobatch.format import codec as coding
from geobatch.model.assets.asset import (
    AnyImage,
    Band,
    Codec,
    Grid,
    Image,
    Masking,
    MaskSource,
    Number,
    Policy,
)
from geobatch.model.geobox import Crs, GeoBox, Transform
from geobatch.model.published import TILE_ENTRY, ArrayKey, AssetRecord, Head
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import ViewChange, ViewState
from geobatch.views.store_views import StoreViews
from geobatch.views.zarr.staging import Staging
from geobatch.views.zarr.tree import MOST_SWAPPED

Pixels: TypeAlias = dict[ArrayKey, npt.NDArray[Any]]
"""Full planes by array, edges not padded."""

UTM: Transform = (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0)
SHEARED: Transform = (10.0, 2.0, 500000.0, 1.0, -10.0, 5000000.0)


@functools.cache
def crs(text: str) -> Crs:
    found = pyproj.CRS.from_user_input(text)
    axes = {axis["axis"]: axis for axis in found.cs_to_cf()}
    authority = found.to_authority()
    return Crs(
        code=":".join(authority) if authority else None,
        wkt=found.to_wkt(),
        cf=json.dumps({"grid_mapping": found.to_cf(), "x": axes["X"], "y": axes["Y"]}),
    )


def geobox(shape: tuple[int, int], *, transform: Transform = UTM, of: str = "EPSG:32633") -> GeoBox:
    return GeoBox(crs=crs(of), transform=transform, height=shape[0], width=shape[1])


def band(
    name: str = "b1",
    *,
    dtype: str = "int16",
    fill: Number = -9999,
    grid: str = "main",
    policy: Policy = Policy.MEAN,
    masking: Masking | None = None,
    **rest: Any,
) -> Band:
    if masking is None:
        masking = Masking(source=MaskSource.VALUES, values=(fill,), is_fill_free=True)
    return Band(
        id=name, grid=grid, tileset="", index=0, dtype=dtype, policy=policy, fill=fill,
        masking=masking, **rest,
    )  # fmt: skip


def asset(
    asset_id: str,
    *bands: Band,
    grids: Mapping[str, GeoBox] | None = None,
    shape: tuple[int, int] = (300, 260),
    tile: int = 64,
    **rest: Any,
) -> AnyImage:
    grids = grids or {"main": geobox(shape)}
    return Image(
        id=asset_id,
        grids=tuple(Grid(name=name, geobox=box) for name, box in grids.items()),
        bands=bands or (band(),),
        tilesets=(),
        tile=tile,
        **rest,
    )


def keys(made: AnyImage) -> list[ArrayKey]:
    """Return the arrays that the asset has."""
    found = []
    for one in made.bands:
        for level in range(made.grid(one.grid).geobox.level_count):
            found.append(ArrayKey(band=one.id, level=level))
            if one.mask_from_level is not None and level >= one.mask_from_level:
                found.append(ArrayKey(band=one.id, level=level, is_mask=True))
    return sorted(found)


def pixels(made: AnyImage, *, seed: int = 0) -> Pixels:
    """Return noise with a masked upper left corner."""
    found: Pixels = {}
    for key in keys(made):
        one = made.band(key.band)
        shape = made.grid(one.grid).geobox.level(key.level).shape
        if key.is_mask:
            plane = np.full(shape, 255, dtype=np.uint8)
            empty: Number = 0
        else:
            noise = np.random.default_rng([seed, key.level, *key.band.encode()])
            plane = noise.integers(1, 100, shape).astype(one.dtype)
            empty = one.fill
        if one.can_be_masked:
            plane[: shape[0] // 2, : shape[1] // 2] = empty
        found[key] = plane
    return found


def write(store: TileStore, made: AnyImage, planes: Pixels) -> AssetRecord:
    """Put the tiles and indexes of an asset; a tile that is all fill is not stored."""
    arrays = []
    for key, plane in sorted(planes.items()):
        one = made.band(key.band)
        fill = 0 if key.is_mask else one.fill
        tiles = made.grid(one.grid).geobox.tile_shape(tile=made.tile, level=key.level)
        entries = []
        for row, col in np.ndindex(tiles):
            side = made.tile
            part = plane[row * side : (row + 1) * side, col * side : (col + 1) * side]
            if np.all(np.isnan(part) if math.isnan(fill) else part == fill):
                continue
            whole = np.full((side, side), fill, dtype=plane.dtype)
            whole[: part.shape[0], : part.shape[1]] = part
            data = coding.encode(made.codec, whole)
            stored, _ = store.objects.put(data)
            digests = (bytes.fromhex(coding.content_digest(whole)), bytes.fromhex(stored))
            places = [np.frombuffer(digest, dtype=np.uint8) for digest in digests]
            entries.append((row, col, *places, len(data)))
        found = np.array(entries, dtype=TILE_ENTRY)
        arrays.append((key, store.index.write(tiles, entries=found)))
    return AssetRecord(asset=made, arrays=tuple(arrays), fingerprints=())


def publish(
    store: TileStore,
    wanted: Mapping[str, tuple[AnyImage, Pixels]],
    *,
    cubes: Mapping[str, bool] = MappingProxyType({}),
) -> Head:
    """Make the head hold these assets and no other."""
    base = store.head()
    changes = {entry.id: None for entry in base.tree.entries} | {
        asset_id: store.put_record(write(store, made, planes))
        for asset_id, (made, planes) in wanted.items()
    }
    return store.publish(base=base, changes=changes, message="test", tools={}, cubes=cubes)


GZIP = Codec(name="gzip", level=1, compressor="", shuffle="")


def sync(
    store: TileStore,
    *,
    head: Head | None = None,
    staging: Staging | None = None,
    cache: SourceCache | None = None,
    most_swapped: int = MOST_SWAPPED,
    is_thorough: bool = True,
    is_lenient: bool = False,
    again: Collection[str] = (),
) -> ViewChange:
    """Make the views of a store show a head, by default the newest."""
    views = StoreViews(store, cache=cache, staging=staging, most_swapped=most_swapped)
    return views.update(head, is_thorough=is_thorough, is_lenient=is_lenient, again=again)


def look(store: TileStore, *, head: Head, cache: SourceCache | None = None) -> ViewState | None:
    """Return how the views of a store differ from a head."""
    return StoreViews(store, cache=cache).compare(head)


FILE_EVENTS = {"open", "os.link", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"}


def killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run an action in a child that dies before its nth file operation; return if it did die."""
    child = os.fork()
    if child == 0:
        left = step

        def count(event: str, _: tuple[Any, ...]) -> None:
            nonlocal left
            if event in FILE_EVENTS:
                if left == 0:
                    os._exit(9)
                left -= 1

        try:
            sys.addaudithook(count)
            action()
        except BaseException:  # noqa: BLE001
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9
