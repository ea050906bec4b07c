"""A sample of a plan: some regions are computed to measure how pixels change, and nothing is kept.

Only level 0 is computed, so no tile is made from an incomplete level below it. Its tiles become
objects that nothing refers to: a later apply finds them, or `gc` removes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch.execute import Counts, TaskContext, execute, shares_of
from geobatch.model.assets.asset import Image
from geobatch.model.digest import Json, digest_json
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import AssetChange, BandWork, Plan, Start
from geobatch.model.plans.plan_json import Locate, plan_json
from geobatch.model.published import AssetRecord
from geobatch.model.sampling import most_likely_to_differ
from geobatch.model.tiles import TileSet
from geobatch.sources.reader import Sources
from geobatch.store.caches.cache import SourceCache
from geobatch.store.rehearsals.differences import RehearsedAsset
from geobatch.store.rehearsals.statistics import band_statistics, statistics_json
from geobatch.store.tilestore import TileStore
from geobatch.workflow.execution import executor_for
from geobatch.workflow.planning.planned_specs import PlannedSpecs
from geobatch.workflow.request import Request

_SIDE = 2048
"""Pixels on a side of a region."""

Region = tuple[str, str, int, int]
"""Asset id, grid, and the position of the region in the grid."""


class Sample(Struct, frozen=True, kw_only=True):
    """What a sample of a plan gave."""

    document: Mapping[str, Any]
    """The plan as JSON, with what changes in the sample."""
    share: float
    """The share of all regions that was to be drawn."""
    regions: int
    """Regions that were computed."""
    total: int
    """Regions with a tile of level 0 to compute from the sources."""
    different: int
    """Regions of the sample in which a tile differs."""
    tiles_put: int
    """Tiles that were put."""
    bytes_put: int
    """Their bytes."""

    @property
    def bound(self) -> str:
        """What the sample says of the whole, in a sentence."""
        most = most_likely_to_differ(self.total, self.regions, self.different)
        return (
            f"{self.regions:,} of {self.total:,} regions were computed, and {self.different:,} of"
            f" them differ: at 95 % confidence, at most {most:,} of all do; counts of tiles and"
            " pixels are those of the sample, at level 0"
        )


def sample_plan(
    planned: PlannedSpecs,
    store: TileStore,
    *,
    share: float,
    request: Request,
    cache: SourceCache,
    observer: Observer,
    locate: Locate,
) -> Sample:
    """Compute a sample of the regions of a plan; the same plan has the same sample.

    Raises:
        SourceError: A source cannot be read, or changed while it was read.
        InterruptedRunError: The user stopped the run.
        StoreError: The store cannot be used.
    """
    regions = sorted(set(_regions(planned.plan)), key=lambda one: _draw(planned.plan, one))
    drawn = frozenset(regions[: math.ceil(share * len(regions))])
    sampled = [change for one in planned.plan.changed if (change := _sampled(one, drawn))]
    counts = Counts()
    found: dict[str, Any] = {}
    different: set[Region] = set()
    with Sources(folder=store.scratch(), cache=cache) as reader:
        computed = execute(
            shares_of(
                sampled,
                workers=request.workers,
                executor=executor_for(planned.resolved.specs, request),
            ),
            base_commit=planned.plan.base_commit,
            records=planned.records,
            known=planned.bands,
            # A region that lacks tiles must not be taken for a whole one: nothing is cached.
            context=TaskContext(objects=store.objects, index=store.index, reader=reader),
            observer=observer,
            counts=counts,
        )
        by_id = {change.id: change for change in sampled}
        with closing(computed) as records:
            for record in records:
                asset = _asset(planned, by_id[record.asset.id], record)
                found[record.asset.id] = _found(store, asset, request.workers, different)
    document = plan_json(planned.plan, locate=locate)
    for change in document["asset_changes"]:
        if change["id"] in found:
            change["rehearsed"] = found[change["id"]]
    return Sample(
        document=document,
        share=share,
        regions=len(drawn),
        total=len(regions),
        different=len(different),
        tiles_put=counts.written,
        bytes_put=counts.bytes_written,
    )


def _ingested(change: AssetChange) -> Iterator[BandWork]:
    if isinstance(change.asset, Image) and not change.blocked:
        yield from (work for work in change.work if work.start is Start.SOURCES)


def _regions(plan: Plan) -> Iterator[Region]:
    """Yield the regions in which a tile of level 0 is computed, some more than once."""
    for change in plan.changed:
        for work in _ingested(change):
            for row, col in work.tiles:
                yield _region(change, work.band, row, col)


def _region(change: AssetChange, band: str, row: int, col: int) -> Region:
    side = max(1, _SIDE // change.image.tile)
    return change.id, change.image.band(band).grid, row // side, col // side


def _draw(plan: Plan, region: Region) -> str:
    return digest_json(["geobatch rehearsal", plan.plan_id, list(region)])


def _sampled(change: AssetChange, drawn: frozenset[Region]) -> AssetChange | None:
    """Return a change that computes only drawn regions at level 0; None if there are none."""
    work = tuple(
        replace(
            one,
            tiles=_only(one.tiles, [_region(change, one.band, *at) in drawn for at in one.tiles]),
            above=TileSet.empty(one.tiles.shape),
        )
        for one in _ingested(change)
    )
    if not any(one.tiles for one in work):
        return None
    kept = [
        (one.band, one.base)
        for one in change.work
        if one.start is not Start.SOURCES and one.base is not None
    ]
    return replace(change, work=work, carried=(*change.carried, *kept))


def _only(tiles: TileSet, is_kept: Sequence[bool]) -> TileSet:
    mask = tiles.mask.copy()
    for at, keep in zip(tiles, is_kept, strict=True):
        mask[at] = keep
    return TileSet.from_mask(mask)


def _asset(planned: PlannedSpecs, change: AssetChange, record: AssetRecord) -> RehearsedAsset:
    before = planned.records.get(change.id)
    is_image = before is not None and isinstance(before.asset, Image)
    return RehearsedAsset(change=change, before=before if is_image else None, after=record)


def _found(
    store: TileStore, asset: RehearsedAsset, workers: int, different: set[Region]
) -> dict[str, Any]:
    """Return what changes in the sample of an image; add the regions with a difference."""
    tiles = {work.band: work.tiles for work in asset.change.work}
    bands: list[Json] = []
    new: list[Json] = []
    count = 0
    for one in band_statistics(store, asset, workers=workers, sample=tiles):
        (new if one.is_new else bands).append(statistics_json(one))
        regions = [_region(asset.change, one.values.band, *at) for at in one.different]
        count += len(regions)
        different.update(regions)
    planned = sum(one.count for one in tiles.values())
    return {
        "levels": [{"level": 0, "tiles": planned, "different": count}],
        "bands": bands,
        **({"values": new} if new else {}),
    }
