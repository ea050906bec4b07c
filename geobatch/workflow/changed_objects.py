"""Objects that changed: their blocks are read and compared, so that equal ones are not decoded."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Image, Source
from geobatch.model.digest import Digest
from geobatch.model.plans.summary import BlockTotals
from geobatch.model.sources.blocks import BlockTable, changed_blocks
from geobatch.planner import narrowed, source_pairs
from geobatch.sources.driver import Tabulated
from geobatch.sources.reader import Sources
from geobatch.sources.threads import on_threads
from geobatch.store.caches.cache import SourceCache
from geobatch.workflow.planning.planned_specs import PlannedSpecs

_AT_A_TIME = 4
"""Objects that are read at a time; each is read by several requests."""


def without_equal_blocks(
    planned: PlannedSpecs, reader: Sources, cache: SourceCache
) -> tuple[PlannedSpecs, BlockTotals]:
    """Return a plan that computes only tiles of blocks that changed, and what was read for that.

    All blocks of an object whose state changed are fetched, if those of the state that was ingested
    are known. What fails is left to the reads of pixels, which say why.

    Args:
        planned: The plan; where nothing is known of an object, all of its tiles.
        reader: Reads the objects, and keeps the blocks that changed, as far as there is room.
        cache: The block tables of what was ingested; receives those of the new states.
    """
    wanted = [
        (pair, source, before)
        for pair, source in _pairs(planned).items()
        if (before := cache.get_table(pair[0])) is not None and cache.get_table(pair[1]) is None
    ]

    def tabulate(source: Source, before: BlockTable) -> Tabulated:
        try:
            return reader.tabulate(source, before)
        except SourceError:
            return Tabulated(None)

    sources, tables = [one[1] for one in wanted], [one[2] for one in wanted]
    made = on_threads(tabulate, sources, tables, workers=_AT_A_TIME, name="blocks")
    found = {pair: one for (pair, _, _), one in zip(wanted, made, strict=True)}
    for (_, new), one in found.items():
        if one.table is not None:
            cache.put_table(new, one.table)
    if not found:
        return planned, BlockTotals()
    blocks = changed_blocks(found, cache.get_table)
    plan = narrowed(planned.plan, records=planned.records, blocks=blocks, known=planned.bands)
    totals = BlockTotals(
        fetched=sum(one.fetched for one in found.values()),
        equal=sum(one.equal for one in found.values()),
    )
    return replace(planned, plan=plan), totals


def _pairs(planned: PlannedSpecs) -> Mapping[tuple[Digest, Digest], Source]:
    """Return the objects of a plan that replaced another source, or state, in its place."""
    found: dict[tuple[Digest, Digest], Source] = {}
    for change in planned.plan.changed:
        asset, record = change.asset, planned.records.get(change.id)
        if not isinstance(asset, Image) or record is None or not isinstance(record.asset, Image):
            continue
        every = chain.from_iterable(tileset.sources for tileset in asset.tilesets)
        objects = {one.digest: one for one in every if one.remote is not None}
        if objects and not change.is_replaced and not change.blocked:
            pairs = source_pairs(asset, record.asset)
            found |= {pair: objects[pair[1]] for pair in pairs if pair[1] in objects}
    return found
