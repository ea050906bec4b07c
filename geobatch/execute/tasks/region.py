"""One region: a square of tiles, computed with all pyramid levels that fit inside it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from geobatch.errors import SourceErrors
from geobatch.execute.tasks.batches import pieces
from geobatch.execute.tasks.counting import Counting
from geobatch.execute.tasks.ingest import ingest
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.stored_pixels import StoredLevels
from geobatch.execute.tasks.task import BandTask, Region, RegionTask, TaskResult
from geobatch.format.codec import content_digest, encode
from geobatch.model.assets.asset import Codec
from geobatch.model.digest import Digest
from geobatch.model.geobox import GeoBox
from geobatch.model.published import ArrayKey
from geobatch.model.tile import StoredTile, TileKey
from geobatch.model.tiles import parents_of
from geobatch.model.window import Box
from geobatch.pyramid.pixels import Mask, Plane, Values
from geobatch.pyramid.reduce import reduce_plane
from geobatch.sources.driver import Reader
from geobatch.sources.registry import session
from geobatch.store.index import Index
from geobatch.store.objects import Objects


def compute_region(
    task: RegionTask, inputs: Inputs, *, objects: Objects, index: Index, reader: Reader
) -> TaskResult:
    """Compute the dirty tiles of some bands in one region, bottom up, and put their objects.

    Args:
        task: The region.
        inputs: What it names.
        objects: Where tiles are put.
        index: Where tile indexes are read.
        reader: Where source pixels come from.

    Raises:
        SourceError: A source cannot be read, or changed since it was resolved.
        CorruptObjectError: A stored tile that is needed does not match its digest.
    """
    result = TaskResult()
    asset, roots = inputs.asset(task.asset), inputs.roots(task.roots)
    region, geobox = task.region, asset.grid(task.grid).geobox
    climbs = []
    for band_task in task.bands:
        band = asset.band(band_task.band)
        stored = StoredLevels(
            band=band,
            shape=geobox.tile_shape(tile=asset.tile, level=0),
            tile=asset.tile,
            codec=asset.codec,
            objects=objects,
            index=index,
            roots=roots,
        )
        climb = _Climb(band_task, stored, region, geobox, result)
        if band_task.is_counted:
            climb.counting = Counting.of(asset, band)
        climbs.append(climb)
    ingesting = [climb for climb in climbs if climb.task.from_sources and climb.dirty(0).any()]
    cut = pieces([(climb.band, climb.dirty(0)) for climb in ingesting], asset)
    errors = SourceErrors()
    with session():  # once for all that is read here
        for piece in cut:
            box = piece.shift(rows=region.row, cols=region.col)
            here = [climb for climb in ingesting if climb.wants(piece)]
            planes = {}
            with errors.collecting():
                planes = ingest(
                    asset,
                    [climb.band for climb in here],
                    box.window(geobox.shape, tile=asset.tile),
                    reader=reader,
                    peaks=result.peaks.setdefault(asset.id, {}),
                )
            if errors.first is not None:  # the rest is read to find all errors
                continue
            for climb in here:
                # Popped, so that a band's pixels go when its tiles are put.
                climb.add(box, planes.pop(climb.band.id))
    errors.raise_all()
    for climb in climbs:
        climb.finish()
        if climb.counting is not None:
            result.measures[climb.band.id] = climb.counting.found
    return result


class _Layer(NamedTuple):
    """One level of a band in a region."""

    row: int
    """First tile row of the region."""
    col: int
    """First tile column of the region."""
    values: ArrayKey
    """The array of its values."""
    mask: ArrayKey | None
    """The array of its masks, where it has one."""


class _Climb:
    """One band of a region, level by level: put dirty tiles, reduce them, put those above."""

    def __init__(
        self,
        task: BandTask,
        stored: StoredLevels,
        region: Region,
        geobox: GeoBox,
        result: TaskResult,
    ) -> None:
        self.task = task
        self.counting: Counting | None = None
        self.band = stored.band
        self.stored = stored
        self.region = region
        self.geobox = geobox
        self.result = result
        self.base = region.level
        self.top = region.level + len(task.dirty) - 1
        self._dirty = {self.base + up: tiles.mask for up, tiles in enumerate(task.dirty)}
        self._layers = {level: self._layer(level) for level in self._dirty}
        self._changed = np.zeros_like(self._dirty[self.base])
        self._above = self._target(self.base + 1)
        if self._above is not None:
            self._needed = self._above.children(stored.plane_shape(self.base))
            plane = geobox.level(self.base + 1).shape
            window = self._above.window(plane, tile=stored.tile)
            self._values = np.zeros(window.shape, dtype=self.band.dtype)
            self._mask: Mask | None = None
            self._is_missing = np.ones(self._needed.shape, dtype=np.bool_)

    def _layer(self, level: int) -> _Layer:
        band = self.band
        corner = self.region.box(level, self.stored.plane_shape(level))
        return _Layer(
            row=corner.row,
            col=corner.col,
            values=ArrayKey(band=band.id, level=level),
            mask=ArrayKey(band=band.id, level=level, is_mask=True)
            if band.has_mask(level)
            else None,
        )

    def dirty(self, level: int) -> npt.NDArray[np.bool_]:
        """Return which tiles of the region are to be recomputed at a level."""
        return self._dirty[level]

    def wants(self, box: Box) -> bool:
        """Return whether a box of the region's level-0 tiles has one to be recomputed."""
        return bool(np.count_nonzero(self._dirty[0][box.slices]))

    def _target(self, level: int) -> Box | None:
        """Return the box around the dirty tiles of a level; None for none, or above the top."""
        if level > self.top or not self._dirty[level].any():
            return None
        layer = self._layers[level]
        return Box.around(self._dirty[level], row=layer.row, col=layer.col)

    def _stop_where_equal(self, level: int) -> None:
        """Omit ancestors of tiles that are equal to those stored, once a level is put."""
        if level < self.top and self.task.can_stop:
            self._dirty[level + 1] &= parents_of(self._changed)
        if level == self.top:
            layer = self._layers[level]
            self.result.changed[self.band.id] = [
                (layer.row + row, layer.col + col) for row, col in _positions(self._changed)
            ]
        else:
            self._changed = np.zeros_like(self._dirty[level + 1])

    def add(self, box: Box, plane: Plane) -> None:
        """Take in ingested pixels of a box of base tiles: put the dirty ones, reduce them all."""
        self._emit(self.base, box, plane)
        if self._above is not None:
            self._paste(box, plane)

    def finish(self) -> None:
        """Climb from the base, what is not ingested read from the store, to the region's top."""
        if self.task.from_sources:
            self._stop_where_equal(self.base)
        elif self.base < self.top:
            self._changed = np.zeros_like(self._dirty[self.base + 1])
        target = self._above
        if target is None or not self._dirty[self.base + 1].any():
            return
        stored, band = self.stored, self.band
        for row, col in _positions(self._is_missing):
            box = Box.of_tile(self._needed.row + row, self._needed.col + col)
            self._paste(box, stored.load(self.geobox.level(self.base), self.base, box))
        plane = Plane(self._values, self._mask)
        for level in range(self.base + 1, self.top + 1):
            self._emit(level, target, plane)
            self._stop_where_equal(level)
            above = self._target(level + 1)
            if above is None:
                return
            needed = above.children(stored.plane_shape(level))
            if target != needed:
                plane = self._complete(level, needed, target, plane)
            plane = reduce_plane(plane, policy=band.policy, fill=band.fill)
            target = above

    def _paste(self, box: Box, plane: Plane) -> None:
        """Reduce pixels of base tiles, and paint them where they belong one level up."""
        if self._above is None:
            return
        band, tile = self.band, self.stored.tile
        # In pixels of the level above, where a base tile is half a tile wide. A piece may reach
        # beyond what this band needs, when it was cut for several bands.
        row = (box.row - self._needed.row) * tile // 2
        col = (box.col - self._needed.col) * tile // 2
        rows, cols = ((size + 1) // 2 for size in plane.values.shape)
        height, width = self._values.shape
        bottom, right = min(row + rows, height), min(col + cols, width)
        into = (slice(max(row, 0), bottom), slice(max(col, 0), right))
        out_of = (slice(max(-row, 0), bottom - row), slice(max(-col, 0), right - col))
        target = self._values[into]
        fits = target.shape == (rows, cols)
        reduced = reduce_plane(
            plane, policy=band.policy, fill=band.fill, out=target if fits else None
        )
        if not fits:
            target[:] = reduced.values[out_of]
        if reduced.mask is not None and self._mask is None:
            self._mask = np.full(self._values.shape, 255, dtype=np.uint8)
        if self._mask is not None:
            self._mask[into] = 255 if reduced.mask is None else reduced.mask[out_of]
        top, left = max(box.row - self._needed.row, 0), max(box.col - self._needed.col, 0)
        self._is_missing[
            top : box.row - self._needed.row + box.height,
            left : box.col - self._needed.col + box.width,
        ] = False

    def _complete(self, level: int, needed: Box, box: Box, fresh: Plane) -> Plane:
        """Return the plane of a box: fresh pixels where there are any, stored tiles elsewhere."""
        stored, tile = self.stored, self.stored.tile
        geobox = self.geobox.level(level)
        # Fresh pixels may reach beyond what is needed: equal tiles need no parent.
        part = box.intersect(needed)
        if part is None:
            return stored.load(geobox, level, needed)
        is_stored = np.ones(needed.shape, dtype=np.bool_)
        is_stored[needed.within(part)] = False
        values, mask = stored.load(geobox, level, needed, is_stored)
        pixels = part.window(geobox.shape, tile=tile)
        into = needed.window(geobox.shape, tile=tile).within(pixels)
        out_of = box.window(geobox.shape, tile=tile).within(pixels)
        values[into] = fresh.values[out_of]
        if mask is None and fresh.mask is not None:
            mask = np.full(values.shape, 255, dtype=np.uint8)
        if mask is not None:
            mask[into] = 255 if fresh.mask is None else fresh.mask[out_of]
        return Plane(values, mask)

    def _emit(self, level: int, box: Box, plane: Plane) -> None:
        """Put the dirty tiles of one level, values and masks."""
        stored, result, layer = self.stored, self.result, self._layers[level]
        tile, fill = stored.tile, self.band.fill
        top, left = box.row - layer.row, box.col - layer.col
        dirty = self._dirty[level][top : top + box.height, left : left + box.width]
        for row, col in _positions(dirty):
            area = (slice(row * tile, (row + 1) * tile), slice(col * tile, (col + 1) * tile))
            at = (box.row + row, box.col + col)
            tile_key = TileKey(layer.values, *at)
            values = plane.values[area]
            mask = None if plane.mask is None else plane.mask[area]
            if self.counting is not None and level == 0:
                self.counting.add(Plane(values, mask), row=at[0] * tile, col=at[1] * tile)
            if mask is not None and not mask.any():
                is_changed = stored.find(tile_key) is not None
                for key in (layer.values,) if layer.mask is None else (layer.values, layer.mask):
                    result.empty += 1
                    result.removed.setdefault(key, []).append(at)
            else:
                pixels = _padded(values, tile, fill)
                is_changed = self._put(tile_key, pixels, content_digest(pixels))
                if layer.mask is not None and (mask is None or mask.min() == 255):
                    pixels, content, data = _all_valid(values.shape, tile, stored.codec)
                    is_changed |= self._put(TileKey(layer.mask, *at), pixels, content, data)
                elif layer.mask is not None and mask is not None:
                    pixels = _padded(mask, tile, 0)
                    is_changed |= self._put(
                        TileKey(layer.mask, *at), pixels, content_digest(pixels)
                    )
            self._changed[top + row, left + col] |= is_changed

    def _put(
        self,
        key: TileKey,
        pixels: Values,
        content: Digest,
        data: bytes | None = None,
    ) -> bool:
        """Put a tile, and return whether its pixels differ from those stored there before."""
        stored, result = self.stored, self.result
        raw_content = bytes.fromhex(content)
        before = stored.find(key)
        if (
            before is not None
            and before.content == raw_content
            and stored.objects.size(before.stored.hex()) == before.size
        ):
            result.reused += 1
            return False
        if data is None:
            data = encode(stored.codec, pixels)
        digest, is_new = stored.objects.put_soon(data)
        result.puts.append((is_new, len(data)))
        rows = result.entries.setdefault(key.array, [])
        rows.append(StoredTile(key.row, key.col, raw_content, bytes.fromhex(digest), len(data)))
        return True


def _positions(tiles: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield (row, column) of the True elements, in row-major order."""
    rows, cols = tiles.nonzero()
    return zip(rows.tolist(), cols.tolist(), strict=True)


@lru_cache(maxsize=16)
def _all_valid(shape: tuple[int, int], tile: int, codec: Codec) -> tuple[Mask, Digest, bytes]:
    """Return the mask of a tile without a masked pixel, its content digest and its bytes.

    It is cached: most masks of a raster are of this kind.
    """
    mask = _padded(np.full(shape, 255, dtype=np.uint8), tile, 0)
    mask.setflags(write=False)
    return mask, content_digest(mask), encode(codec, mask)


def _padded(pixels: Values, tile: int, fill: float) -> Values:
    """Return a contiguous (tile, tile) array; what lies beyond the level's edge is fill."""
    if pixels.shape == (tile, tile):
        return np.ascontiguousarray(pixels)
    whole = np.full((tile, tile), fill, dtype=pixels.dtype)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    return whole
