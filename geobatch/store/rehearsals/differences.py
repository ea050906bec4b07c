"""Which tiles a rehearsed plan changes: exact, by content digests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from msgspec import Struct

from geobatch.model.assets.asset import AnyImage, Band, Image, Table
from geobatch.model.digest import Json
from geobatch.model.plans.plan import AssetChange, Plan
from geobatch.model.published import ArrayKey, AssetRecord, Tree
from geobatch.store.pages.places import Places
from geobatch.store.tile_diff import differing, side_of
from geobatch.store.tilestore import TileStore


class RehearsedAsset(Struct, frozen=True, kw_only=True):
    """An image that a plan computed, and what is published of it."""

    change: AssetChange
    """What the plan does."""
    before: AssetRecord | None
    """The image as it is published, maybe under its former id; None if it is new."""
    after: AssetRecord
    """The image as it was computed."""

    def is_comparable(self, band: Band) -> bool:
        """Return whether both states have a band, with the same squares of pixels as tiles."""
        key = ArrayKey(band=band.id, level=0)
        was, now = side_of(self.before, key), side_of(self.after, key)
        return was is not None and now is not None and was.is_like(now)


def rehearsed_assets(
    store: TileStore, plan: Plan, *, base: Tree, tree: Tree
) -> Iterator[RehearsedAsset]:
    """Yield the images that a plan computed, with their states before and after.

    Args:
        store: The store.
        plan: The plan.
        base: What is published.
        tree: What the plan is going to publish.

    Raises:
        CorruptObjectError: A document is damaged.
    """
    old = {entry.id: entry for entry in base.entries}
    new = {entry.id: entry for entry in tree.entries}
    for change in plan.changed:
        if not isinstance(change.asset, Image) or change.id not in new:
            continue
        entry = old.get(change.previous_id or change.id)
        was = None if entry is None else store.record(entry)
        if was is not None and (isinstance(was.asset, Table) or was.asset.is_external):
            was = None  # of which no pixels are left to compare with
        yield RehearsedAsset(change=change, before=was, after=store.record(new[change.id]))


def level_counts(store: TileStore, asset: RehearsedAsset) -> list[Json]:
    """Return how many tiles of each level were planned, and how many of them differ.

    Values and masks are counted, as in plans.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    planned = asset.change.tiles.by_level
    different = [0] * max(len(planned), *(grid.level_count for grid in asset.after.image.grids))
    for band in asset.after.image.bands:
        for key in _keys(asset.after.image, band):
            different[key.level] += len(_positions(store, asset, key))
    counts = zip(planned + (0,) * (len(different) - len(planned)), different, strict=True)
    return [
        {"level": level, "tiles": tiles, "different": found}
        for level, (tiles, found) in enumerate(counts)
    ]


def differing_rows(store: TileStore, asset: RehearsedAsset) -> Iterator[dict[str, Json]]:
    """Yield a row for each tile of an image that differs, as `plan_json.tile_rows` does.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    for band in asset.after.image.bands:
        for key in _keys(asset.after.image, band):
            for row, col in _positions(store, asset, key).tolist():
                yield {
                    "asset": asset.change.id,
                    "band": band.id,
                    "level": key.level,
                    "row": row,
                    "col": col,
                    "is_mask": key.is_mask,
                }


def _keys(image: AnyImage, band: Band) -> Iterator[ArrayKey]:
    for level in range(image.grid(band.grid).level_count):
        yield ArrayKey(band=band.id, level=level)
        if band.has_mask(level):
            yield ArrayKey(band=band.id, level=level, is_mask=True)


def _positions(store: TileStore, asset: RehearsedAsset, key: ArrayKey) -> Places:
    """Return (row, column) of the tiles of an array that differ, sorted.

    If tiles cover other squares than before, these are all tiles of the new array.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    was, now = side_of(asset.before, key), side_of(asset.after, key)
    is_like = was is not None and now is not None and was.is_like(now)
    added, changed, removed = differing(store, asset.before if is_like else None, asset.after, key)
    found = np.concatenate([added, changed, removed])
    return found[np.lexsort((found[:, 1], found[:, 0]))]
