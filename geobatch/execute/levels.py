"""An asset in passes: regions of tiles at ever higher levels, each pass upon the one below.

A pass covers `span` levels above its base. The pixels of the first base come from the sources (or
from kept level-0 tiles), those of every later base from the tiles that the pass before has put. So
a run holds no more pixels than its workers' regions, whatever the size of the raster. A pass of
very many tiles is cut into squares, whose tasks put index pages; parts of pages are joined after.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, islice, product

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import InternalError
from geobatch.execute.checking import AssetChecks
from geobatch.execute.pages.collected import Collected
from geobatch.execute.passes import (
    PlannedBand,
    Tiles,
    built_from,
    first_span,
    groups,
    is_large,
    next_span,
    planned_tiles,
    regions,
    square_of,
)
from geobatch.execute.reuse.region_cache import region_fingerprint
from geobatch.execute.reuse.tile_sink import TileSink
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import (
    PagesTask,
    RecodeTask,
    RegionTask,
    Roots,
    Task,
    TaskResult,
)
from geobatch.model.assets.asset import Band, Codec, Grid
from geobatch.model.assets.fingerprint import band_fingerprint
from geobatch.model.digest import Digest, digest_json
from geobatch.model.plans.plan import AssetChange, Start
from geobatch.model.published import ArrayKey, AssetRecord, BandTiles, array_keys
from geobatch.model.window import Box
from geobatch.sources.registry import drivers_of
from geobatch.store.index import Index

_RECODE_SIDE = 8
"""Tiles on a side of what one task encodes again."""
_PAGE_SIDE = 64
"""The same of an array of very many tiles: an index page."""
_FEW_TILES = 64
"""Tiles of an asset that is soon finished: its only region is not cached by itself."""


class Shared(Struct, frozen=True, kw_only=True):
    """What all assets of a run work with."""

    records: Mapping[str, AssetRecord]
    """Published records that the work builds upon, by asset id."""
    finished: Mapping[Digest, BandTiles]
    """Tiles of finished bands, by pyramid fingerprint."""
    index: Index
    """Where tile indexes are read and written."""
    inputs: Inputs
    """Receives what tasks name, as long as they do."""
    sink: TileSink | None
    """What receives the tiles of new assets as they are put; None for nothing."""
    base_commit: Digest | None
    """Commit that the plan was made against."""

    def tiles_of(self, base: tuple[str, str]) -> BandTiles:
        """Return the tiles that a plan names: of a published band, or of a finished one."""
        asset_id, name = base
        return self.records[asset_id].tiles_of(name) if asset_id else self.finished[name]


class AssetRun:
    """The state of one asset's work: what was indexed so far, and the current pass."""

    def __init__(self, change: AssetChange, shared: Shared) -> None:
        """Begin the work that a change names."""
        if change.asset is None:
            raise InternalError(f"`{change.id}`: nothing to execute")
        self.change = change
        self.asset = asset = change.image
        # An external image has no tiles that another asset could take over.
        names = sorted(band.id for band in asset.bands if not asset.is_external)
        self._fingerprints = {name: band_fingerprint(asset, name) for name in names}
        self._index = shared.index
        self._inputs = shared.inputs
        self._named = shared.inputs.add(asset)
        self._named_roots: Digest | None = None
        is_fresh = all(work.base is None for work in change.work)
        self._base_commit = None if is_fresh else shared.base_commit
        self._is_new = is_fresh and not change.carried
        is_sunk = self._is_new and not is_large(change.tiles.compute)
        self._sink = shared.sink if is_sunk else None
        self._taken = shared.sink if is_fresh and change.is_taken_over else None
        self._is_portable = all(driver.is_portable for driver in drivers_of(asset))
        # That its records are those that were digested is sure only when all of them are read.
        self._is_streamed = any(driver.is_streamed for driver in drivers_of(asset))
        self._collected = Collected(shared.index, self._plane)
        self._changed: dict[str, npt.NDArray[np.bool_]] = {}
        """Tiles of bands at the top of the current pass that differ from their base."""
        self._pass = 0
        self._roots: Roots = {}
        self._bands: dict[str, list[PlannedBand]] = {grid.name: [] for grid in asset.grids}
        self._recodes: list[Iterator[Task]] = []
        self._tops: dict[str, int] = {}
        self.checks: AssetChecks | None = None
        if asset.checks:
            self.checks = AssetChecks(
                change,
                {name: shared.tiles_of(base) for name, base in change.bases},
                before=shared.records.get(change.id),
                index=shared.index,
                inputs=shared.inputs,
            )
        for band_id, base in change.carried:
            self._roots |= shared.tiles_of(base).named(band_id)
        for work in change.work:
            band = asset.band(work.band)
            before = None if work.base is None else shared.tiles_of(work.base)
            if before is not None:
                self._roots |= before.named(band.id)
            level_count = asset.grid(band.grid).geobox.level_count
            if work.start is Start.RECODE and before is not None:
                self._recodes.append(self._recode(band, before.codec, level_count))
                continue
            self._bands[band.grid].append(
                PlannedBand(
                    band=band,
                    dirty=planned_tiles(work, level_count),
                    from_sources=work.start is Start.SOURCES,
                    can_stop=work.can_stop,
                    is_counted=self.checks is not None and self.checks.is_counted(band.id),
                )
            )

    def next_pass(self) -> Iterator[Task] | None:
        """Return the tasks of the next pass, which may be none at all; None when all is done."""
        if self._collected.has_parts:
            return self._collected.joins(self.asset.id, self._roots)
        number, self._pass = self._pass, self._pass + 1
        parts = [*self._recodes] if number == 0 else []
        for grid in self.asset.grids:
            bands = self._bands[grid.name]
            first = first_span(self.asset, bands)
            if number == 0:
                self._tops[grid.name] = min(first, grid.level_count - 1)
                together = groups(self.asset, bands)
                is_alone = self._is_new and len(together) == len(self.asset.grids) == 1
                square = square_of(
                    self.asset, bands, 0, self._tops[grid.name], groups=len(together)
                )
                parts += [
                    self._tasks(grid, 0, first, group, square=square, is_alone=is_alone)
                    for group in together
                ]
                continue
            span = next_span(self.asset, bands)
            level = first + (number - 1) * span
            if level < grid.level_count - 1:
                self._tops[grid.name] = min(level + span, grid.level_count - 1)
                stored = [replace(band, from_sources=False) for band in bands]
                together = groups(self.asset, stored)
                height = self._tops[grid.name] - level
                square = square_of(self.asset, stored, level, height, groups=len(together))
                parts += [
                    self._tasks(grid, level, span, group, square=square) for group in together
                ]
        if parts or self.checks is None:
            return chain.from_iterable(parts) if parts else None
        return self.checks.next_pass(self._roots)

    def absorb(self, result: TaskResult) -> None:
        """Take in what a task of the current pass has put."""
        self._collected.absorb(result, self._roots)
        for band_id, positions in result.changed.items():
            self._add_changed(band_id, positions)
        if self.checks is not None:
            self.checks.absorb(result)
        if self._sink is not None and result.sunk:
            self._sink.unpack(self.asset.id, result.sunk)
        elif self._sink is not None:
            self._sink.tiles_put(self.asset, result.entries)

    def finish_pass(self) -> None:
        """Index the tiles of the current pass, so that the next one can read them."""
        if self._collected.has_parts:  # they are joined first
            return
        self._stop_where_equal()
        self._forget_roots()
        self._collected.write(self._roots)

    def _add_changed(self, band_id: str, positions: list[tuple[int, int]]) -> None:
        """Note which tiles of a band differ from its base, at the top of the current pass."""
        if positions and band_id not in self._changed:
            grid = self.asset.band(band_id).grid
            key = ArrayKey(band=band_id, level=self._tops[grid])
            self._changed[band_id] = np.zeros(self._plane(key), dtype=np.bool_)
        if positions:
            self._changed[band_id][tuple(np.array(positions).T)] = True

    def _stop_where_equal(self) -> None:
        """Omit from later passes what only tiles that are unchanged would change."""
        for name, bands in self._bands.items():
            self._bands[name] = [self._stopped(band) if band.can_stop else band for band in bands]
        self._changed.clear()

    def _stopped(self, band: PlannedBand) -> PlannedBand:
        top = self._tops[band.band.grid]
        levels = list(band.dirty[: top + 1])
        current: Tiles
        if (found := self._changed.get(band.band.id)) is not None:
            current = found
        else:
            current = np.zeros(band.dirty[top].shape, dtype=np.bool_)
        for planned in band.dirty[top + 1 :]:
            current = built_from(planned, current)
            levels.append(current)
        return replace(band, dirty=tuple(levels))

    def record(self) -> AssetRecord:
        """Return the finished asset."""
        record = AssetRecord(
            asset=self.asset,
            arrays=tuple((key, self._roots.get(key)) for key in array_keys(self.asset)),
            fingerprints=tuple(self._fingerprints.items()),
            measures=() if self.checks is None else self.checks.measures(),
        )
        if self._taken is not None:
            self._taken.asset_reused(record, self._index)
        return record

    def _plane(self, key: ArrayKey) -> tuple[int, int]:
        geobox = self.asset.grid(self.asset.band(key.band).grid).geobox
        return geobox.tile_shape(tile=self.asset.tile, level=key.level)

    def _tasks(
        self,
        grid: Grid,
        level: int,
        span: int,
        bands: list[PlannedBand],
        *,
        square: int | None,
        is_alone: bool = False,
    ) -> Iterator[Task]:
        """Yield the tasks of some bands in a pass: regions, or squares of several."""
        height = min(span, grid.level_count - 1 - level)
        found = regions(bands, level, height, square=square or 0)
        few = list(islice(found, 2))
        is_single = len(few) == 1
        is_cached = (
            (not is_single or self.change.tiles.compute > _FEW_TILES)
            # What is computed again by request is not taken from the cache either.
            and not self.change.is_replaced
            and not (level == 0 and self._is_streamed)
        )
        if self._roots and self._named_roots is None:
            self._named_roots = self._inputs.add(dict(self._roots))
        for region in chain(few, found):
            tasks = tuple(band.task(region, height) for band in bands)
            key = region_fingerprint(
                region,
                tasks,
                self._fingerprints,
                codec=self.asset.codec,
                base=self._base_commit,
                counted={} if self.checks is None else self.checks.names,
                is_packed=square is not None,
            )
            is_read = any(task.from_sources for task in tasks)
            is_portable = self._is_portable or not is_read
            is_streamed = self._is_streamed and is_read
            if square is not None:
                yield PagesTask(
                    key=digest_json(["geobatch square", key, height]),
                    asset=self._named,
                    roots=self._named_roots,
                    grid=grid.name,
                    square=region,
                    span=height,
                    bands=tasks,
                    is_cached=is_cached,
                    is_portable=is_portable,
                    is_streamed=is_streamed,
                )
                continue
            yield RegionTask(
                key=key,
                asset=self._named,
                roots=self._named_roots,
                grid=grid.name,
                region=region,
                bands=tasks,
                is_cached=is_cached,
                is_portable=is_portable,
                is_streamed=is_streamed,
                is_whole=is_alone and is_single and span >= grid.level_count - 1,
            )

    def close(self) -> None:
        """Forget what tasks name: none is left."""
        self._inputs.forget(self._named)
        self._forget_roots()
        if self.checks is not None:
            self.checks.close()

    def _forget_roots(self) -> None:
        if self._named_roots is not None:
            self._inputs.forget(self._named_roots)
            self._named_roots = None

    def _recode(self, band: Band, before: Codec, level_count: int) -> Iterator[Task]:
        for level in range(level_count):
            for is_mask in (False, True):
                key = ArrayKey(band=band.id, level=level, is_mask=is_mask)
                if key not in self._roots:
                    continue
                root, (rows, cols) = self._roots[key], self._plane(key)
                has_pages = root is not None and is_large(rows * cols)
                side = _PAGE_SIDE if has_pages else _RECODE_SIDE
                if root is None:  # such tiles are planned like the others, and reported
                    side = max(rows, cols)
                for row, col in product(range(0, rows, side), range(0, cols, side)):
                    yield RecodeTask(
                        asset_id=self.asset.id,
                        array=key,
                        root=root,
                        plane=(rows, cols),
                        box=Box(
                            row=row,
                            col=col,
                            height=min(side, rows - row),
                            width=min(side, cols - col),
                        ),
                        dtype="uint8" if is_mask else band.dtype,
                        side=self.asset.tile,
                        before=before,
                        codec=self.asset.codec,
                        has_pages=has_pages,
                    )
