"""Specs to a plan: load, resolve, plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from geobatch.declare.loading.garbage import without_collecting
from geobatch.errors import InterruptedRunError
from geobatch.logs import Logger
from geobatch.model.plans.plan import Options, Plan
from geobatch.resolve import resolve
from geobatch.store.caches.cache import SourceCache
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.tilestore import TileStore
from geobatch.workflow.planning.planned_specs import PlannedSpecs, plan_resolved
from geobatch.workflow.request import DEFAULT_STORE, Base, Paths, Request
from geobatch.workflow.resolved_specs import resolve_specs

_LOG = Logger(__name__)


def plan(
    paths: Paths,
    *,
    store: StoreText = DEFAULT_STORE,
    workers: int | None = None,
    rehash: bool = False,
    options: Options | None = None,
) -> Plan:
    """Return what `apply` would do with some specs. Nothing but the cache of the store is written.

    Args:
        paths: A spec file or a folder of them, or several.
        store: Folder or url of the store (`s3://bucket/prefix`); it need not exist.
        workers: Threads that probe sources; by default one per processor.
        rehash: Whether to read every source, also those whose stat did not change.
        options: What to cover; by default all assets, and no deletion.

    Returns:
        The plan: `plan.is_empty` if there is nothing to do, else what `plan.changes` lists.

    Raises:
        SpecError: The specs are wrong; it names every problem of every file.
        SourceError: A source is missing or cannot be read.
        PlanError: The sources do not fit together, or a pattern of `options` matches no asset.
        InterruptedRunError: The user stopped the run.
        StoreError: The store cannot be read.
        ValueError: An argument is wrong.
    """
    request = Request.of(paths, store=store, workers=workers, rehash=rehash, options=options)
    return plan_specs(request).plan


@without_collecting()
def plan_specs(request: Request) -> PlannedSpecs:
    """Return a plan with its inputs; for the errors see `plan`."""
    with SourceCache(request.store) as cache, planning():
        resolve_all = partial(resolve, workers=request.workers, cache=cache, rehash=request.rehash)
        resolved = resolve_specs(request, resolve_all, cache=cache, images=cache)
        with open_base(request.store) as base:
            planned = plan_resolved(resolved, base, request=request, cache=cache).estimated(base)
    log_plan(planned)
    return planned


def log_plan(planned: PlannedSpecs) -> None:
    """Log a plan and its warnings."""
    _LOG.info("%r", planned.plan)
    for warning in planned.warnings:
        _LOG.warning("%s", warning)


@contextmanager
def open_base(location: StoreLocation) -> Iterator[Base]:
    """Open the published state of the store at a location, if there is one."""
    if not location.has_store():
        yield Base()
        return
    store = TileStore.open(location)
    try:
        yield Base(store=store, head=store.head())
    finally:
        store.close()


@contextmanager
def planning() -> Iterator[None]:
    """Report what an interrupt means while sources are probed and a plan is made."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRunError(
            "interrupted while the plan was made; nothing was done",
            hint="run the same command again; if the store exists, it has cached what was read",
        ) from None
