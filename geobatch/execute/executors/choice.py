"""Which executors suit a plan."""

from __future__ import annotations

from collections.abc import Sequence

from geobatch.execute import executors
from geobatch.execute.executors.protocol import Executor, Share
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.model.assets.asset import Image
from geobatch.model.plans.plan import AssetChange, Start
from geobatch.sources.registry import drivers_of

_MANY = 600
"""Assets from which it may pay to start processes."""
_WORTH = 300
"""Images that another process should have to compute."""
_MOST_TILES = 64
"""Tiles of an image that is small: threads share larger ones well."""


def shares_of(
    changes: Sequence[AssetChange], *, workers: int, executor: Executor | None = None
) -> tuple[Share, ...]:
    """Return which changes are carried out by which executor, one share after the other.

    Many new images of few tiles are computed in processes, all else on threads.

    Args:
        changes: What is to be done.
        workers: Tasks that are run at a time.
        executor: What runs all tasks, if the choice was made.
    """
    if executor is not None:
        return ((executor, tuple(changes)),)
    small = [change for change in changes if _is_small(change)]
    others = min(workers - 1, len(small) // _WORTH)
    if others < 1 or sum(change.asset is not None for change in changes) < _MANY:
        return ((ThreadExecutor(workers), tuple(changes)),)
    ids = {change.id for change in small}
    rest = tuple(change for change in changes if change.id not in ids)
    return ((executors.ProcessExecutor(others + 1), tuple(small)), (ThreadExecutor(workers), rest))


def _is_small(change: AssetChange) -> bool:
    """Return whether a change is a new image of few tiles, from sources that a process can read."""
    asset = change.asset
    return (
        isinstance(asset, Image)
        and change.tiles.total <= _MOST_TILES
        and (change.is_taken_over or not change.carried)
        and all(work.base is None and work.start is Start.SOURCES for work in change.work)
        and all(one.is_portable and not one.is_streamed for one in drivers_of(asset))
        # Their blocks are remembered by this process.
        and not any(one.remote for tileset in asset.tilesets for one in tileset.sources)
    )
