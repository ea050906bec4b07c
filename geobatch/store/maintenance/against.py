"""Two stores compared by content, from the content roots down to tiles: equal parts are not read.

How tiles are encoded, and where they were ingested from, makes no difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.format.documents import content_root
from geobatch.model.digest import Digest, Json
from geobatch.model.published import ArrayKey, AssetRecord, Head, TreeEntry
from geobatch.store.entries import find_ids
from geobatch.store.index import Entries
from geobatch.store.pages.places import Places
from geobatch.store.tilestore import TileStore

_NAMES = ("id", "name", "band")
"""Members that name the elements of a list."""
_NONE: Places = np.zeros((0, 2), dtype=np.uint32)


class FieldDifference(Struct, frozen=True, kw_only=True):
    """A member of an asset's document that differs."""

    path: str
    """Where it is: `bands.b1.policy`."""
    here: Json
    """Its value in the first store; None if absent."""
    there: Json
    """Its value in the second store."""


class ArrayDifference(Struct, frozen=True, kw_only=True):
    """The tiles of one array that differ, as (row, column)."""

    key: ArrayKey
    """Which array."""
    changed: tuple[tuple[int, int], ...] = ()
    """Tiles with other pixels."""
    only_here: tuple[tuple[int, int], ...] = ()
    """Tiles that only the first store has."""
    only_there: tuple[tuple[int, int], ...] = ()
    """Tiles that only the second store has."""

    @property
    def count(self) -> int:
        """How many tiles differ."""
        return len(self.changed) + len(self.only_here) + len(self.only_there)


class AssetDifference(Struct, frozen=True, kw_only=True):
    """How one asset differs."""

    id: str
    """Asset id."""
    is_here: bool = True
    """Whether the first store has it."""
    is_there: bool = True
    """Whether the second store has it."""
    fields: tuple[FieldDifference, ...] = ()
    """Members of its document that differ."""
    arrays: tuple[ArrayDifference, ...] = ()
    """Arrays that differ, sorted by band and level."""
    problem: str = ""
    """Why it could not be compared further: something is damaged."""


class StoreComparison(Struct, frozen=True, kw_only=True):
    """How two stores differ."""

    here: Head
    """Commit of the first store."""
    there: Head
    """Commit of the second store."""
    roots: tuple[Digest, Digest]
    """Their content roots."""
    assets: tuple[AssetDifference, ...] = ()
    """Assets that differ, sorted by id."""
    equal: int = 0
    """How many are equal."""

    @property
    def is_equal(self) -> bool:
        """Whether no compared asset differs."""
        return not self.assets


def compare_stores(
    here: TileStore, there: TileStore, *, head: Head, names: Sequence[str] = ()
) -> StoreComparison:
    """Return how a commit of a store differs from the newest of another one.

    Args:
        here: The first store.
        there: The second store.
        head: The commit of the first store.
        names: Assets, folders of assets and globs of ids to compare; empty for all.

    Raises:
        NotFoundError: A name matches no asset of either.
        CorruptObjectError: A commit or a tree is damaged.
    """
    other = there.head()
    old = {entry.id: entry for entry in head.tree.entries}
    new = {entry.id: entry for entry in other.tree.entries}
    ids = find_ids(names, {*old, *new}, where="either store")
    found = [
        _asset_difference(here, there, old.get(name), new.get(name))
        for name in sorted(ids)
        if _content(old.get(name)) != _content(new.get(name))
    ]
    return StoreComparison(
        here=head,
        there=other,
        roots=(content_root(head.tree), content_root(other.tree)),
        assets=tuple(found),
        equal=len(ids) - len(found),
    )


def _content(entry: TreeEntry | None) -> Digest | None:
    return None if entry is None else entry.content


def _asset_difference(
    here: TileStore, there: TileStore, a: TreeEntry | None, b: TreeEntry | None
) -> AssetDifference:
    if a is None or b is None:
        name = "" if (one := a or b) is None else one.id
        return AssetDifference(id=name, is_here=a is not None, is_there=b is not None)
    fields: tuple[FieldDifference, ...] = ()
    try:
        fields = tuple(_fields("", _visible(here, a), _visible(there, b)))
        arrays = tuple(_arrays((here, here.record(a)), (there, there.record(b))))
    except CorruptObjectError as error:
        return AssetDifference(id=a.id, fields=fields, problem=error.message)
    return AssetDifference(id=a.id, fields=fields, arrays=arrays)


def _visible(store: TileStore, entry: TreeEntry) -> Json:
    """Return what a reader can see of an asset, without the digests of its tiles."""
    visible: dict[str, Json] = json.loads(store.objects.get(entry.stored))["visible"]
    if entry.kind == "image":
        visible.pop("arrays", None)
    return visible


def _fields(path: str, here: Json, there: Json) -> Iterator[FieldDifference]:
    """Yield the members that differ, the deepest of them; lists of named things by their names."""
    left, right = _members(here), _members(there)
    if left is None or right is None:
        if here != there:
            yield FieldDifference(path=path or "document", here=here, there=there)
        return
    for name in dict.fromkeys((*left, *right)):
        yield from _fields(f"{path}.{name}".lstrip("."), left.get(name), right.get(name))
    if here != there and left == right:  # the same elements, in another order
        yield FieldDifference(path=path, here=[*left], there=[*right])


def _members(value: Json) -> Mapping[str, Json] | None:
    """Return an object, or a list of named objects, by names; None of anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
        names = [_name(one) for one in value if isinstance(one, dict)]
        if all(names) and len(set(names)) == len(names):
            return dict(zip(names, value, strict=True))
    return None


def _name(member: Mapping[str, Json]) -> str:
    found = next((member[name] for name in _NAMES if name in member), None)
    if not isinstance(found, str):
        return ""
    parts = [found, *(str(member[one]) for one in ("level", "is_mask") if one in member)]
    return "/".join(parts)


def _arrays(
    a: tuple[TileStore, AssetRecord], b: tuple[TileStore, AssetRecord]
) -> Iterator[ArrayDifference]:
    if a[1].asset.kind.value != "image" and b[1].asset.kind.value != "image":
        return
    keys = {key for _, record in (a, b) for key, _ in record.arrays}
    for key in sorted(keys):
        found = _array(a, b, key)
        if found.count:
            yield found


def _array(
    a: tuple[TileStore, AssetRecord], b: tuple[TileStore, AssetRecord], key: ArrayKey
) -> ArrayDifference:
    planes = [_plane(record, key) for _, record in (a, b)]
    if planes[0] is not None and planes[0] == planes[1]:
        rows, cols, _ = planes[0]
        diff = a[0].index.diff((rows, cols), a[1].root(key), b[1].root(key), other=b[0].index)
        return ArrayDifference(
            key=key,
            changed=_pairs(diff.changed),
            only_here=_pairs(diff.removed),
            only_there=_pairs(diff.added),
        )
    sides = [
        _NONE if plane is None else _places(store.index.entries(plane[:2], record.root(key)))
        for (store, record), plane in zip((a, b), planes, strict=True)
    ]
    return ArrayDifference(key=key, only_here=_pairs(sides[0]), only_there=_pairs(sides[1]))


def _plane(record: AssetRecord, key: ArrayKey) -> tuple[int, int, int] | None:
    """Return (rows, columns) of the tiles of an array and their side; None without the array."""
    if key not in dict(record.arrays) or record.asset.kind.value != "image":
        return None
    asset = record.image
    grid = asset.grid(asset.band(key.band).grid)
    rows, cols = grid.tile_shape(tile=asset.tile, level=key.level)
    return rows, cols, asset.tile


def _places(entries: Entries) -> Places:
    return np.stack([entries["row"], entries["col"]], axis=1)


def _pairs(places: Places) -> tuple[tuple[int, int], ...]:
    return tuple((row, col) for row, col in places.tolist())
