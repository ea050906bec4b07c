"""Rehearsals: a plan is executed and not published, and later published without computing it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare.failures import refusal_of
from geobatch.errors import (
    CorruptObjectError,
    FormatError,
    NotFoundError,
    Problem,
    StalePlanError,
    StoreError,
)
from geobatch.format.documents import content_root, decode_tree, encode_tree
from geobatch.logs import Logger
from geobatch.model.assets.table import StoredTable
from geobatch.model.digest import canonical_json
from geobatch.model.observer import Observer
from geobatch.model.plans.plan import Op, Plan
from geobatch.model.plans.plan_json import Locate, plan_json
from geobatch.model.plans.summary import ApplySummary
from geobatch.model.published import Head, Tree, TreeEntry
from geobatch.store.backends.protocol import RUNS
from geobatch.store.backends.run_folder import remove_dead_runs
from geobatch.store.caches.cache import SourceCache
from geobatch.store.entries import changed_tree
from geobatch.store.identity import is_store
from geobatch.store.maintenance.check import READ_ALL, Checker, StateLeaves
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.rehearsals.differences import (
    RehearsedAsset,
    level_counts,
    rehearsed_assets,
)
from geobatch.store.rehearsals.records import Rehearsal, Rehearsals
from geobatch.store.rehearsals.statistics import band_statistics, statistics_json
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import (
    Approve,
    changed_ids,
    plan_request,
    resolve_request,
    summary_of,
)
from geobatch.workflow.executed import Executed
from geobatch.workflow.plan import log_plan, planning
from geobatch.workflow.planned_specs import PlannedSpecs, plan_resolved
from geobatch.workflow.publication import publish
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs
from geobatch.workflow.views import open_views, repair_views, show, undone

_LOG = Logger(__name__)
LIFETIME = timedelta(days=14)
"""How long a rehearsal is kept by default."""


class LostRehearsalError(StoreError):
    """What a rehearsal put is not there any more: the plan must be computed."""


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


def rehearse_specs(
    request: Request,
    *,
    observer: Observer,
    locate: Locate,
    lifetime: timedelta = LIFETIME,
    now: datetime | None = None,
) -> Rehearsed:
    """Execute a plan without publishing it: its tiles, pages, documents and tree become objects.

    A plan that was rehearsed before, and whose result is whole, is not executed again.

    Args:
        request: What to plan; the store is created if there is none and nothing is refused.
        observer: Receives the progress.
        locate: Returns where changes are.
        lifetime: How long `gc` keeps the result.
        now: The time; by default that of the clock.

    Raises:
        SourceError: A source cannot be read, or changed while it was read; nothing is kept.
        InterruptedRunError: The user stopped the run.
        GeobatchError: As for `apply`.
    """
    _LOG.info("rehearsal in %s starts: %s", request.store, ", ".join(map(str, request.paths)))
    with SourceCache(request.store) as cache:
        resolved = resolve_request(request, cache)
        if not is_store(request.store):  # what is refused leaves no store behind
            planned = _plan(resolved, Base(), request, cache)
            if planned.plan.refusals:
                return Rehearsed(planned=planned, document=plan_json(planned.plan, locate=locate))
        with closing(TileStore.create(request.store)) as store:
            settle(store)
            cache.save()
            base = Base(store=store, head=store.head())
            planned = _plan(resolved, base, request, cache)
            if planned.plan.refusals:
                return Rehearsed(planned=planned, document=plan_json(planned.plan, locate=locate))
            found = _find_again(store, planned, now=now or _now(), lifetime=lifetime)
            if found is not None:
                return found
            executed = _execute(planned, store, request, cache, observer)
            return _hold(
                planned,
                executed,
                store,
                base.head,
                workers=request.workers,
                locate=locate,
                made=now or _now(),
                lifetime=lifetime,
            )


def apply_rehearsed(
    request: Request, plan_id: str, *, stated: str | None, approve: Approve
) -> ApplySummary:
    """Publish what a rehearsal put; for the errors see `apply`.

    The specs are loaded, and the sources identified, as always; no pixel is read. If other assets
    were published since, the rehearsed changes are made to that state.

    Args:
        request: The specs and options of the plan.
        plan_id: Id of the plan.
        stated: Content root that the plan states.
        approve: Receives the plan before anything is done, and raises an error to prevent it.

    Raises:
        LostRehearsalError: There is no such rehearsal, it has expired, or it is not whole.
        StalePlanError: The specs or sources differ, or the rehearsal reached another content root.
        ConflictError: Another process published a change of the same asset; nothing is published.
    """
    started = time.perf_counter()
    with SourceCache(request.store) as cache:
        if not is_store(request.store):
            raise LostRehearsalError("there is no store")
        with closing(TileStore.create(request.store)) as store:
            settle(store)
            rehearsal = find_rehearsal(store, plan_id, now=_now())
            head, base = store.head(), Base(store=store, head=_base_of(store, rehearsal))
            resolved = resolve_request(request, cache)
            cache.save()
            planned = plan_request(resolved, base, request, cache, approve)
            if stated != rehearsal.content_root:
                raise StalePlanError(
                    f"the plan states the content root `{stated}`, but its rehearsal reached "
                    f"`{rehearsal.content_root}`",
                    hint="nothing was done; make a new plan and review it",
                )
            executed = _find_executed(store, planned.plan, rehearsal, head=base.head)
            views = open_views(store, cache=cache)
            broken = repair_views(views, head)
            if broken is not None:
                raise undone(broken, planned.plan)
            after = publish(planned, executed, store, base=base.head, request=request)
            is_new = after.digest != head.digest
            show(views, after, again=changed_ids(planned, executed), is_new=is_new)
            with suppress(OSError):  # the next apply removes them
                remove_dead_runs(request.store / RUNS)
            return summary_of(planned, executed, head, after, started=started)


def find_rehearsal(store: TileStore, plan_id: str, *, now: datetime) -> Rehearsal:
    """Return a rehearsal that is kept.

    Raises:
        LostRehearsalError: There is none, or it has expired, or its record cannot be read.
    """
    try:
        found = store.rehearsals.find(plan_id)
    except (CorruptObjectError, FormatError) as error:
        raise LostRehearsalError(error.message) from error
    if found is None:
        raise LostRehearsalError(f"store `{store.id}` has no rehearsal of it")
    if not found.is_live(now):
        raise LostRehearsalError(f"its rehearsal expired on {found.expires:%Y-%m-%d %H:%M} UTC")
    return found


def compared_assets(store: TileStore, plan: Plan, rehearsal: Rehearsal) -> Iterator[RehearsedAsset]:
    """Yield the images that a rehearsed plan computed, with their states before and after.

    Raises:
        LostRehearsalError: The commit that it was rehearsed against cannot be read.
        CorruptObjectError: The tree or a document is damaged.
    """
    tree = decode_tree(store.objects.get(rehearsal.tree), name="the rehearsed tree")
    base = _base_of(store, rehearsal).tree
    yield from rehearsed_assets(store, plan, base=base, tree=tree)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _plan(
    resolved: ResolvedSpecs, base: Base, request: Request, cache: SourceCache
) -> PlannedSpecs:
    with planning():
        planned = plan_resolved(resolved, base, request=request, cache=cache, is_applied=True)
    log_plan(planned)
    return planned


def _execute(
    planned: PlannedSpecs,
    store: TileStore,
    request: Request,
    cache: SourceCache,
    observer: Observer,
) -> Executed:
    """Put everything that a plan names, and nothing for the views."""
    if planned.plan.is_empty:
        return Executed()
    from geobatch.views.zarr.staging import Staging  # noqa: PLC0415 - loads codecs
    from geobatch.workflow.execution import execute_plan  # noqa: PLC0415 - loads codecs

    executed = execute_plan(
        planned, store, staging=Staging(None), request=request, cache=cache, observer=observer
    )
    if executed.failures:
        raise refusal_of(executed.failures)
    return executed


def _hold(
    planned: PlannedSpecs,
    executed: Executed,
    store: TileStore,
    base: Head,
    *,
    workers: int,
    locate: Locate,
    made: datetime,
    lifetime: timedelta,
) -> Rehearsed:
    """Put the tree and the findings, and have them kept."""
    plan = planned.plan
    tree = changed_tree(base.tree, _changes(plan, executed.changes))
    document = plan_json(plan, locate=locate)
    found = {
        asset.change.id: _found(store, asset, workers=workers)
        for asset in rehearsed_assets(store, plan, base=base.tree, tree=tree)
    }
    for change in document["asset_changes"]:
        if change["id"] in found:
            change["rehearsed"] = found[change["id"]]
    before = {entry.stored for entry in base.tree.entries}
    rehearsal = store.hold(
        Rehearsal(
            id=plan.plan_id,
            base=base.digest,
            base_number=base.number,
            tree=store.objects.put(encode_tree(tree))[0],
            content_root=content_root(tree),
            findings=store.objects.put(canonical_json(document))[0],
            tiles_put=executed.written,
            bytes_put=executed.bytes_written,
            made=made,
            expires=made + lifetime,
        ),
        documents=[one.stored for one in tree.entries if one.stored not in before],
    )
    return Rehearsed(
        planned=planned, rehearsal=rehearsal, document=document, warnings=executed.warnings
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
        head = _base_of(store, found)
        executed = _find_executed(store, plan, found, head=head)
        document = json.loads(store.objects.get(found.findings))
    except (LostRehearsalError, CorruptObjectError) as error:
        _LOG.info("%s", error)
        return None
    before = {entry.stored for entry in head.tree.entries}
    documents = [
        entry.stored
        for entry in executed.changes.values()
        if entry is not None and entry.stored not in before
    ]
    kept = store.hold(replace(found, expires=now + lifetime), documents=documents)
    looked_at = {"hashed": plan.sources_hashed, "by_stat": plan.sources_by_stat}
    return Rehearsed(
        planned=planned,
        rehearsal=kept,
        document={**document, "looked_at": looked_at},
    )


def _base_of(store: TileStore, rehearsal: Rehearsal) -> Head:
    """Return the state that a plan was rehearsed against; `gc` keeps it."""
    if rehearsal.base is None:
        return Head()
    try:
        return store.at(rehearsal.base)
    except (NotFoundError, CorruptObjectError) as error:
        message = f"the commit that it was rehearsed against cannot be read: {error.message}"
        raise LostRehearsalError(message) from error


def _find_executed(store: TileStore, plan: Plan, rehearsal: Rehearsal, *, head: Head) -> Executed:
    """Return what a rehearsal put, if all of it is whole.

    Raises:
        LostRehearsalError: Something is missing or damaged, or of another plan.
    """
    try:
        tree = decode_tree(store.objects.get(rehearsal.tree), name="the rehearsed tree")
        changes = _changes_in(plan, tree)
        if changed_tree(head.tree, changes) != tree:
            raise LostRehearsalError("its rehearsal is of another plan")
        new = [entry for entry in changes.values() if entry is not None]
        state = store.backend.state(Rehearsals.path(rehearsal.id))
        _check_whole(store, new, since=READ_ALL if state is None else state.modified_ns)
        tables = dict(_tables(store, new))
    except CorruptObjectError as error:
        raise LostRehearsalError(f"what its rehearsal put is damaged: {error.message}") from error
    return Executed(changes=changes, tables=tables)


def _check_whole(store: TileStore, entries: Iterable[TreeEntry], *, since: int) -> None:
    """Check what rehearsed assets need, as it is checked of a published state.

    Raises:
        LostRehearsalError: Something is missing or damaged.
    """
    checker = Checker(store.objects, StateLeaves(store.objects, read_from=since))
    for entry in entries:
        damage = next(iter(checker.asset(entry)), None)
        if damage is not None:
            raise LostRehearsalError(f"what its rehearsal put is damaged: {damage}")


def _tables(store: TileStore, entries: Iterable[TreeEntry]) -> Iterator[tuple[str, StoredTable]]:
    for entry in entries:
        if entry.is_table and (table := store.record(entry).table) is not None:
            yield entry.id, table


def _changes(plan: Plan, entries: Mapping[str, TreeEntry | None]) -> dict[str, TreeEntry | None]:
    """Return what was executed, and the former ids of renamed assets."""
    gone = [change.previous_id for change in plan.changes if change.op is Op.RENAME]
    return {**entries, **dict.fromkeys(gone)}


def _changes_in(plan: Plan, tree: Tree) -> dict[str, TreeEntry | None]:
    """Return what a plan makes of its assets, by a tree that has it."""
    by_id = {entry.id: entry for entry in tree.entries}
    entries = {one.id: by_id.get(one.id) for one in plan.changes if one.op is not Op.KEEP}
    return _changes(plan, entries)
