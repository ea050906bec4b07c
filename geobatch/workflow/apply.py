"""Specs to a published commit: load, resolve, plan, execute, publish, show."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from geobatch import workflow
from geobatch.errors import StalePlanError
from geobatch.logs import Logger
from geobatch.model.observer import Observer, SilentObserver
from geobatch.model.plans.plan import Options, Plan
from geobatch.model.plans.summary import ApplySummary
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.run_times import keep_run
from geobatch.store.location import StoreText
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.tilestore import TileStore
from geobatch.workflow import rehearsal
from geobatch.workflow.executed import Executed
from geobatch.workflow.planning.planned_specs import PlannedSpecs
from geobatch.workflow.publication import publish
from geobatch.workflow.request import DEFAULT_STORE, Base, Paths, Request
from geobatch.workflow.stages import (
    Approve,
    changed_ids,
    plan_request,
    resolve_request,
    summary_of,
)
from geobatch.workflow.views import open_views, repair_views, show, undone

if TYPE_CHECKING:
    from geobatch.workflow.rehearsal.rehearse import Rehearsed

_LOG = Logger(__name__)


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
