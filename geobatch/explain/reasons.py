"""Why two published assets differ, and which blocks of their sources, where that is remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec.structs import replace

from geobatch.model.assets.asset import Asset, Raster
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import Because, Reason
from geobatch.model.sources.blocks import BlockTable, changed_blocks
from geobatch.planner import because_of, changed_sources

Tables: TypeAlias = Callable[[Digest], BlockTable | None]
"""Gives the block table of a source, where it is remembered."""


def no_tables(_: Digest) -> BlockTable | None:
    """Remember nothing."""
    return None


def reasons_between(old: Asset, new: Asset, *, tables: Tables = no_tables) -> tuple[Because, ...]:
    """Return what was resolved differently for two assets; their ids do not matter.

    Args:
        old: The first asset.
        new: The second asset.
        tables: What is remembered of their sources.
    """
    renamed = replace(new, id=old.id)
    if asset_fingerprint(renamed) == asset_fingerprint(old):
        return ()
    before = {one.id: one for one in old.tilesets} if isinstance(old, Raster) else {}
    pairs = [
        (was.digest, now.digest)
        for tileset in (new.tilesets if isinstance(new, Raster) else ())
        if tileset.id in before
        for was, now in changed_sources(before[tileset.id].sources, tileset.sources)
        if was is not None and now is not None
    ]
    blocks = changed_blocks(pairs, tables)
    return tuple(
        # Without tables it is unknown how much of a source changed: omit it.
        replace(because, detail="")
        if because.reason is Reason.SOURCE_CHANGED and not blocks and not new.is_external
        else because
        for because in because_of(renamed, old, blocks)
    )
