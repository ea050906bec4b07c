"""An asset in stages: regions of tiles at ever higher levels, each stage upon the one below.

A stage covers `span` levels above its base. The pixels of the first base come from the sources (or
from kept level-0 tiles), those of every later base from the tiles that the stage before has put. So
a run holds no more pixels than its workers' regions, whatever the size of the raster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import InternalError
from geobatch.execute.recode import recode_tiles
from geobatch.execute.region import BandTask, Region, RegionResult, compute_region
from geobatch.execute.region_cache import Memory, from_bytes, region_fingerprint, to_bytes
from geobatch.execute.stored_pixels import StoredLevels
from geobatch.execute.tile_sink import TileSink
from geobatch.model.assets.asset import Asset, Codec, Grid
from geobatch.model.assets.fingerprint import band_fingerprint
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import AssetChange, Start
from geobatch.model.published import (
    TILE_ENTRY,
    ArrayKey,
    AssetRecord,
    BandFingerprint,
    BandTiles,
    PageRef,
    array_keys,
)
from geobatch.model.tile import StoredTile
from geobatch.model.tiles import TileSet, parents_of
from geobatch.sources.driver import Reader
from geobatch.sources.registry import driver_named
from geobatch.store.index import Index
from geobatch.store.objects import Objects

REGION_PIXELS = 2048
"""Longest side of a region."""
REGION_BYTES = 64 << 20
"""Most bytes of values and masks that the level-0 pixels of a region may take."""
SHARED_BYTES = 192 << 20
"""The same of one tile, where the bands of a source stand in the same blocks."""
STRIP_BYTES = 24 << 20
"""Most bytes of full-width strips that the rows of a region may span, so that GDAL's cache holds
them for the next region of the same rows."""
_RECODE_TILES = 64
_FEW_TILES = 64
"""Tiles of an asset that is soon finished: its only region is not remembered by itself."""

Task = Callable[[], RegionResult]
Roots = dict[ArrayKey, PageRef | None]


class Shared(Struct, frozen=True, kw_only=True):
    """What all assets of a run work with."""

    records: Mapping[str, AssetRecord]
    """Published records that the work builds upon, by asset id."""
    known: Mapping[Digest, BandTiles]
    """Tiles of finished bands, by pyramid fingerprint."""
    objects: Objects
    """Where tiles are put."""
    index: Index
    """Where tile indexes are read and written."""
    reader: Reader
    """Where source pixels come from."""
    memory: Memory | None
    """Where finished regions are remembered; None for nowhere."""
    sink: TileSink | None
    """What receives the tiles of new assets as they are put."""
    base_commit: Digest | None
    """Commit that the plan was made against."""

    def tiles_of(self, base: tuple[str, str]) -> BandTiles:
        """Return the tiles that a plan names: of a published band, or of a finished one."""
        asset_id, name = base
        return self.records[asset_id].tiles_of(name) if asset_id else self.known[name]


class AssetRun:
    """The state of one asset's work: what was indexed so far, and the stage that is under way."""

    def __init__(
        self,
        change: AssetChange,
        asset: Asset,
        *,
        fingerprints: tuple[tuple[str, BandFingerprint], ...],
        shared: Shared,
    ) -> None:
        self.change = change
        self.asset = asset
        self._fingerprints = fingerprints
        self._objects = shared.objects
        self._index = shared.index
        self._reader = shared.reader
        self._memory = shared.memory
        is_fresh = all(work.base is None for work in change.work)
        self._base_commit = None if is_fresh else shared.base_commit
        self._sink = shared.sink if is_fresh and not change.carried else None
        self._taken = shared.sink if is_fresh and change.is_taken_over else None
        # That its records are those that were digested is sure only when all of them are read.
        self._is_streamed = any(
            driver_named(source.driver).is_streamed
            for tileset in asset.tilesets
            for source in tileset.sources
        )
        self._results: list[RegionResult] = []
        self._stage = 0
        self._roots: Roots = {}
        self._tasks: dict[str, list[BandTask]] = {grid.name: [] for grid in asset.grids}
        self._recodes: list[Task] = []
        self._tops: dict[str, int] = {}
        for band_id, base in change.carried:
            self._roots |= shared.tiles_of(base).named(band_id)
        for work in change.work:
            band = asset.band(work.band)
            before = None if work.base is None else shared.tiles_of(work.base)
            if before is not None:
                self._roots |= before.named(band.id)
            stored = StoredLevels(
                band=band,
                shape=work.tiles.shape,
                tile=asset.tile,
                codec=asset.codec,
                objects=shared.objects,
                index=shared.index,
                roots=self._roots,
            )
            geobox = asset.grid(band.grid).geobox
            if work.start is Start.RECODE and before is not None:
                self._recodes += self._recode(stored, before.codec, geobox.level_count)
                continue
            dirty = work.dirty(geobox.level_count)
            self._tasks[band.grid].append(
                BandTask(
                    band=band,
                    stored=stored,
                    dirty=tuple(level.mask for level in dirty),
                    from_sources=work.start is Start.SOURCES,
                    can_stop=work.can_stop,
                )
            )

    @classmethod
    def of(cls, change: AssetChange, shared: Shared) -> AssetRun:
        """Begin the work that a change names."""
        asset = change.asset
        if asset is None:
            raise InternalError(f"`{change.id}`: nothing to execute")
        # An external image has no tiles that another asset could take over.
        names = sorted(band.id for band in asset.bands if not asset.is_external)
        return cls(
            change,
            asset,
            fingerprints=tuple((name, band_fingerprint(asset, name)) for name in names),
            # What is computed again by request is not taken from the cache either.
            shared=replace(shared, memory=None) if change.is_replaced else shared,
        )

    def stage(self) -> Iterator[Task] | None:
        """Return the tasks of the next stage, which may be none at all; None when all is done."""
        number, self._stage = self._stage, self._stage + 1
        parts: list[Iterator[Task]] = [iter(self._recodes)] if number == 0 else []
        for grid in self.asset.grids:
            tasks = self._tasks[grid.name]
            first = _span(self.asset, tasks, strip_row=_strip_row(self.asset, tasks))
            if number == 0:
                self._tops[grid.name] = min(first, grid.level_count - 1)
                parts += [
                    self._regions(grid, 0, first, group) for group in _together(self.asset, tasks)
                ]
                continue
            span = max(1, _span(self.asset, tasks, strip_row=0))
            level = first + (number - 1) * span
            if level < grid.level_count - 1:
                self._tops[grid.name] = min(level + span, grid.level_count - 1)
                stored = [replace(task, from_sources=False) for task in tasks]
                parts += [
                    self._regions(grid, level, span, group)
                    for group in _together(self.asset, stored)
                ]
        return chain.from_iterable(parts) if parts else None

    def absorb(self, result: RegionResult) -> None:
        """Take in what a task of the current stage has put."""
        self._results.append(result)
        if self._sink is not None:
            self._sink.tiles_put(self.asset, result.entries)

    def finish_stage(self) -> None:
        """Index the tiles of the current stage, so that the next one can read them."""
        entries: dict[ArrayKey, list[StoredTile]] = {}
        removed: dict[ArrayKey, list[tuple[int, int]]] = {}
        for result in self._results:
            for key, rows in result.entries.items():
                entries.setdefault(key, []).extend(rows)
            for key, places in result.removed.items():
                removed.setdefault(key, []).extend(places)
        self._stop_where_equal()
        self._results.clear()
        for key in sorted(entries.keys() | removed.keys()):
            shape = self._plane(key)
            base = self._roots.get(key)
            gone = None
            if base is not None and key in removed:
                mask = np.zeros(shape, dtype=np.bool_)
                mask[tuple(np.array(removed[key]).T)] = True
                gone = TileSet.from_mask(mask)
            self._roots[key] = self._index.write(
                shape, base=base, entries=_entries(entries.get(key, [])), remove=gone
            )

    def _stop_where_equal(self) -> None:
        """Leave out of the stages to come what only tiles that came out equal would change."""
        changed: dict[str, list[tuple[int, int]]] = {}
        for result in self._results:
            for band_id, places in result.changed.items():
                changed.setdefault(band_id, []).extend(places)
        for name, tasks in self._tasks.items():
            self._tasks[name] = [
                self._stopped(task, changed.get(task.band.id, [])) if task.can_stop else task
                for task in tasks
            ]

    def _stopped(self, task: BandTask, changed: list[tuple[int, int]]) -> BandTask:
        top = self._tops[task.band.grid]
        levels = list(task.dirty[: top + 1])
        current = np.zeros_like(task.dirty[top])
        if changed:
            current[tuple(np.array(changed).T)] = True
        for planned in task.dirty[top + 1 :]:
            current = planned & parents_of(current)
            levels.append(current)
        return replace(task, dirty=tuple(levels))

    def record(self) -> AssetRecord:
        """Return the finished asset."""
        record = AssetRecord(
            asset=self.asset,
            arrays=tuple((key, self._roots.get(key)) for key in array_keys(self.asset)),
            fingerprints=self._fingerprints,
        )
        if self._taken is not None:
            self._taken.asset_reused(record, self._index)
        return record

    def _plane(self, key: ArrayKey) -> tuple[int, int]:
        geobox = self.asset.grid(self.asset.band(key.band).grid).geobox
        return geobox.tile_shape(tile=self.asset.tile, level=key.level)

    def _regions(self, grid: Grid, level: int, span: int, tasks: list[BandTask]) -> Iterator[Task]:
        span = min(span, grid.level_count - 1 - level)
        side = 1 << span
        blocks = [
            _blocks(task.dirty[level + up], side >> up) for task in tasks for up in range(span + 1)
        ]
        active = np.logical_or.reduce(blocks)
        is_worth_it = int(active.sum()) > 1 or self.change.tiles.compute > _FEW_TILES
        for row, col in np.argwhere(active).tolist():
            region = Region(level=level, row=row * side, col=col * side, span=span)
            yield partial(self._region, grid, region, tasks, is_worth_it=is_worth_it)

    def _region(
        self, grid: Grid, region: Region, tasks: list[BandTask], *, is_worth_it: bool
    ) -> RegionResult:
        """Compute a region, or load it from a run that computed it before; on a worker's thread."""
        compute = partial(
            compute_region,
            region,
            tasks,
            asset=self.asset,
            geobox=grid.geobox,
            objects=self._objects,
            reader=self._reader,
        )
        if self._memory is None or not is_worth_it or (region.level == 0 and self._is_streamed):
            return compute()
        name = region_fingerprint(region, tasks, dict(self._fingerprints), base=self._base_commit)
        found = self._memory.get(name)
        recalled = None if found is None else from_bytes(found, self._objects)
        if recalled is not None:
            return recalled
        result = compute()
        self._memory.put(name, to_bytes(result))
        return result

    def _recode(self, stored: StoredLevels, before: Codec, level_count: int) -> Iterator[Task]:
        for level in range(level_count):
            for is_mask in (False, True):
                key = ArrayKey(band=stored.band.id, level=level, is_mask=is_mask)
                if key not in self._roots:
                    continue
                rows, cols = self._plane(key)
                entries = self._index.entries((rows, cols), self._roots[key])
                # Planned like the others, and done: so that a run ends at all of its tiles.
                yield partial(RegionResult, empty=rows * cols - len(entries))
                for first in range(0, len(entries), _RECODE_TILES):
                    yield partial(
                        recode_tiles,
                        key,
                        entries[first : first + _RECODE_TILES],
                        stored=stored,
                        before=before,
                    )


def _together(asset: Asset, tasks: list[BandTask]) -> list[list[BandTask]]:
    """Return the bands that are worked on together: those that may share reads of sources.

    They are as many as a region of one tile can hold, or a single one. Those that start from the
    store go alone: there are few regions above, and small tasks keep all workers at work.
    """
    groups: list[list[BandTask]] = []
    room = 0
    for task in tasks:
        size = asset.tile**2 * _pixel_bytes([task])
        if not task.from_sources or size > room:
            groups.append([])
            room = _group_bytes(asset, tasks) if task.from_sources else 0
        groups[-1].append(task)
        room -= size
    return groups


def _group_bytes(asset: Asset, tasks: list[BandTask]) -> int:
    """Return the most bytes of a tile of all bands that are worked on together.

    More where the bands of a source stand in the same blocks, each of which is decoded once per
    group.
    """
    names = {task.band.tileset for task in tasks if task.from_sources}
    is_shared = any(
        source.is_pixel_interleaved
        for tileset in asset.tilesets
        if tileset.id in names
        for source in tileset.sources
    )
    return SHARED_BYTES if is_shared else REGION_BYTES


def _pixel_bytes(tasks: list[BandTask]) -> int:
    return sum(np.dtype(task.band.dtype).itemsize + 1 for task in tasks)


def _strip_row(asset: Asset, tasks: list[BandTask]) -> int:
    """Return the bytes of the widest source row that can only be decoded whole; 0 for tiles."""
    names = {task.band.tileset for task in tasks if task.from_sources}
    widest = 0
    for tileset in asset.tilesets:
        if tileset.id in names:
            pixel = sum(np.dtype(dtype).itemsize for dtype in tileset.dtypes)
            for source in tileset.sources:
                if source.block[1] >= source.width > REGION_PIXELS:
                    widest = max(widest, source.width * pixel)
    return widest


def _span(asset: Asset, tasks: list[BandTask], *, strip_row: int) -> int:
    """Return how many levels above its base a region holds within its bounds of memory."""
    pixel = _pixel_bytes(tasks)
    span, side = 0, 2 * asset.tile
    while (
        side <= REGION_PIXELS
        and side * side * pixel <= REGION_BYTES
        and side * strip_row <= STRIP_BYTES
    ):
        span, side = span + 1, side * 2
    return span


def _blocks(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[np.bool_]:
    """Return which (side, side) blocks of a mask hold a True."""
    rows, cols = (-(-size // side) for size in mask.shape)
    padded = np.zeros((rows * side, cols * side), dtype=np.bool_)
    padded[: mask.shape[0], : mask.shape[1]] = mask
    blocks: npt.NDArray[np.bool_] = np.any(padded.reshape(rows, side, cols, side), axis=(1, 3))
    return blocks


def _entries(rows: list[StoredTile]) -> npt.NDArray[np.void]:
    entries = np.zeros(len(rows), dtype=TILE_ENTRY)
    if rows:
        row, col, content, stored, size = zip(*rows, strict=True)
        entries["row"], entries["col"], entries["size"] = row, col, size
        for name, digests in (("content", content), ("stored", stored)):
            entries[name] = np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)
    return entries
