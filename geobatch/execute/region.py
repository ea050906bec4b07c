"""One region: a square of tiles, computed with all pyramid levels that fit inside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from geobatch.execute.ingest import ingest
from geobatch.execute.planes import Box, StoredLevels
from geobatch.execute.reduce import Plane, Values, reduce_plane
from geobatch.model.asset import Asset, Band
from geobatch.model.geobox import GeoBox
from geobatch.model.record import ArrayKey
from geobatch.raster import Reader
from geobatch.store.codec import content_digest, encode
from geobatch.store.objects import Objects


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A square of tiles at a base level, with the levels above it up to one tile."""

    level: int
    """Base level, whose pixels are ingested or read back from the store."""
    row: int
    """First tile row at the base level; a multiple of 2^span."""
    col: int
    """First tile column at the base level; a multiple of 2^span."""
    span: int
    """Levels above the base; the region's side is 2^span tiles."""

    def box(self, level: int, plane: tuple[int, int]) -> Box:
        """Return the region's tiles at a level whose plane has `plane` (rows, columns) of tiles."""
        up = level - self.level
        side = 1 << (self.span - up)
        row, col = self.row >> up, self.col >> up
        return Box(
            row=row, col=col, height=min(side, plane[0] - row), width=min(side, plane[1] - col)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BandTask:
    """What a run computes of one band, over all regions."""

    band: Band
    """The band."""
    stored: StoredLevels
    """Its tiles as they stand."""
    dirty: tuple[npt.NDArray[np.bool_], ...]
    """Per level, (rows, columns) of tiles: those to recompute."""
    from_sources: bool
    """Whether level 0 is ingested; else it is kept and read from the store."""


TileRow = tuple[int, int, bytes, bytes, int]
"""(row, column, content digest, stored digest, object bytes) of one tile."""


@dataclass(slots=True, kw_only=True)
class RegionResult:
    """What a region put: plain data, ready to be indexed by the coordinator."""

    entries: dict[ArrayKey, list[TileRow]] = field(default_factory=dict)
    """Tiles per array."""
    removed: dict[ArrayKey, list[tuple[int, int]]] = field(default_factory=dict)
    """(row, column) of tiles that hold no valid pixel, per array."""
    written: int = 0
    """Tiles whose object this region put."""
    reused: int = 0
    """Tiles whose object was there already."""
    empty: int = 0
    """Fully masked tiles."""
    bytes_written: int = 0
    """Bytes of the objects put."""

    @property
    def tiles(self) -> int:
        """Tiles that were computed."""
        return self.written + self.reused + self.empty


def compute_region(
    region: Region,
    tasks: Sequence[BandTask],
    *,
    asset: Asset,
    geobox: GeoBox,
    objects: Objects,
    reader: Reader,
) -> RegionResult:
    """Compute the dirty tiles of some bands in one region, bottom up, and put their objects.

    Raises:
        SourceError: A source cannot be read, or changed since it was resolved.
        CorruptObjectError: A stored tile that is needed does not match its digest.
    """
    result = RegionResult()
    planes: dict[str, Plane] = {}
    box: Box | None = None
    ingested = [
        task
        for task in tasks
        if region.level == 0 and task.from_sources and _dirty_in(region, task, 0).any()
    ]
    if ingested:
        joint = np.logical_or.reduce([_dirty_in(region, task, 0) for task in ingested])
        corner = region.box(0, ingested[0].stored.shape)
        box = Box.around(joint, row=corner.row, col=corner.col)
        planes = ingest(
            asset,
            [task.band for task in ingested],
            box.window(geobox, tile=asset.tile),
            reader=reader,
        )
    for task in tasks:
        climb = _Climb(task, region, geobox, objects, result)
        # Popped, so that a band's pixels go when its tiles are put.
        climb.run(box if task in ingested else None, planes.pop(task.band.id, None))
    return result


def _dirty_in(region: Region, task: BandTask, level: int) -> npt.NDArray[np.bool_]:
    return region.box(level, task.stored.plane_shape(level)).cut(task.dirty[level])


class _Climb:
    """One band's way up through a region: put dirty tiles, reduce, put those above, and so on."""

    def __init__(
        self, task: BandTask, region: Region, geobox: GeoBox, objects: Objects, result: RegionResult
    ) -> None:
        self.task = task
        self.region = region
        self.geobox = geobox
        self.objects = objects
        self.result = result

    def run(self, box: Box | None, plane: Plane | None) -> None:
        """Climb from the region's base, whose ingested pixels lie in `box`, or in the store."""
        task, stored, band = self.task, self.task.stored, self.task.band
        top = min(self.region.level + self.region.span, len(task.dirty) - 1)
        for level in range(self.region.level, top + 1):
            if box is not None and plane is not None:
                self._emit(level, box, plane)
            if level == top:
                return
            above = self.region.box(level + 1, stored.plane_shape(level + 1))
            dirty_above = above.cut(task.dirty[level + 1])
            if not dirty_above.any():
                return
            target = Box.around(dirty_above, row=above.row, col=above.col)
            needed = target.children(stored.plane_shape(level))
            if box is None or plane is None:
                plane = stored.load(self.geobox.level(level), level, needed)
            elif box != needed:
                plane = self._complete(level, needed, box, plane)
            plane = reduce_plane(plane, policy=band.policy, fill=band.fill)
            box = target

    def _complete(self, level: int, needed: Box, box: Box, fresh: Plane) -> Plane:
        """Return the plane of a box: fresh pixels where there are any, stored tiles elsewhere."""
        stored, tile = self.task.stored, self.task.stored.tile
        geobox = self.geobox.level(level)
        # Fresh pixels may reach beyond what is needed, when only a part of them is dirty above.
        row, col = max(box.row, needed.row), max(box.col, needed.col)
        bottom = min(box.row + box.height, needed.row + needed.height)
        right = min(box.col + box.width, needed.col + needed.width)
        is_stored = np.ones((needed.height, needed.width), dtype=np.bool_)
        is_stored[row - needed.row : bottom - needed.row, col - needed.col : right - needed.col] = (
            False
        )
        values, mask = stored.load(geobox, level, needed, is_stored)
        part = Box(row=row, col=col, height=bottom - row, width=right - col).window(
            geobox, tile=tile
        )
        into = needed.window(geobox, tile=tile).within(part)
        out_of = box.window(geobox, tile=tile).within(part)
        values[into] = fresh.values[out_of]
        if mask is None and fresh.mask is not None:
            mask = np.full(values.shape, 255, dtype=np.uint8)
        if mask is not None:
            mask[into] = 255 if fresh.mask is None else fresh.mask[out_of]
        return Plane(values, mask)

    def _emit(self, level: int, box: Box, plane: Plane) -> None:
        """Put the dirty tiles of one level, values and masks."""
        task, band, tile, result = self.task, self.task.band, self.task.stored.tile, self.result
        value_key = ArrayKey(band=band.id, level=level)
        mask_key = ArrayKey(band=band.id, level=level, is_mask=True)
        has_mask = band.mask_from_level is not None and level >= band.mask_from_level
        for row, col in np.argwhere(box.cut(task.dirty[level])).tolist():
            place = (slice(row * tile, (row + 1) * tile), slice(col * tile, (col + 1) * tile))
            at = (box.row + row, box.col + col)
            values = plane.values[place]
            mask = None if plane.mask is None else plane.mask[place]
            if mask is not None and not mask.any():
                result.empty += 1 + has_mask
                result.removed.setdefault(value_key, []).append(at)
                if has_mask:
                    result.removed.setdefault(mask_key, []).append(at)
                continue
            self._put(value_key, at, _padded(values, tile, band.fill))
            if has_mask:
                if mask is None:
                    mask = np.full(values.shape, 255, dtype=np.uint8)
                self._put(mask_key, at, _padded(mask, tile, 0))

    def _put(self, key: ArrayKey, at: tuple[int, int], pixels: Values) -> None:
        stored, result = self.task.stored, self.result
        content = bytes.fromhex(content_digest(pixels))
        before = stored.entry(key, *at)
        if before is not None and bytes(before["content"]) == content:
            result.reused += 1
            return
        data = encode(stored.codec, pixels)
        digest, is_new = self.objects.put(data)
        if is_new:
            result.written += 1
            result.bytes_written += len(data)
        else:
            result.reused += 1
        rows = result.entries.setdefault(key, [])
        rows.append((*at, content, bytes.fromhex(digest), len(data)))


def _padded(pixels: Values, tile: int, fill: float) -> Values:
    """Return a contiguous (tile, tile) array; what lies beyond the level's edge is fill."""
    if pixels.shape == (tile, tile):
        return np.ascontiguousarray(pixels)
    whole = np.full((tile, tile), fill, dtype=pixels.dtype)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    return whole
