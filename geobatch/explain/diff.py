"""What differs between two published states: assets, how they were resolved, and their tiles."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import PlanError
from geobatch.explain.reasons import Tables, no_tables, reasons_between
from geobatch.explain.table_diff import TableDiff, table_diff
from geobatch.explain.target import Target, listed
from geobatch.model.assets.asset import Asset, Table
from geobatch.model.plans.plan import Because, Op, Reason
from geobatch.model.published import ArrayKey, AssetRecord, TreeEntry
from geobatch.model.tile import TileKey
from geobatch.store.commits.renames import renames
from geobatch.store.tile_diff import differing, side_of
from geobatch.store.tilestore import TileStore

_OPS = (Op.CREATE, Op.UPDATE, Op.DELETE)


class ArrayDiff(Struct, frozen=True, kw_only=True):
    """How the tiles of one array differ."""

    key: ArrayKey
    """Which array."""
    added: int = 0
    """Tiles that only the second state has."""
    changed: int = 0
    """Tiles whose pixels differ."""
    removed: int = 0
    """Tiles that only the first state has."""
    is_comparable: bool = True
    """Whether the planes of tiles are the same; else all are removed, and all added."""


class AssetDiff(Struct, frozen=True, kw_only=True):
    """How one asset differs."""

    id: str
    """Asset id in the second state; in the first, where it is removed."""
    op: Op
    """Added, removed, updated or renamed; KEEP where two assets are equal."""
    because: tuple[Because, ...] = ()
    """What was resolved differently; only for an update."""
    arrays: tuple[ArrayDiff, ...] = ()
    """Arrays that differ, sorted by key."""
    table: TableDiff | None = None
    """How its rows differ, if it is a table in either state."""
    before: TreeEntry | None = None
    """Entry in the first state."""
    after: TreeEntry | None = None
    """Entry in the second state."""


class StateDiff(Struct, frozen=True, kw_only=True):
    """How two commits, or two assets, differ."""

    a: Target
    """The first state."""
    b: Target
    """The second state."""
    assets: tuple[AssetDiff, ...]
    """Assets that differ, sorted by id."""
    unchanged: int
    """How many assets do not."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        return not self.assets

    def count(self, op: Op) -> int:
        """Return how many assets were added, removed, updated or renamed."""
        return sum(1 for asset in self.assets if asset.op is op)


class TileChange(Struct, frozen=True, kw_only=True):
    """One tile that differs."""

    key: TileKey
    """Which."""
    op: Op
    """Added (CREATE), removed (DELETE), or with other pixels (UPDATE)."""


def compare(store: TileStore, a: Target, b: Target, *, tables: Tables = no_tables) -> StateDiff:
    """Return how two states differ; of equal subtrees nothing is read.

    Args:
        store: The store.
        a: The first state.
        b: The second state.
        tables: What is remembered of sources.

    Raises:
        NotFoundError: A commit has no such asset.
        PlanError: Two assets of different names lie on planes that cannot be compared.
        CorruptObjectError: A document or an index page is damaged.
    """
    if a.asset is not None:
        if a.asset != b.asset:
            _check_planes(store.record(a.entry).asset, store.record(b.entry).asset)
        one = _asset_diff(store, a.entry, b.entry, tables)
        is_equal = one.op is Op.KEEP
        assets = () if is_equal else (one,)
        return StateDiff(a=a, b=b, assets=assets, unchanged=int(is_equal))
    found = a.head.tree.differences(b.head.tree)
    names = renames(store, a.head, b.head)
    for name in {*names, *names.values()} - found.keys():
        found[name] = a.head.tree.entry(name), b.head.tree.entry(name)
    old = {name: entry for name, (entry, _) in found.items() if entry is not None}
    new = {name: entry for name, (_, entry) in found.items() if entry is not None}
    taken = {now: old[was] for now, was in names.items() if now in new and was in old}
    for entry in taken.values():
        del old[entry.id]
    sides: list[tuple[str, TreeEntry | None, TreeEntry | None]] = [
        (name, taken.get(name) or old.get(name), entry) for name, entry in new.items()
    ]
    sides += [(name, old[name], None) for name in old if name not in new or name in taken]
    sides.sort(key=lambda side: side[0])
    differing = [(before, after) for _, before, after in sides if before != after]
    return StateDiff(
        a=a,
        b=b,
        assets=tuple(
            _as_rename(_asset_diff(store, before, after, tables)) for before, after in differing
        ),
        unchanged=b.head.tree.count - sum(after is not None for _, after in differing),
    )


def changed_tiles(store: TileStore, asset: AssetDiff) -> Iterator[TileChange]:
    """Yield the tiles that differ, array by array.

    Raises:
        CorruptObjectError: A document or an index page is damaged.
    """
    old, new = records_of(store, asset)
    for array in asset.arrays:
        yield from array_tiles(store, old, new, array.key)


def array_tiles(
    store: TileStore, old: AssetRecord | None, new: AssetRecord | None, key: ArrayKey
) -> Iterator[TileChange]:
    """Yield the tiles of one array that differ, or that one of two records lacks.

    Raises:
        CorruptObjectError: An index page is damaged.
    """
    for op, places in zip(_OPS, differing(store, old, new, key), strict=True):
        for row, col in places:
            yield TileChange(key=TileKey(key, int(row), int(col)), op=op)


def records_of(store: TileStore, asset: AssetDiff) -> tuple[AssetRecord | None, AssetRecord | None]:
    """Return the records of an asset in both states.

    Raises:
        CorruptObjectError: A document is damaged.
    """
    return (
        None if asset.before is None else store.record(asset.before),
        None if asset.after is None else store.record(asset.after),
    )


def _asset_diff(
    store: TileStore, before: TreeEntry | None, after: TreeEntry | None, tables: Tables
) -> AssetDiff:
    entry = after or before
    if entry is None:
        raise ValueError("an asset of neither state")
    old = None if before is None else store.record(before)
    new = None if after is None else store.record(after)
    table = table_diff(old, new)
    if old is not None and new is not None:
        because = reasons_between(old.asset, new.asset, tables=tables)
        arrays = _array_diffs(store, old, new)
        is_other = _differ(before, after) or (table is not None and not table.is_empty)
        op = Op.UPDATE if because or arrays or is_other else Op.KEEP
    else:
        because, arrays = (), _array_diffs(store, old, new)
        op = Op.CREATE if old is None else Op.DELETE
    return AssetDiff(
        id=entry.id,
        op=op,
        because=because,
        arrays=arrays,
        table=table,
        before=before,
        after=after,
    )


def _as_rename(asset: AssetDiff) -> AssetDiff:
    """Return the difference of one asset in two commits as a rename, where it is one."""
    before, after = asset.before, asset.after
    if before is None or after is None or before.id == after.id:
        return asset
    told = Because(reason=Reason.RENAMED, path=after.id, detail=f"from {before.id}")
    return replace(asset, op=Op.RENAME, because=(told, *asset.because))


def _differ(before: TreeEntry | None, after: TreeEntry | None) -> bool:
    """Return whether entries of one name differ; between two names, the names always do."""
    return before is not None and after is not None and before.id == after.id and before != after


def _check_planes(old: Asset, new: Asset) -> None:
    """Refuse to compare two assets tile by tile where tiles are not the same squares."""
    if isinstance(old, Table) or isinstance(new, Table):
        return  # tables have no tiles
    if old.tile != new.tile:
        raise PlanError(
            f"`{old.id}` has tiles of {old.tile} pixels and `{new.id}` of {new.tile}: they cannot"
            " be compared tile by tile",
            hint="give both the same `tiling.tile`",
        )
    names = {band.id for band in old.bands}
    if names.isdisjoint(band.id for band in new.bands):
        raise PlanError(
            f"`{old.id}` and `{new.id}` have no band of the same name: {listed(names)}"
            f" and {listed(band.id for band in new.bands)}",
        )
    for band in new.bands:
        if band.id not in names:
            continue
        other = old.band(band.id)
        was, now = old.grid(other.grid).geobox, new.grid(band.grid).geobox
        if was.shape != now.shape:
            raise PlanError(
                f"band `{band.id}` has {was.height} x {was.width} pixels in `{old.id}` and"
                f" {now.height} x {now.width} in `{new.id}`: they cannot be compared",
                hint="the same `grid.bounds` gives assets the same grid",
            )


def _array_diffs(
    store: TileStore, old: AssetRecord | None, new: AssetRecord | None
) -> tuple[ArrayDiff, ...]:
    keys = {key for record in (old, new) if record is not None for key, _ in record.arrays}
    found = (_array_diff(store, old, new, key) for key in sorted(keys))
    return tuple(diff for diff in found if diff.added or diff.changed or diff.removed)


def _array_diff(
    store: TileStore, old: AssetRecord | None, new: AssetRecord | None, key: ArrayKey
) -> ArrayDiff:
    before, after = side_of(old, key), side_of(new, key)
    if before is not None and after is not None and before.is_like(after):
        diff = store.index.diff(before.plane, before.root, after.root)
        return ArrayDiff(
            key=key, added=len(diff.added), changed=len(diff.changed), removed=len(diff.removed)
        )
    counts = [
        0 if side is None or side.root is None else side.root.tiles for side in (before, after)
    ]
    return ArrayDiff(
        key=key,
        added=counts[1],
        removed=counts[0],
        is_comparable=before is None or after is None,
    )
