"""An earlier state published again, and shown: plan, approve, publish, update the views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress

from msgspec import Struct

from geobatch.errors import StoreError
from geobatch.logs import Logger
from geobatch.model.published import Head
from geobatch.store.caches.asset_list import keep_rows
from geobatch.store.caches.cache import SourceCache
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.maintenance.rollback import RollbackPlan, plan_rollback, publish_rollback
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.tilestore import TileStore
from geobatch.versions import VERSION
from geobatch.workflow.publication import locate
from geobatch.workflow.views import open_views, repair_views, show

_LOG = Logger(__name__)

Agree = Callable[[RollbackPlan], bool]
"""Receives what is about to be done, and returns whether to do it; may raise an error."""


class RolledBack(Struct, frozen=True, kw_only=True):
    """What a rollback did."""

    plan: RollbackPlan
    """What was planned."""
    head: Head
    """The newest commit now."""
    is_done: bool
    """Whether a commit was published."""


def rollback(
    location: StoreText,
    commit: str,
    names: Sequence[str] = (),
    *,
    agree: Agree = lambda _: True,
    is_dry_run: bool = False,
) -> RolledBack:
    """Publish an earlier state of a store again, as a new commit.

    Args:
        location: Folder or url of the store.
        commit: The earlier commit: digest, prefix, number, `HEAD~1`.
        names: Assets and folders of assets to roll back; empty for everything.
        agree: Receives the plan before anything is done.
        is_dry_run: Whether nothing is done, whatever is agreed; the store may be read-only.

    Raises:
        NotFoundError: There is no such commit or asset.
        ProtectedError: A protected asset would be deleted.
        ConflictError: Another process published since the plan was made.
        CorruptObjectError: Something that the earlier state needs is damaged or missing.
        StoreError: The store cannot be used; or it is published, and the views are not updated.
    """
    place = StoreLocation.of(location)
    with closing(TileStore.open(place)) as store:
        if not is_dry_run:
            store.begin()  # from now on, no `gc` deletes what the plan finds
        plan = plan_rollback(store, commit, names)
        is_agreed = agree(plan) and not is_dry_run
        plan.check_allowed()
        if not is_agreed:
            return RolledBack(plan=plan, head=plan.base, is_done=False)
        with SourceCache(place) as cache:
            settle(store)
            views = open_views(store, cache=cache)
            broken = repair_views(views, plan.base)  # also if nothing changes, as of a killed run
            if broken is not None:
                raise StoreError(
                    f"nothing was published; {broken.message}", hint=broken.hint
                ) from broken
            head = plan.base
            if not plan.is_empty:
                head = _publish(store, plan)
                show(views, head, again={change.id for change in plan.changes}, is_new=True)
        store.remove_dead_runs()
        return RolledBack(plan=plan, head=head, is_done=not plan.is_empty)


def _publish(store: TileStore, plan: RollbackPlan) -> Head:
    head = publish_rollback(store, plan, tools={"geobatch": VERSION})
    _LOG.info("published commit %d (%s): %s", head.number, head.digest, plan.message)
    with suppress(StoreError):  # of a listing, which is made again when it is asked for
        keep_rows(store, [head.tree], {}, {}, locate=locate)
    return head
