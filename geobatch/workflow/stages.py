"""Stages that an apply and a rehearsal share: resolve a request, plan it, say what was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from importlib import import_module

from geobatch.errors import ProtectedError
from geobatch.logs import Logger
from geobatch.model.plans.plan import Op
from geobatch.model.plans.summary import ApplySummary, ByteTotals, TileTotals
from geobatch.model.published import Head
from geobatch.resolve import resolve
from geobatch.store.caches.cache import SourceCache
from geobatch.store.commits.trees import root_of
from geobatch.workflow.checks import refuse_failed
from geobatch.workflow.executed import Executed
from geobatch.workflow.plan import log_plan, planning
from geobatch.workflow.planning.planned_specs import PlannedSpecs, plan_resolved
from geobatch.workflow.request import Base, Request
from geobatch.workflow.resolved_specs import ResolvedSpecs, resolve_specs

_LOG = Logger(__name__)

Approve = Callable[[PlannedSpecs], object]
"""Receives what is about to be done, and raises an error to prevent it."""


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
