"""Pixels of external images, decoded from their COGs when they are requested."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import InternalError, SourceError
from geobatch.execute.tasks.ahead import channels
from geobatch.execute.tasks.ingest import ingest
from geobatch.model.assets.asset import Band, FileStat, Grid, Number, Source, Tileset
from geobatch.model.assets.image import Raster
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.model.sources.file_stat import file_stat
from geobatch.model.sources.pin import Pin
from geobatch.model.window import Box, Window
from geobatch.pyramid.pixels import Plane
from geobatch.reading.together import Tile, Together
from geobatch.sources.cog.probes import digest_of
from geobatch.sources.cog.reader import PinnedReader
from geobatch.sources.naming import LostStateError
from geobatch.sources.registry import stay_in_session
from geobatch.store.caches.cache import SourceCache
from geobatch.store.location import StoreLocation

KEPT_BYTES = 64 << 20
"""Decoded tiles that are kept for the next request of a mask or another band of a tile."""
_VIEWS_KEPT = 256


class _View(Struct, frozen=True, kw_only=True, eq=False):
    """One level of one grid of an external image, as if it were an image of one level."""

    record: AssetRecord
    """The asset; held, so that its address stays its own."""
    asset: Raster
    """The level; its sources are the overviews of the COGs."""


class ExternalChunks:
    """Decodes tiles of external images of one store; safe to share between threads.

    A tile is what ingesting the level would have made of it: the same masks and fill values, by
    the same code. Each read is of the states of the COGs that were pinned, or fails.
    """

    def __init__(self, place: StoreLocation) -> None:
        """Read for the store at a location; nothing is opened yet."""
        self._start(place)

    def _start(self, place: StoreLocation) -> None:
        self._place = place
        self._reader = PinnedReader()
        self._lock = threading.Lock()
        self._states: dict[tuple[str, str], FileStat] = {}
        self._views: OrderedDict[tuple[int, str, int], _View] = OrderedDict()
        self._kept = _Kept(KEPT_BYTES)
        self._threads = ThreadPoolExecutor(
            thread_name_prefix="external", initializer=stay_in_session
        )
        self._together = Together(self._threads, begin=self._begin, read=self._read_tile)

    def __getstate__(self) -> StoreLocation:
        return self._place

    def __setstate__(self, place: StoreLocation) -> None:
        self._start(place)

    async def read_together(
        self, record: AssetRecord, key: ArrayKey, *, row: int, col: int
    ) -> memoryview | None:
        """Return what `read` does; blocks of objects are fetched for many tiles at a time.

        Raises:
            SourceError: As of `read`.
        """
        tile = Tile(record, key, row, col)
        sources = (one for tileset in record.image.tilesets for one in tileset.sources)
        if any(one.state is not None for one in sources):
            return await self._together.read(tile)
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, self._read_tile, tile
        )

    def _read_tile(self, tile: Tile) -> memoryview | None:
        return self.read(tile.record, tile.key, row=tile.row, col=tile.col)

    def _begin(self, tiles: Sequence[Tile]) -> None:
        """Start to fetch what some tiles need."""
        needed: dict[tuple[str, int], tuple[Source, set[int], bool, list[Window]]] = {}
        for tile in tiles:
            band, level = tile.record.image.band(tile.key.band), tile.key.level
            asset = self._view(tile.record, tile.record.image.grid(band.grid), level).asset
            window = _window(asset, tile.row, tile.col)
            for name, (indexes, has_mask) in channels(_together(asset, band), asset).items():
                (source,) = asset.tileset(name).sources
                if source.state is not None:
                    start = (source, set[int](), has_mask, list[Window]())
                    found = needed.setdefault((source.path, level), start)
                    found[1].update(indexes)
                    found[3].append(window)
        for (_, level), (source, indexes, has_mask, windows) in needed.items():
            self._reader.begin(source, windows, sorted(indexes), with_mask=has_mask, level=level)

    @property
    def threads(self) -> Executor:
        """Threads to decode in, which stay in GDAL's environment."""
        return self._threads

    def read(self, record: AssetRecord, key: ArrayKey, *, row: int, col: int) -> memoryview | None:
        """Return the plain pixels of a tile, little-endian, or None where all of it is masked.

        The bytes are read-only, and shared with the next reader of the tile.

        Raises:
            SourceError: A COG is not in the state that was pinned, or cannot be read.
        """
        band = record.image.band(key.band)
        view = self._view(record, record.image.grid(band.grid), key.level)
        bands = _together(view.asset, band)
        asset = self._checked(view.asset, bands)
        place = (id(view), row, col, tuple(one.id for one in bands))
        planes = self._kept.get(place)
        if planes is None:
            planes = ingest(
                asset, bands, _window(asset, row, col), reader=self._reader, level=key.level
            )
            self._kept.put(place, view, planes)
        values, mask = planes[band.id]
        if mask is not None and not mask.any():
            return None
        if not key.is_mask:
            return _padded(values, asset.tile, band.fill)
        if mask is None:
            mask = np.full(values.shape, 255, dtype=np.uint8)
        return _padded(mask, asset.tile, 0)

    def _view(self, record: AssetRecord, grid: Grid, level: int) -> _View:
        key = (id(record), grid.name, level)
        with self._lock:
            found = self._views.get(key)
            if found is None:
                asset = self._level(record.image, grid, level)
                found = self._views[key] = _View(record=record, asset=asset)
                while len(self._views) > _VIEWS_KEPT:
                    self._views.popitem(last=False)
            return found

    def _level(self, asset: Raster, grid: Grid, level: int) -> Raster:
        plane = grid.level(level)
        footprint = asset.footprint
        if footprint is not None:
            down, right = plane.height / grid.geobox.height, plane.width / grid.geobox.width
            points = tuple((x * right, y * down) for x, y in footprint.points)
            footprint = replace(footprint, points=points)

        def reduced(source: Source) -> Source:
            pin = _pin(source)
            remote = pin.remote
            path = pin.location if remote else os.path.realpath(self._place.base / pin.location)
            return replace(
                source,
                height=plane.height,
                width=plane.width,
                path=path,
                stat=None if remote is None else remote.stat(path),
            )

        return replace(
            asset,
            grids=(replace(grid, geobox=plane),),
            bands=asset.bands_of(grid.name),
            footprint=footprint if footprint and footprint.grid == grid.name else None,
            tilesets=tuple(
                replace(tileset, sources=tuple(map(reduced, tileset.sources)))
                for tileset in asset.tilesets
                if tileset.grid == grid.name
            ),
        )

    def _checked(self, asset: Raster, bands: list[Band]) -> Raster:
        """Return the level with the stats of its files, which hold what was pinned."""
        names = {name for band in bands for name in (band.tileset, band.masking.tileset)}

        def checked(tileset: Tileset) -> Tileset:
            sources = tileset.sources
            if tileset.id in names:
                sources = tuple(replace(one, stat=self._state(one)) for one in sources)
            return replace(tileset, sources=sources)

        return replace(asset, tilesets=tuple(map(checked, asset.tilesets)))

    def _state(self, source: Source) -> FileStat:
        """Return the stat of a file that holds the pinned bytes; of an object, its pinned state."""
        if source.stat is not None:
            return source.stat
        key = (source.path, source.digest)
        known = self._states.get(key)
        try:
            if known is not None and file_stat(os.stat(source.path)) == known:  # noqa: PTH116
                return known
            with self._lock, SourceCache.borrowed(self._place) as cache:
                digest, found, is_sure = digest_of(Path(source.path), cache=cache)
        except (SourceError, OSError) as error:
            raise LostStateError(_pin(source).generation).named(source.uri) from error
        if digest != source.digest:
            raise LostStateError(_pin(source).generation).named(source.uri)
        if is_sure:
            self._states[key] = found
        return found


def _pin(source: Source) -> Pin:
    if source.pin is None:
        raise InternalError(f"`{source.uri}`: no state of it is pinned")
    return source.pin


def _together(asset: Raster, band: Band) -> list[Band]:
    """Return the bands that are decoded with a band, since they share its tiles in the file."""
    tileset = asset.tileset(band.tileset)
    bands = [other for other in asset.bands if other.tileset == band.tileset]
    size = sum(np.dtype(other.dtype).itemsize + 1 for other in bands) * asset.tile**2
    is_shared = _pin(tileset.sources[0]).is_interleaved and size * 2 <= KEPT_BYTES
    return bands if is_shared else [band]


def _window(asset: Raster, row: int, col: int) -> Window:
    return Box.of_tile(row, col).window(asset.grids[0].geobox.shape, tile=asset.tile)


def _padded(values: npt.NDArray[Any], tile: int, fill: Number) -> memoryview:
    if values.shape != (tile, tile):
        whole = np.full((tile, tile), fill, dtype=values.dtype)
        whole[: values.shape[0], : values.shape[1]] = values
        values = whole
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data.toreadonly()


class _Kept:
    """The planes that were decoded last, up to a number of bytes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._size = 0
        self._planes: OrderedDict[tuple[Any, ...], tuple[_View, dict[str, Plane], int]] = (
            OrderedDict()
        )

    def get(self, key: tuple[Any, ...]) -> dict[str, Plane] | None:
        with self._lock:
            found = self._planes.get(key)
            if found is None:
                return None
            self._planes.move_to_end(key)
            return found[1]

    def put(self, key: tuple[Any, ...], view: _View, planes: dict[str, Plane]) -> None:
        size = sum(
            plane.values.nbytes + (0 if plane.mask is None else plane.mask.nbytes)
            for plane in planes.values()
        )
        with self._lock:
            if key in self._planes:
                return
            self._planes[key] = (view, planes, size)
            self._size += size
            while self._size > self._limit and self._planes:
                self._size -= self._planes.popitem(last=False)[1][2]
