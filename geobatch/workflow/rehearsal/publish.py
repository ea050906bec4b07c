"""A rehearsed plan to a published commit: load, resolve, plan, find what was put, publish, show."""

from __future__ import annotations

import time
from contextlib import closing

from geobatch.errors import (
    StalePlanError,
)
from geobatch.model.plans.summary import ApplySummary
from geobatch.store.caches.cache import SourceCache
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.rehearsals.folders import drop_held
from geobatch.store.tilestore import TileStore
from geobatch.workflow.publication import publish
from geobatch.workflow.rehearsal.results import (
    LostRehearsalError,
    base_of,
    current_time,
    find_executed,
    find_rehearsal,
)
from geobatch.workflow.request import Base, Request
from geobatch.workflow.stages import (
    Approve,
    changed_ids,
    plan_request,
    resolve_request,
    summary_of,
)
from geobatch.workflow.views import open_views, repair_views, show, undone


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
        if not request.store.has_store():
            raise LostRehearsalError("there is no store")
        with closing(TileStore.create(request.store)) as store:
            settle(store)
            rehearsal = find_rehearsal(store, plan_id, now=current_time())
            head, base = store.head(), Base(store=store, head=base_of(store, rehearsal))
            resolved = resolve_request(request, cache)
            cache.save()
            # What an earlier run made of its bands is checked below, with all that was put.
            planned = plan_request(resolved, base, request, cache, approve, checks_bands=False)
            if stated != rehearsal.content_root:
                raise StalePlanError(
                    f"the plan states the content root `{stated}`, but its rehearsal reached "
                    f"`{rehearsal.content_root}`",
                    hint="nothing was done; make a new plan and review it",
                )
            found = find_executed(store, planned.plan, rehearsal, head=base.head)
            executed = found.executed
            views = open_views(store, cache=cache)
            if found.is_untouched:
                views.staging.take_held(
                    plan_id, [entry for entry in executed.changes.values() if entry is not None]
                )
            broken = repair_views(views, head)
            if broken is not None:
                raise undone(broken, planned.plan)
            after = publish(planned, executed, store, base=base.head, request=request)
            is_new = after.digest != head.digest
            show(views, after, again=changed_ids(planned, executed), is_new=is_new)
            if store.backend.local is not None:
                drop_held(store.backend.local, plan_id)
            store.remove_dead_runs()
            return summary_of(planned, executed, head, after, started=started)
