"""Published assets in `zarr/` and `parquet/`: repaired before a run, updated after it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import geobatch.views
from geobatch.errors import InterruptedRunError, StoreError
from geobatch.logs import Logger
from geobatch.model.plans.plan import Plan
from geobatch.model.published import Head
from geobatch.model.text.shortened import shortened
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore

if TYPE_CHECKING:
    from geobatch.views.protocol import ViewChange
    from geobatch.views.store_views import StoreViews

_LOG = Logger(__name__)
_HINT = "run the same command again: it completes the tree"


def open_views(store: TileStore, *, cache: SourceCache) -> StoreViews:
    """Return the views of a store; the cache keeps facts about their folders."""
    return geobatch.views.StoreViews(store, cache=cache)


def repair_views(views: StoreViews, head: Head) -> StoreError | None:
    """Complete what a killed run left; return the error if that fails: planning comes first.

    Raises:
        InterruptedRunError: The user stopped the run.
    """
    try:
        change = views.update(head, is_lenient=True)
    except KeyboardInterrupt:
        raise _interrupted("nothing was published") from None
    except StoreError as error:
        return error
    if change.assets:
        _LOG.warning("repaired the files that show %s", shortened(", ".join(change.assets), 500))
    for damage in change.damaged.values():
        _LOG.warning("%s", damage)
    _warn_of_refused(change)
    return None


def show(views: StoreViews, head: Head, *, again: Collection[str], is_new: bool) -> None:
    """Update `zarr/` and `parquet/` to a head.

    Args:
        views: The views of the store.
        head: What to show.
        again: Assets whose folders are made again.
        is_new: Whether this run published the head.

    Raises:
        InterruptedRunError: The user stopped the run; it says whether a commit is published.
        StoreError: The tree cannot be updated; it says whether a commit is published.
    """
    try:
        _warn_of_refused(views.update(head, again=again, is_thorough=not is_new))
    except KeyboardInterrupt:
        raise _interrupted(
            f"commit {head.number} is published" if is_new else "nothing was published"
        ) from None
    except StoreError as error:
        if not is_new:
            raise
        raise StoreError(
            f"commit {head.number} (`{head.digest}`) is published, but the Zarr tree could not be "
            f"updated: {error.message}",
            hint=_HINT,
        ) from error


def _warn_of_refused(change: ViewChange) -> None:
    for name, why in change.refused.items():
        _LOG.warning("`%s` is not shown: %s", name, why)


def undone(error: StoreError, plan: Plan) -> StoreError:
    """Return the error of views that could not be repaired, with what the run did: nothing."""
    if plan.is_empty:
        said = "nothing was to be done, every asset is as declared"
    else:
        said = "nothing was done and nothing was published"
    error.message = f"{said}; {error.message}"
    error.args = (error.message,)
    return error


def _interrupted(published: str) -> InterruptedRunError:
    return InterruptedRunError(
        f"interrupted while the Zarr tree was being updated; {published}", hint=_HINT
    )
