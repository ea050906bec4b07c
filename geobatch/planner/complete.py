"""Completes planned changes: replacements, deletions, refusals, counts of tiles."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType

from msgspec.structs import replace

from geobatch.model.assets.asset import Asset, Table
from geobatch.model.assets.fingerprint import asset_fingerprint
from geobatch.model.digest import Digest, digest_json
from geobatch.model.plans.plan import AssetChange, Because, Changes, Op, Plan, Reason
from geobatch.model.published import AssetRecord, Head
from geobatch.planner.because import because_of
from geobatch.planner.dirty import Blocks, changed_sources
from geobatch.planner.extent import extent
from geobatch.planner.moves import rename
from geobatch.planner.risks import risks
from geobatch.planner.selection import Choice, refusals


def complete(
    made: Plan,
    choice: Choice,
    *,
    base: Head,
    records: Mapping[str, AssetRecord],
    declared: Collection[str],
    deleted: Sequence[AssetChange] = (),
    moved: Mapping[str, str] = MappingProxyType({}),
    foreign: Mapping[str, str] = MappingProxyType({}),
    blocks: Blocks = MappingProxyType({}),
    max_delete: str | None = None,
    unseen: Sequence[str] = (),
) -> Plan:
    """Return a plan with everything that its choice requests.

    Args:
        made: The plan of the choice's resolution against the choice's base.
        choice: What the plan covers.
        base: The published state; it and the choice's, as `renamed_head` gives it.
        records: Published records, at least of every asset that is updated or deleted.
        declared: Ids of all declared assets, those that could not be resolved among them.
        deleted: Deletions.
        moved: Former id of each asset that is published under it.
        foreign: Spec files that were not given and may declare a former id still, by that id.
        blocks: What is known of sources whose bytes changed.
        max_delete: How much may be deleted.
        unseen: Why assets that would be deleted may not be gone.

    Raises:
        KeyError: A needed record is missing.
    """
    changes = []
    for change in sorted(_compared(made, moved), key=attrgetter("id")):
        whole = change if change.asset is None else _complete(change, choice, records, blocks)
        if change.id in moved:
            before = records[change.id].asset
            old = moved[change.id]
            whole = rename(whole, previous_id=old, before=before, foreign=foreign)
        changes.append(whole)
    changes = [_judged(change, records) for change in (*changes, *deleted)]
    renames = [[change.id, change.previous_id] for change in changes if change.previous_id]
    # The planner's id covers the fingerprints; the other inputs of the plan are added.
    extra = [sorted(choice.replaced), sorted([c.id, c.fingerprint] for c in deleted), renames]
    return replace(
        made,
        plan_id=digest_json([made.plan_id, *extra]) if any(extra) else made.plan_id,
        changes=Changes(changes, (name for name in made.kept if name not in moved)),
        refusals=(*refusals(changes, base=base, max_delete=max_delete), *unseen),
        not_selected=choice.not_selected,
        undeclared=_undeclared(base, declared, deleted),
    )


def _compared(made: Plan, moved: Mapping[str, str]) -> Iterator[AssetChange]:
    """Yield what changes, also what is kept but for its name."""
    yield from made.changed
    if moved:
        yield from (AssetChange(id=name, op=Op.KEEP) for name in made.kept if name in moved)


def _undeclared(
    base: Head, declared: Collection[str], deleted: Sequence[AssetChange]
) -> tuple[str, ...]:
    going = {change.id for change in deleted}
    ids = (entry.id for entry in base.tree.entries)
    return tuple(name for name in ids if name not in declared and name not in going)


def _complete(
    change: AssetChange,
    choice: Choice,
    records: Mapping[str, AssetRecord],
    blocks: Blocks,
) -> AssetChange:
    record = records.get(change.id)
    if change.id in choice.replaced:
        change = _replaced(change, record)
    if record is None:
        return replace(change, tiles=replace(change.tiles, add=change.tiles.compute))
    return _counted(change, record, blocks)


def _judged(change: AssetChange, records: Mapping[str, AssetRecord]) -> AssetChange:
    """Return a change with where it is, and with what a reviewer should check carefully."""
    if change.op is Op.KEEP:
        return change
    before = records[change.id].asset if change.id in records else None
    return replace(change, extent=extent(change, before), risks=tuple(risks(change, before)))


def _replaced(change: AssetChange, record: AssetRecord | None) -> AssetChange:
    """Return a creation as an update: the same work, for an asset that exists.

    Its record is None if the document is damaged.
    """
    asked = Because(reason=Reason.REPLACE_REQUESTED, path=change.id)
    asset = change.asset
    is_same = record is None or asset_fingerprint(record.asset) == change.fingerprint
    if asset is None or record is None or is_same:
        because: tuple[Because, ...] = (asked,)
    else:
        because = (asked, *because_of(asset, record.asset))
    return replace(change, op=Op.UPDATE, because=because, is_replaced=True)


def _counted(change: AssetChange, record: AssetRecord, blocks: Blocks) -> AssetChange:
    asset, before = change.asset, record.asset
    if asset is None:
        return change
    # A band of the same name on a plane of the same tiles: each tile replaces one.
    old, new = _planes(before), _planes(asset)
    is_other = asset.kind is not before.kind  # of tiles and COGs, neither replaces the other
    same = {name for name, plane in new.items() if old.get(name) == plane and not is_other}
    add = 0
    for piece in change.work:
        if piece.band not in same:
            band = change.image.band(piece.band)
            levels = piece.dirty(change.image.grid(band.grid).level_count)
            add += sum(
                tiles.count * (1 + band.has_mask(level)) for level, tiles in enumerate(levels)
            )
    remove = sum(
        root.tiles for key, root in record.arrays if root is not None and key.band not in same
    )
    pairs = set() if is_other else set(_changed_sources(asset, before))
    counts = {uri: blocks[was, now].count for was, now, uri in pairs if (was, now) in blocks}
    return replace(
        change,
        tiles=replace(change.tiles, add=add, remove=remove),
        blocks_changed=tuple(sorted(counts.items())),
    )


def _planes(asset: Asset) -> dict[str, tuple[tuple[int, int], int]]:
    """Return the shape in pixels and the side of a tile, by band; a table has no bands."""
    if isinstance(asset, Table):
        return {}
    return {band.id: (asset.grid(band.grid).geobox.shape, asset.tile) for band in asset.bands}


def _changed_sources(asset: Asset, before: Asset) -> Iterator[tuple[Digest, Digest, str]]:
    """Yield (old digest, new digest, uri) of the sources of images whose bytes changed."""
    if isinstance(asset, Table) or isinstance(before, Table):
        return
    old = {tileset.id: tileset for tileset in before.tilesets}
    for tileset in asset.tilesets:
        if tileset.id in old:
            for was, now in changed_sources(old[tileset.id].sources, tileset.sources):
                if was is not None and now is not None:
                    yield was.digest, now.digest, now.uri
