"""Specs to a rehearsal: load, resolve, plan, execute, and keep what that put."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch import workflow
from geobatch.declare.failures import refusal_of
from geobatch.errors import (
    CorruptObjectError,
    Problem,
    StoreError,
)
from geobatch.format.documents import content_root
from geobatch.logs import Logger
from geobatch.model.digest import canonical_json
from geobatch.model.observer import Observer, SilentObserver
from geobatch.model.plans.plan import Options, Plan
from geobatch.model.plans.plan_json import Locate, plan_json
from geobatch.model.published import Head, Tree, TreeEntry
from geobatch.sources.projections.bounds import transform_bounds
from geobatch.store.caches.asset_list import keep_rows
from geobatch.store.caches.cache import SourceCache
from geobatch.store.commits.trees import documents_of
from geobatch.store.entries import changed_tree
from geobatch.store.location import StoreText
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.rehearsals.differences import (
    RehearsedAsset,
    level_counts,
    rehearsed_assets,
)
from geobatch.store.rehearsals.records import Rehearsal
from geobatch.store.rehearsals.statistics import band_statistics, statistics_json
from geobatch.store.tilestore import TileStore
from geobatch.views import zarr
from geobatch.workflow import rehearsal
from geobatch.workflow.executed import Executed
from geobatch.workflow.plan import log_plan, planning
from geobatch.workflow.planning.place import locate
from geobatch.workflow.planning.planned_specs import PlannedSpecs, plan_resolved
from geobatch.workflow.publication import assets_of
from geobatch.workflow.rehearsal.results import (
    LostRehearsalError,
    base_of,
    changes_of,
    current_time,
    find_executed,
    find_rehearsal,
)
from geobatch.workflow.request import DEFAULT_STORE, Base, Paths, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs
from geobatch.workflow.stages import (
    resolve_request,
)

if TYPE_CHECKING:
    # Loads what decodes and encodes pixels.
    from geobatch.workflow.rehearsal.sample import Sample

_LOG = Logger(__name__)
LIFETIME = timedelta(days=14)
"""How long a rehearsal is kept by default."""


class Rehearsed(Struct, frozen=True, kw_only=True):
    """A plan that was executed and not published."""

    planned: PlannedSpecs
    """The plan."""
    rehearsal: Rehearsal | None = None
    """What keeps its result; None if `apply` would refuse the plan."""
    document: Mapping[str, Any]
    """The plan as JSON, with what it changes."""
    warnings: tuple[Problem, ...] = ()
    """Warnings found in the pixels that were read."""
    sample: Sample | None = None
    """What was computed, if it was only a sample."""

    @property
    def plan(self) -> Plan:
        """The plan as a value."""
        return self.planned.plan


def rehearse(
    paths: Paths,
    *,
    store: StoreText = DEFAULT_STORE,
    workers: int | None = None,
    observer: Observer | None = None,
    rehash: bool = False,
    options: Options | None = None,
    executor: Any = None,
    lifetime: timedelta = LIFETIME,
    sample: float | None = None,
) -> Rehearsed:
    """Compute what `apply` would publish, and keep it for a review: nothing is published.

    Args:
        paths: A spec file or a folder of them, or several.
        store: Folder or url of the store; created if there is none.
        workers: Tasks that are run at a time; by default one per processor.
        observer: Receives the progress.
        rehash: Whether to read every source, also those whose stat did not change.
        options: What to cover; by default all assets, and no deletion.
        executor: How tasks are run; see `apply`.
        lifetime: How long `gc` keeps the result.
        sample: The share of all regions to compute, above 0 and at most 1; then nothing is kept.

    Returns:
        The rehearsal: `plan`, and `document`, the plan as JSON with the pixels that change. Give
        it to `apply` as `expected`, and what was computed is published, not computed again.

    Raises:
        SpecError: The specs are wrong; it names every problem of every file.
        SourceError: A source cannot be read, or changed while it was read; nothing is kept.
        PlanError: The sources do not fit together, or a pattern of `options` matches no asset.
        InterruptedRunError: The user stopped the run.
        StoreError, ExecutionError: The store, or the cluster of `executor`, cannot be used.
        SettingError, ValueError: An argument is wrong.
    """
    if sample is not None and not 0 < sample <= 1:
        raise ValueError(f"`sample` must be above 0 and at most 1, got `{sample}`")
    if lifetime <= timedelta(0):
        raise ValueError(f"`lifetime` must be above 0, got `{lifetime}`")
    request = Request.of(
        paths, store=store, workers=workers, rehash=rehash, options=options, executor=executor
    )
    return rehearse_specs(
        request, observer=observer or SilentObserver(), locate=locate, lifetime=lifetime,
        share=sample,
    )  # fmt: skip


def rehearse_specs(
    request: Request,
    *,
    observer: Observer,
    locate: Locate,
    lifetime: timedelta = LIFETIME,
    share: float | None = None,
) -> Rehearsed:
    """Execute a plan without publishing it: its tiles, pages, documents and tree become objects.

    A plan that was rehearsed before, and whose result is whole, is not executed again.

    Args:
        request: What to plan; the store is created if there is none and nothing is refused.
        observer: Receives the progress.
        locate: Returns where changes are.
        lifetime: How long `gc` keeps the result.
        share: The share of all regions to compute for statistics alone; None for a rehearsal.

    Raises:
        SourceError: A source cannot be read, or changed while it was read; nothing is kept.
        InterruptedRunError: The user stopped the run.
        GeobatchError: As for `apply`.
    """
    _LOG.info("rehearsal in %s starts: %s", request.store, ", ".join(map(str, request.paths)))
    with SourceCache(request.store) as cache:
        resolved = resolve_request(request, cache)
        if not request.store.has_store():  # what is refused leaves no store behind
            planned = _plan(resolved, Base(), request, cache)
            if planned.plan.refusals:
                return Rehearsed(planned=planned, document=plan_json(planned.plan, locate=locate))
        with closing(TileStore.create(request.store)) as store:
            settle(store)
            cache.keep_for(store)
            base = Base(store=store, head=store.head())
            planned = _plan(resolved, base, request, cache)
            if planned.plan.refusals:
                return Rehearsed(planned=planned, document=plan_json(planned.plan, locate=locate))
            if share is not None:
                return _sample(planned, store, request, cache, observer, locate=locate, share=share)
            found = _find_again(store, planned, now=current_time(), lifetime=lifetime)
            if found is not None:
                return found
            return _execute(
                planned,
                store,
                request,
                cache,
                observer,
                base=base.head,
                locate=locate,
                lifetime=lifetime,
            )


def _sample(
    planned: PlannedSpecs,
    store: TileStore,
    request: Request,
    cache: SourceCache,
    observer: Observer,
    *,
    locate: Locate,
    share: float,
) -> Rehearsed:
    """Compute a sample of a plan, of which nothing is kept."""
    sample = rehearsal.sample_plan(
        planned,
        store,
        share=share,
        request=request,
        cache=cache,
        observer=observer,
        locate=locate,
    )
    return Rehearsed(planned=planned, document=sample.document, sample=sample)


def _plan(
    resolved: ResolvedSpecs, base: Base, request: Request, cache: SourceCache
) -> PlannedSpecs:
    with planning():
        planned = plan_resolved(resolved, base, request=request, cache=cache, is_applied=True)
        planned = planned.estimated(base)
    log_plan(planned)
    return planned


def _execute(
    planned: PlannedSpecs,
    store: TileStore,
    request: Request,
    cache: SourceCache,
    observer: Observer,
    *,
    base: Head,
    locate: Locate,
    lifetime: timedelta,
) -> Rehearsed:
    """Put everything that a plan names, and have it kept."""
    staging, executed = zarr.Staging(store.backend.local, is_copying=False), Executed()
    if not planned.plan.is_empty:
        executed = workflow.execute_plan(
            planned, store, staging=staging, request=request, cache=cache, observer=observer
        )
    if executed.failures:
        raise refusal_of(executed.failures)
    made = _hold(
        planned,
        executed,
        store,
        base,
        workers=request.workers,
        locate=locate,
        lifetime=lifetime,
    )
    # Not before: the record knows of them, and they are older than a tick of the clock.
    staging.hold(planned.plan.plan_id, _entries(executed))
    return made


def _hold(
    planned: PlannedSpecs,
    executed: Executed,
    store: TileStore,
    base: Head,
    *,
    workers: int,
    locate: Locate,
    lifetime: timedelta,
) -> Rehearsed:
    """Put the tree and the findings, and have them kept."""
    plan = planned.plan
    tree = changed_tree(base.tree, changes_of(plan, executed.changes))
    document = plan_json(plan, locate=locate)
    found = {
        asset.change.id: _found(store, asset, workers=workers)
        for asset in rehearsed_assets(store, plan, base=base.tree, tree=tree)
    }
    for change in document["asset_changes"]:
        if change["id"] in found:
            change["rehearsed"] = found[change["id"]]
    differing = [new for _, new in base.tree.differences(tree).values() if new is not None]
    made = current_time()
    digest, pages = store.put_tree(tree)
    _keep_rows(planned, executed, store, trees=[base.tree, tree])
    rehearsal = store.hold(
        Rehearsal(
            id=plan.plan_id,
            base=base.digest,
            base_number=base.number,
            tree=digest,
            content_root=content_root(tree),
            findings=store.objects.put(canonical_json(document))[0],
            tiles_put=executed.written,
            bytes_put=executed.bytes_written,
            made=made,
            expires=made + lifetime,
        ),
        documents=[entry.stored for entry in differing],
        pages=pages,
    )
    return Rehearsed(
        planned=planned, rehearsal=rehearsal, document=document, warnings=executed.warnings
    )


def _entries(executed: Executed) -> list[TreeEntry]:
    return [entry for entry in executed.changes.values() if entry is not None]


def _keep_rows(
    planned: PlannedSpecs, executed: Executed, store: TileStore, *, trees: Sequence[Tree]
) -> None:
    """Save what lists show of the assets, so that the run that publishes them need not find it."""
    with suppress(StoreError):
        keep_rows(
            store,
            trees,
            assets_of(planned, executed),
            executed.tables,
            locate=transform_bounds,
        )


def _found(store: TileStore, asset: RehearsedAsset, *, workers: int) -> dict[str, Any]:
    """Return what changes of an image, as the plan states it."""
    bands = list(band_statistics(store, asset, workers=workers))
    new = [statistics_json(band) for band in bands if band.is_new]
    return {
        "levels": level_counts(store, asset),
        "bands": [statistics_json(band) for band in bands if not band.is_new],
        **({"values": new} if new else {}),
    }


def _find_again(
    store: TileStore, planned: PlannedSpecs, *, now: datetime, lifetime: timedelta
) -> Rehearsed | None:
    """Return an earlier rehearsal of a plan if it is whole, kept for longer."""
    plan = planned.plan
    try:
        found = find_rehearsal(store, plan.plan_id, now=now)
        head = base_of(store, found)
        executed = find_executed(store, plan, found, head=head).executed
        document = json.loads(store.objects.get(found.findings))
    except (LostRehearsalError, CorruptObjectError) as error:
        _LOG.info("%s", error)
        return None
    documents = [entry.stored for entry in executed.changes.values() if entry is not None]
    tree, pages = documents_of(changed_tree(head.tree, executed.changes))
    kept = store.hold(
        replace(found, expires=now + lifetime),
        documents=documents,
        # A record from before trees were in pages names a tree that is one document.
        pages=list(pages) if tree == found.tree else [found.tree],
    )
    looked_at = {"hashed": plan.sources_hashed, "by_stat": plan.sources_by_stat}
    return Rehearsed(
        planned=planned,
        rehearsal=kept,
        document={**document, "looked_at": looked_at},
    )
