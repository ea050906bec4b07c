"""Specs to a published commit: load, resolve, plan, execute, publish, show."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from geobatch import workflow
from geobatch.errors import ProtectedError, StalePlanError
from geobatch.logs import Logger
from geobatch.model.observer import Observer, SilentObserver
from geobatch.model.plans.plan import Op, Options, Plan
from geobatch.model.plans.summary import ApplySummary, ByteTotals, TileTotals
from geobatch.model.published import Head
from geobatch.resolve import resolve
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.run_times import keep_run
from geobatch.store.commits.trees import root_of
from geobatch.store.location import StoreText
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.tilestore import TileStore
from geobatch.workflow import rehearsal
from geobatch.workflow.checks import refuse_failed
from geobatch.workflow.executed import Executed
from geobatch.workflow.plan import log_plan, planning
from geobatch.workflow.planning.planned_specs import PlannedSpecs, plan_resolved
from geobatch.workflow.publication import publish
from geobatch.workflow.request import DEFAULT_STORE, Base, Paths, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs, resolve_specs
from geobatch.workflow.views import open_views, repair_views, show, undone

if TYPE_CHECKING:
    from geobatch.workflow.rehearsal.rehearse import Rehearsed

_LOG = Logger(__name__)

Approve = Callable[[PlannedSpecs], object]
"""Receives what is about to be done, and raises an error to prevent it."""


def apply(
    paths: Paths,
    *,
    store: StoreText = DEFAULT_STORE,
    workers: int | None = None,
    observer: Observer | None = None,
    rehash: bool = False,
    options: Options | None = None,
    keep_going: bool = False,
    message: str = "",
    expected: Plan | Rehearsed | None = None,
    approve: Approve | None = None,
    executor: Any = None,
) -> ApplySummary:
    """Make the store hold what some specs declare, in one atomic commit.

    Args:
        paths: A spec file or a folder of them, or several.
        store: Folder or url of the store (`s3://bucket/prefix`); created if there is none.
        workers: Tasks that are run at a time; by default one per processor.
        observer: Receives the progress.
        rehash: Whether to read every source, also those whose stat did not change.
        options: What to cover; by default all assets, and no deletion.
        keep_going: Whether to publish the other assets if the sources of some fail.
        message: What the commit says besides what was done; in a Git checkout, it also records
            the Git commit of the specs and its author.
        expected: The plan that must be made again, as it was reviewed; by default any. What
            `rehearse` computed of one is published, and not computed again.
        approve: Receives the plan, as `.plan`, with its `.warnings` before anything is done; an
            error that it raises prevents the run.
        executor: How tasks are run: a name, a `distributed.Client` or an `Executor`.

    Returns:
        What was done. `commit` is None if nothing had to change.

    Raises:
        SpecError: The specs are wrong; it names every problem of every file.
        SourceError: A source cannot be read, or changed while it was read; nothing is published.
        PlanError: The sources do not fit together, or a pattern of `options` matches no asset.
        StalePlanError: The plan is not the expected one; nothing is done.
        CheckError: Data do not pass a check of their spec; nothing is published.
        ProtectedError: A protected asset, or too many assets, would be deleted.
        ConflictError: Another process published a change of the same asset; nothing is published.
        InterruptedRunError: The user stopped the run; it says whether anything was published.
        StoreError, ExecutionError: The store, or the cluster of `executor`, cannot be used.
        SettingError, ValueError: An argument is wrong.
    """
    request = Request.of(
        paths, store=store, workers=workers, rehash=rehash, options=options, keep_going=keep_going,
        message=message, executor=executor,
    )  # fmt: skip
    if expected is not None and not isinstance(expected, Plan):
        return _apply_rehearsed(request, expected, approve)
    return apply_specs(
        request, observer=observer or SilentObserver(), approve=_checks(expected, approve)
    )


def _apply_rehearsed(
    request: Request, rehearsed: Rehearsed, approve: Approve | None
) -> ApplySummary:
    if rehearsed.rehearsal is None:
        raise ValueError("`expected` is a rehearsal of which nothing was kept")
    return rehearsal.apply_rehearsed(
        request,
        rehearsed.plan.plan_id,
        stated=rehearsed.rehearsal.content_root,
        approve=_checks(rehearsed.plan, approve),
    )


def apply_specs(request: Request, *, observer: Observer, approve: Approve) -> ApplySummary:
    """Execute a request and publish the result; for the errors see `apply`."""
    started = time.perf_counter()
    _LOG.info("apply to %s starts: %s", request.store, ", ".join(map(str, request.paths)))
    with SourceCache(request.store) as cache:
        resolved = resolve_request(request, cache)
        planned: PlannedSpecs | None = None
        if not request.store.has_store():  # what is refused leaves no store behind
            planned = plan_request(resolved, Base(), request, cache, approve)
        with closing(TileStore.create(request.store)) as store:
            settle(store)
            cache.keep_for(store)
            base = Base(store=store, head=store.head())
            views = open_views(store, cache=cache)
            broken = repair_views(views, base.head)
            if planned is None or base.head.number:
                planned = plan_request(resolved, base, request, cache, approve, is_applied=True)
            if broken is not None:
                raise undone(broken, planned.plan)
            head, executed = base.head, Executed()
            if not planned.plan.is_empty:
                executed = workflow.execute_plan(
                    planned,
                    store,
                    staging=views.staging,
                    request=request,
                    cache=cache,
                    observer=observer,
                )
                head = publish(planned, executed, store, base=base.head, request=request)
                show(
                    views,
                    head,
                    again=changed_ids(planned, executed),
                    is_new=head.number != base.head.number,
                )
                if not executed.failures:
                    seconds = time.perf_counter() - started
                    keep_run(store.caches, planned.plan, seconds=seconds)
            # Not before: this run takes over what they computed, and deleting files is slow.
            store.remove_dead_runs()
            return summary_of(planned, executed, base.head, head, started=started)


def _checks(expected: Plan | None, approve: Approve | None) -> Approve:
    """Return an approval that compares a plan with the expected one first."""

    def check(planned: PlannedSpecs) -> None:
        plan_id = planned.plan.plan_id
        if expected is not None and plan_id != expected.plan_id:
            raise StalePlanError(
                f"the plan is `{plan_id[:8]}`, expected `{expected.plan_id[:8]}`: the specs, the "
                "sources, the options or the store changed since it was made",
                hint="nothing was done; make the plan again and review it",
            )
        if approve is not None:
            approve(planned)

    return check


def resolve_request(request: Request, cache: SourceCache) -> ResolvedSpecs:
    """Return what the specs of a request declare, resolved."""
    resolve_all = partial(
        resolve,
        workers=request.workers,
        cache=cache,
        rehash=request.rehash,
        meanwhile=_load_what_executes,
    )
    with planning():
        return resolve_specs(request, resolve_all, cache=cache, images=cache)


def plan_request(
    resolved: ResolvedSpecs,
    base: Base,
    request: Request,
    cache: SourceCache,
    approve: Approve,
    *,
    is_applied: bool = False,
    checks_bands: bool = True,
) -> PlannedSpecs:
    """Return the plan, if it is approved and nothing in it is refused."""
    with planning():
        planned = plan_resolved(
            resolved,
            base,
            request=request,
            cache=cache,
            is_applied=is_applied,
            checks_bands=checks_bands,
        ).estimated(base)
    log_plan(planned)
    approve(planned)
    if len(planned.plan.refusals) == len(planned.refused):
        refuse_failed(planned.refused)
    if planned.plan.refusals:
        is_protected = any(
            change.blocked and change.op is Op.DELETE for change in planned.plan.changed
        )
        two = (
            "; to delete a protected asset, apply twice: first with `lifecycle: {protect: false}`, "
            "then without its spec"
        )
        raise ProtectedError(
            "; ".join(planned.plan.refusals),
            hint=f"nothing was done{two if is_protected else ''}",
        )
    return planned


def changed_ids(planned: PlannedSpecs, executed: Executed) -> set[str]:
    """Return the ids of the assets that a run changed."""
    changed = {one.id for one in planned.plan.changed}
    return changed - {failure.id for failure in executed.failures}


def summary_of(
    planned: PlannedSpecs, executed: Executed, base: Head, head: Head, *, started: float
) -> ApplySummary:
    """Return what a run did that has made one head from another."""
    wanted = {change.id for change in planned.plan.changes}
    wanted -= {failure.id for failure in executed.failures}
    stored = sum(entry.tiles for entry in head.tree.entries if entry.id in wanted)
    written = executed.written
    seconds = time.perf_counter() - started
    for warning in executed.warnings:
        _LOG.warning("%s", warning)
    _LOG.info("apply ends after %.1f s: %d tiles written", seconds, written)
    return ApplySummary(
        plan=planned.plan,
        commit=head.digest if head.number != base.number else None,
        content_root=root_of(head),
        tiles=TileTotals(written=written, reused=max(0, stored - written), empty=executed.empty),
        rows=executed.rows,
        blocks=executed.blocks,
        bytes=ByteTotals(read=executed.bytes_read, written=executed.bytes_written),
        seconds=seconds,
        failures=(*planned.resolved.failures, *executed.failures),
        checks=executed.checks,
        warnings=executed.warnings,
    )


def _load_what_executes() -> None:
    """Load what new sources will need, while other threads probe them."""
    import_module("geobatch.workflow.execution")
    import_module("geobatch.views.store_views")
