"""Published assets in `zarr/` and `parquet/`: repaired before a run, updated after it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from geobatch.errors import InterruptedRunError, StoreError
from geobatch.logs import Logger
from geobatch.model.plans.plan import Plan
from geobatch.model.published import Head
from geobatch.model.shortened import shortened
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore

if TYPE_CHECKING:
    from geobatch.views.zarr.staging import Ahead

_LOG = Logger(__name__)
_HINT = "run the same command again: it completes the tree"


def repair_views(store: TileStore, head: Head, *, cache: SourceCache) -> StoreError | None:
    """Complete what a killed run left; return the error if that fails: planning comes first.

    Raises:
        InterruptedRunError: The user stopped the run.
    """
    from geobatch.views.zarr.tree import sync  # noqa: PLC0415 - loads codecs

    try:
        change = sync(store, head=head, cache=cache, is_lenient=True)
    except KeyboardInterrupt:
        raise _interrupted("nothing was published") from None
    except StoreError as error:
        return error
    if change.assets:
        _LOG.warning("repaired the files that show %s", shortened(", ".join(change.assets), 500))
    for damage in change.damaged.values():
        _LOG.warning("%s", damage)
    return None


def show(
    store: TileStore,
    head: Head,
    *,
    cache: SourceCache,
    ahead: Ahead | None,
    again: Collection[str],
    is_new: bool,
) -> None:
    """Update `zarr/` and `parquet/` to a head.

    Args:
        store: The store.
        head: What to show.
        cache: Facts about folders of the tree.
        ahead: Folders of new assets that wait to be moved into the tree.
        again: Assets whose folders are made again.
        is_new: Whether this run published the head.

    Raises:
        InterruptedRunError: The user stopped the run; it says whether a commit is published.
        StoreError: The tree cannot be updated; it says whether a commit is published.
    """
    from geobatch.views.zarr.tree import sync  # noqa: PLC0415 - loads codecs

    try:
        sync(store, head=head, ahead=ahead, cache=cache, again=again, is_thorough=not is_new)
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
