"""Damaged tiles, rows and documents of published assets, computed again from their sources.

Equal inputs give equal bytes. So what is computed is put under the names that it had, and nothing
is published; unless another version of a library encodes the same pixels to other bytes.
"""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import GeobatchError
from geobatch.model.assets.asset import Asset
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.digest import Digest
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import AssetChange, BandWork, Options, Plan, Start, TileCounts
from geobatch.model.published import AssetRecord, TreeEntry
from geobatch.model.tiles import TileSet
from geobatch.resolve import resolve
from geobatch.store.caches.cache import SourceCache
from geobatch.store.maintenance.check import Damage, whole_record
from geobatch.store.maintenance.fsck.store_check import HurtAsset
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.staging import Staging
from geobatch.workflow.executed import Executed
from geobatch.workflow.execution import execute_plan
from geobatch.workflow.planning.locations import set_locations
from geobatch.workflow.planning.planned_specs import PlannedSpecs, plan_resolved
from geobatch.workflow.publication import tools_of
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs, resolve_specs


class Recomputing(Struct, frozen=True, kw_only=True, eq=False):
    """What is computed again, and of which published states."""

    planned: PlannedSpecs | None = None
    """The plan; None if there is nothing to compute."""
    states: Mapping[str, HurtAsset] = {}
    """The published state that each asset is computed for, by id."""
    left: tuple[str, ...] = ()
    """What cannot be computed, and why."""

    @property
    def changes(self) -> tuple[AssetChange, ...]:
        """What is computed of each asset."""
        return () if self.planned is None else tuple(self.planned.plan.changes)


def plan_recomputing(
    store: TileStore,
    hurt: Sequence[HurtAsset],
    *,
    damaged: Collection[str],
    paths: Sequence[Path],
    restored: Collection[Digest],
    request: Request,
    cache: SourceCache,
) -> Recomputing:
    """Return what must be computed to restore damaged assets, as far as their sources allow.

    Args:
        store: The open store, whose newest commit and tree are whole.
        hurt: What is to be restored.
        damaged: Ids of all assets that are damaged.
        paths: Spec files or folders that declare the assets.
        restored: Objects that are restored by other means.
        request: The store and the workers.
        cache: What is cached of sources.

    Raises:
        StoreError: The store cannot be read.
    """
    due = [one for one in hurt if any(found.digest not in restored for found in one.damages)]
    if not due:
        return Recomputing()
    ids = {one.entry.id for one in due}
    if not paths:
        return Recomputing(left=tuple(_left(due, "it is not known which spec declares it")))
    try:
        resolved = _resolve(paths, ids, request=request, cache=cache)
    except GeobatchError as error:
        return Recomputing(left=tuple(_left(due, error.message)))
    base = Base(store=store, head=store.head())
    located = replace(
        resolved, resolution=set_locations(resolved, base, head=base.head, request=request)
    )
    states, left = _match(due, located)
    if not states:
        return Recomputing(left=left)
    pattern = tuple(glob.escape(one) for one in sorted(states))
    planned = plan_resolved(
        resolved,
        base,
        request=replace(request, options=Options(select=pattern, replace=pattern)),
        cache=cache,
        is_applied=True,
        damaged=damaged,
    )
    narrowed = _narrow(planned, states, store, restored)
    return Recomputing(planned=narrowed, states=states, left=left)


def recompute(
    store: TileStore,
    what: Recomputing,
    *,
    request: Request,
    cache: SourceCache,
    observer: Observer,
) -> tuple[str, ...]:
    """Compute and put; publish only what cannot have the bytes that it had. Return what is left.

    Raises:
        InterruptedRunError: The user stopped the run.
        StoreError: The store cannot be used.
    """
    if what.planned is None:
        return what.left
    executed = execute_plan(
        what.planned, store, staging=Staging(None), request=request, cache=cache, observer=observer
    )
    store.backend.sync()
    head = store.head()
    left = [*what.left, *_failed(executed)]
    changes: dict[str, TreeEntry | None] = {}
    for asset_id, made in executed.changes.items():
        entry = what.states[asset_id].entry
        if made is None or made.stored == entry.stored:
            continue
        if made.content != entry.content:
            left.append(
                f"`{asset_id}`: its sources now give other pixels than those that were published;"
                " another version of a library may decode them otherwise"
            )
        elif head.tree.entry(asset_id) == entry:
            changes[asset_id] = made
        else:
            left.append(f"`{asset_id}`: its pixels are now encoded to other bytes")
    if changes:
        message = f"repair {len(changes)}"
        tools = tools_of(what.planned.plan)
        store.publish(base=head, changes=changes, message=message, tools=tools)
    return tuple(left)


def _resolve(
    paths: Sequence[Path], ids: Collection[str], *, request: Request, cache: SourceCache
) -> ResolvedSpecs:
    options = Options(select=tuple(glob.escape(one) for one in sorted(ids)))
    asked = replace(request, paths=tuple(paths), options=options, keep_going=True)
    resolve_all = partial(resolve, workers=request.workers, cache=cache)
    return resolve_specs(asked, resolve_all, cache=cache)


def _match(
    due: Sequence[HurtAsset], resolved: ResolvedSpecs
) -> tuple[dict[str, HurtAsset], tuple[str, ...]]:
    """Return the published states that the specs and sources still give, and what is left."""
    assets: dict[str, Asset] = {asset.id: asset for asset in resolved.resolution.assets}
    failed = {one.id: one.message for one in resolved.failures}
    declared = set(resolved.specs.ids)
    states: dict[str, HurtAsset] = {}
    left: list[str] = []
    for one in due:
        asset_id = one.entry.id
        if asset_id in failed:
            left += _left([one], failed[asset_id])
        elif asset_id not in declared:
            left += _left([one], "no given spec declares it")
        elif asset_fingerprint(assets[asset_id]) != one.entry.fingerprint:
            left += _left([one], "its spec or its sources have changed since it was published")
        else:
            states.setdefault(asset_id, one)
    return states, tuple(left)


def _left(due: Sequence[HurtAsset], why: str) -> Iterator[str]:
    for one in due:
        yield f"`{one.entry.id}`, commit {one.number}: {why}"


def _narrow(
    planned: PlannedSpecs,
    states: Mapping[str, HurtAsset],
    store: TileStore,
    restored: Collection[Digest],
) -> PlannedSpecs:
    """Return a plan that computes only tiles that are damaged, and those above them."""
    changes: list[AssetChange] = []
    records = dict(planned.records)
    for change in planned.plan.changes:
        state = states[change.id]
        record = whole_record(store, state.entry)
        damages = [one for one in state.damages if one.digest not in restored]
        is_whole = any(one.array is None for one in damages)
        if record is None or is_whole or change.asset is None:
            changes.append(change)
            continue
        records[change.id] = record
        changes.append(_narrowed(change, record, damages))
    plan: Plan = replace(planned.plan, changes=tuple(changes))
    return replace(planned, plan=plan, records=records)


def _narrowed(change: AssetChange, record: AssetRecord, damages: Sequence[Damage]) -> AssetChange:
    asset = record.image
    works: list[BandWork] = []
    carried: list[tuple[str, tuple[str, str]]] = []
    for work in change.work:
        of_band = [one for one in damages if one.array and one.array.band == work.band]
        if not of_band:
            carried.append((work.band, (change.id, work.band)))
        elif any(one.tile is None for one in of_band):
            works.append(work)
        else:
            works.append(
                BandWork(
                    band=work.band,
                    start=Start.SOURCES,
                    tiles=TileSet.below(work.tiles.shape, _positions(of_band)),
                    base=(change.id, work.band),
                )
            )
    levels = [
        level.count * (1 + asset.band(work.band).has_mask(number))
        for work in works
        for number, level in enumerate(
            work.dirty(asset.grid(asset.band(work.band).grid).geobox.level_count)
        )
    ]
    tiles = TileCounts(compute=sum(levels), total=change.tiles.total, by_level=())
    return replace(change, work=tuple(works), carried=tuple(carried), tiles=tiles)


def _positions(damages: Sequence[Damage]) -> Iterator[tuple[int, int, int]]:
    """Yield (level, row, column) of tiles."""
    for one in damages:
        if one.array is not None and one.tile is not None:
            yield one.array.level, *one.tile


def _failed(executed: Executed) -> Iterator[str]:
    for failure in executed.failures:
        yield f"`{failure.id}`: {failure.message}"
