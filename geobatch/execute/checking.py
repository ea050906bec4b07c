"""What is counted for the checks of one asset, over all tasks of its run.

Level 0 that is ingested as a whole is counted as its tiles pass. If a part is ingested, the counts
of the asset that it builds upon are corrected by the tiles that change; if that asset has none, its
stored tiles are counted. No source is read for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from geobatch.errors import CorruptObjectError
from geobatch.execute.tasks.counting import names_of
from geobatch.execute.tasks.inputs import Inputs
from geobatch.execute.tasks.task import CheckTask, Roots, Task, TaskResult
from geobatch.model.assets.asset import AnyImage, Band
from geobatch.model.assets.image import Image, Raster
from geobatch.model.checks.check import CheckKind
from geobatch.model.checks.measure import BandMeasures, Measure, Measures, add_measures
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import AssetChange, BandWork, Start
from geobatch.model.published import ArrayKey, AssetRecord, BandTiles
from geobatch.sources import masks
from geobatch.store.index import Index

_TILES = 32
"""Tiles that one task reads."""
_PIXELS = 2048
"""Side of a square of pixels in which a footprint is counted at a time."""


class BandState(Struct, kw_only=True, eq=False):
    """What is known of one band, and what it builds upon."""

    band: Band
    names: frozenset[Digest]
    """What its checks need."""
    is_whole: bool
    """Whether all its tiles are ingested, and counted as they pass."""
    is_partial: bool
    """Whether some of its tiles are ingested."""
    base: BandTiles | None
    """The stored band that it builds upon."""
    is_published: bool = False
    """Whether that is the published band of the same id."""
    kept: Measures = field(default_factory=dict)
    """Counts of the base that only the changed tiles correct."""
    changed: npt.NDArray[np.bool_] | None = None
    """Which level-0 tiles differ from the base."""


class AssetChecks:
    """Counts for the checks of one asset: what tasks found, and which tasks are missing."""

    def __init__(
        self,
        change: AssetChange,
        bases: dict[str, BandTiles],
        *,
        before: AssetRecord | None,
        index: Index,
        inputs: Inputs,
    ) -> None:
        """Prepare to count.

        Args:
            change: What happens to the asset.
            bases: The stored bands that bands build upon or are, by band id.
            before: The published asset of the same id, if there is one.
            index: Where tile indexes are read.
            inputs: Receives what tasks name.
        """
        self._asset = change.image
        self._index, self._inputs = index, inputs
        self._before = before if before is not None and isinstance(before.asset, Image) else None
        self._named: list[Digest] = []
        self._found: BandMeasures = {}
        self._gone: BandMeasures = {}
        self._step = 0
        self.differing: dict[str, Measure] = {}
        """Pixels that differ from the published ones, of bands with a check of them."""
        works = {work.band: work for work in change.work}
        pairs = dict(change.carried) | {name: work.base for name, work in works.items()}
        self._bands = [
            _state(self._asset, band, works.get(band.id), bases.get(band.id))
            for band in (() if self._asset.is_external else self._asset.bands)
        ]
        for state in self._bands:
            state.is_published = pairs.get(state.band.id) == (change.id, state.band.id)

    def is_counted(self, band_id: str) -> bool:
        """Return whether the tiles of a band are counted as they pass."""
        return any(one.band.id == band_id and one.is_whole and one.names for one in self._bands)

    @property
    def names(self) -> dict[str, frozenset[Digest]]:
        """Return what is counted, by band id."""
        return {state.band.id: state.names for state in self._bands}

    def absorb(self, result: TaskResult) -> None:
        """Take in what a task counted."""
        add_measures(self._found, result.measures)
        add_measures(self._gone, result.measures_before)
        for band, measure in result.differing.items():
            self.differing[band] = self.differing.get(band, Measure()) + measure

    def next_pass(self, roots: Roots) -> Iterator[Task] | None:
        """Return the tasks that count what is missing; None if nothing is.

        Args:
            roots: Index roots of all arrays, once all tiles are put.
        """
        self._step += 1
        if self._step == 1:
            parts = [part for state in self._bands for part in self._first(state, roots)]
        elif self._step == 2:
            parts = [part for state in self._bands for part in self._corrected(state, roots)]
        else:
            return None
        return chain.from_iterable(parts) if parts else self.next_pass(roots)

    def measures(self) -> tuple[tuple[str, tuple[tuple[Digest, Measure], ...]], ...]:
        """Return what was counted of each band, in the form of a record."""
        return tuple(
            (state.band.id, tuple(sorted(self._found.get(state.band.id, {}).items(), key=_name)))
            for state in sorted(self._bands, key=lambda one: one.band.id)
            if state.names
        )

    def _add(self, value: AnyImage | Roots) -> Digest:
        digest = self._inputs.add(value)
        self._named.append(digest)
        return digest

    def close(self) -> None:
        """Forget what tasks name: none is left."""
        for digest in self._named:
            self._inputs.forget(digest)
        self._named.clear()

    def _first(self, state: BandState, roots: Roots) -> Iterator[Iterator[Task]]:
        """Yield tasks for what was not counted as tiles passed, and for the comparison."""
        band, is_compared = state.band, self._is_compared(state.band)
        if state.names and not state.is_whole and state.base is not None:
            kept = dict(state.base.measures)
            known = state.names & kept.keys()
            if missing := state.names - known:
                yield self._count(band, roots, missing)
            if known and state.is_partial:
                old = state.base.named(band.id)
                state.kept = {name: kept[name] for name in known}
                state.changed = self._differences(self._asset, band, old, roots)
                is_both = is_compared and state.is_published
                is_compared &= not is_both
                yield self._tasks(
                    band,
                    roots,
                    state.changed,
                    known,
                    old=self._asset,
                    before=old,
                    is_compared=is_both,
                )
            elif known:
                self._found.setdefault(band.id, {}).update({name: kept[name] for name in known})
        if is_compared:
            yield self._compare(band, roots)

    def _corrected(self, state: BandState, roots: Roots) -> Iterator[Iterator[Task]]:
        """Correct the counts of the base; yield tasks where the first pixel is then not known."""
        name = state.band.id
        found, gone = self._found.setdefault(name, {}), self._gone.get(name, {})
        lost = set()
        for measure, kept in state.kept.items():
            new, left = found.get(measure, Measure()), kept.count - gone[measure].count
            first = None
            if kept.first is not None and state.changed is not None and left:
                tile = self._asset.tile
                if state.changed[kept.first.row // tile, kept.first.col // tile]:
                    lost.add(measure)
                first = kept.first
            found[measure] = new + Measure(count=left, first=first)
        if lost:
            for measure in lost:
                del found[measure]
            yield self._count(state.band, roots, lost)

    def _is_compared(self, band: Band) -> bool:
        before = self._before
        return (
            before is not None
            and any(one.id == band.id for one in before.image.bands)
            and any(
                check.kind is CheckKind.MAX_CHANGED and band.id in check.bands
                for check in self._asset.checks
            )
        )

    def _count(self, band: Band, roots: Roots, names: Collection[Digest]) -> Iterator[Task]:
        """Return tasks that count all stored tiles of a band."""
        plane = self._asset.grid(band.grid).geobox.tile_shape(tile=self._asset.tile)
        is_stored = np.zeros(plane, dtype=np.bool_)
        for entries in self._index.parts(plane, roots.get(ArrayKey(band=band.id, level=0))):
            is_stored[entries["row"], entries["col"]] = True
        # None at all: the counts are 0, which a task without tiles reports.
        return self._tasks(band, roots, is_stored, names)

    def _compare(self, band: Band, roots: Roots) -> Iterator[Task]:
        """Return tasks that compare a band with the published one of the same id."""
        if self._before is None:
            return iter(())
        old = self._before.image
        was = old.band(band.id)
        box = self._asset.grid(band.grid).geobox
        if old.grid(was.grid).geobox != box:  # no pixel lies where it was
            self.differing[band.id] = Measure(count=box.height * box.width)
            return iter(())
        self.differing[band.id] = Measure()
        before = self._before.tiles_of(band.id).named(band.id)
        try:
            tiles = self._differences(old, band, before, roots)
        except CorruptObjectError:  # it is replaced, and nothing is left to compare with
            del self.differing[band.id]
            return iter(())
        return self._tasks(band, roots, tiles, (), old=old, before=before, is_compared=True)

    def _differences(
        self, old: Raster, band: Band, before: Roots, roots: Roots
    ) -> npt.NDArray[np.bool_]:
        """Return which level-0 tiles may have other pixels than before."""
        plane = self._asset.grid(band.grid).geobox.tile_shape(tile=self._asset.tile)
        was = old.band(band.id)
        is_alike = (old.tile, was.dtype, repr(was.fill), was.mask_from_level) == (
            self._asset.tile, band.dtype, repr(band.fill), band.mask_from_level,
        )  # fmt: skip
        differs = np.ones(plane, dtype=np.bool_)
        if not is_alike:
            return differs
        found = [
            self._index.diff(plane, before.get(key), root)
            for key, root in _level_0(band, roots).items()
        ]
        differs[:] = False
        for diff in found:
            for positions in diff:
                differs[positions[:, 0], positions[:, 1]] = True
        return differs

    def _tasks(
        self,
        band: Band,
        roots: Roots,
        tiles: npt.NDArray[np.bool_],
        names: Collection[Digest],
        *,
        old: AnyImage | None = None,
        before: Roots | None = None,
        is_compared: bool = False,
    ) -> Iterator[Task]:
        asset, now = self._add(self._asset), self._add(_level_0(band, roots))
        was = None if old is None else self._add(old)
        were = None if before is None else self._add(_level_0(band, before))
        for part in _few(tiles):
            yield CheckTask(
                asset=asset,
                roots=now,
                before=was,
                before_roots=were,
                band=band.id,
                tiles=part,
                names=tuple(sorted(names)),
                is_compared=is_compared,
            )


def _state(asset: Raster, band: Band, work: BandWork | None, base: BandTiles | None) -> BandState:
    is_ingested = work is not None and work.start is Start.SOURCES
    is_whole = False
    if work is not None and is_ingested:
        is_whole = work.tiles.count == work.tiles.shape[0] * work.tiles.shape[1]
    return BandState(
        band=band,
        names=names_of(asset, band.id),
        is_whole=is_whole,
        is_partial=is_ingested and not is_whole,
        base=base,
    )


def _few(tiles: npt.NDArray[np.bool_]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Yield the (row, column) of tiles, some at a time; of none, once nothing."""
    found: list[tuple[int, int]] = []
    is_any = False
    for row, cols in enumerate(tiles):
        found += ((row, col) for col in cols.nonzero()[0].tolist())
        while len(found) >= _TILES:
            yield tuple(found[:_TILES])
            del found[:_TILES]
            is_any = True
    if found or not is_any:
        yield tuple(found)


def _level_0(band: Band, roots: Roots) -> Roots:
    """Return the index roots of the level-0 arrays of a band."""
    keys = (ArrayKey(band=band.id, level=0, is_mask=is_mask) for is_mask in (False, True))
    return {key: roots[key] for key in keys if key in roots}


def _name(item: tuple[Digest, Measure]) -> Digest:
    return item[0]


def inside_of(asset: Raster) -> dict[str, int]:
    """Return how many pixels each grid has: those of the footprint, where there is one."""
    footprint = asset.footprint
    found = {grid.name: grid.geobox.height * grid.geobox.width for grid in asset.grids}
    kinds = {check.kind for check in asset.checks}
    if footprint is not None and kinds & {CheckKind.MAX_MASKED, CheckKind.MAX_CHANGED}:
        plane = asset.grid(footprint.grid).geobox
        found[footprint.grid] = sum(
            int(
                np.count_nonzero(
                    masks.footprint_mask(
                        footprint.points,
                        row=row,
                        col=col,
                        height=min(_PIXELS, plane.height - row),
                        width=min(_PIXELS, plane.width - col),
                    )
                )
            )
            for row in range(0, plane.height, _PIXELS)
            for col in range(0, plane.width, _PIXELS)
        )
    return found
