"""Which assets a plan covers: selected, replaced, pruned; and what must not be deleted."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import PurePath
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from geobatch.errors import PlanError
from geobatch.model.assets.asset import Asset, Raster, Resolution
from geobatch.model.assets.fingerprint import asset_fingerprint, band_fingerprint
from geobatch.model.digest import DIGEST_BYTES, Digest
from geobatch.model.plans.plan import (
    AssetChange,
    Because,
    Op,
    Options,
    Reason,
    TableWork,
    TileCounts,
)
from geobatch.model.published import Head, Tree, TreeEntry
from geobatch.model.text.suggest import suggestion

STATES = ("state:new", "state:modified")
"""Patterns of `--select` that ask how an asset compares with the published one of its name."""
SHARE = 20
"""Percent of the published assets that may be deleted unless `--max-delete` says otherwise."""


class Choice(Struct, frozen=True, kw_only=True):
    """The assets that a plan covers."""

    resolution: Resolution
    """Those that are selected."""
    base: Head
    """The published state without what is to be replaced: nothing of it is compared or kept."""
    replaced: frozenset[str]
    """Ids of published assets that are recomputed."""
    replaced_bands: frozenset[Digest]
    """Pyramid fingerprints of their bands: tiles that were made from them before are not reused."""
    not_selected: int
    """How many declared assets are not selected."""


class Kept(Struct, frozen=True, kw_only=True):
    """Assets that are published as they are, known without resolving them."""

    ids: Sequence[str] = ()
    """Their ids, sorted."""
    fingerprints: bytes | bytearray = b""
    """Their fingerprints, 32 bytes each."""
    documents: bytes | bytearray = b""
    """Digests of their documents, likewise."""

    def items(self) -> Iterator[tuple[str, Digest]]:
        """Yield ids and fingerprints."""
        step = DIGEST_BYTES
        for number, name in enumerate(self.ids):
            yield name, self.fingerprints[step * number : step * number + step].hex()


def keep(
    known: Iterable[tuple[str, bytes]], *, base: Head, others: Collection[str]
) -> tuple[Kept, list[str], Head]:
    """Compare known assets with the published ones, in one walk over both.

    Args:
        known: Ids and fingerprints, sorted by id.
        base: The published state.
        others: Ids of assets that are to be resolved in any case.

    Returns:
        Those that are kept, ids of the other known ones, and the state without those that are kept;
        its count is that of all.
    """
    ids: list[str] = []
    fingerprints, documents = bytearray(), bytearray()
    late: list[str] = []
    left: list[TreeEntry] = []
    published = base.tree.each()
    entry = next(published, None)
    for name, fingerprint in known:
        while entry is not None and entry.id < name:
            left.append(entry)
            entry = next(published, None)
        is_mine = entry is not None and entry.id == name and name not in others
        if entry is not None and is_mine and bytes.fromhex(entry.fingerprint) == fingerprint:
            ids.append(name)
            fingerprints += fingerprint
            documents += bytes.fromhex(entry.stored)
            entry = next(published, None)
        else:
            late.append(name)
    left += () if entry is None else (entry, *published)
    tree = Rest(entries=left, count=base.tree.count)
    kept = Kept(ids=ids, fingerprints=fingerprints, documents=documents)
    return kept, late, replace(base, tree=tree)


class Rest(Tree):
    """Some assets of a published state; the others are kept as they are."""

    __slots__ = ("_count",)

    def __init__(self, *, entries: Iterable[TreeEntry], count: int) -> None:
        """Keep assets.

        Args:
            entries: The assets, sorted by id.
            count: How many the state has.
        """
        super().__init__(entries=entries)
        self._count = count

    @property
    def count(self) -> int:
        """How many assets the published state has."""
        return self._count


def choose(
    resolution: Resolution, *, base: Head, options: Options, declared: Collection[str]
) -> Choice:
    """Return the part of a resolution that a plan covers.

    Several patterns of `select` add up; patterns joined by commas must all match. `*` matches `/`.

    Args:
        resolution: The resolved assets.
        base: The published state.
        options: What the user asked for.
        declared: Ids of all declared assets, those that could not be resolved among them.

    Raises:
        PlanError: A pattern matches no asset, or there is no such state.
    """
    published = {entry.id for entry in base.tree.entries}
    parts = [part for pattern in options.select for part in pattern.split(",")]
    if parts:
        known = {*declared, *(published if options.is_pruning else ())}
        names = [part for part in parts if not part.startswith("state:")]
        _check_patterns(names, "--select", known)
    if options.replace:
        _check_patterns(options.replace, "--replace", set(declared))
    for part in parts:
        if part.startswith("state:") and part not in STATES:
            raise PlanError(
                f"`--select {part}`: unknown state", hint=f"states are {_listed(STATES)}"
            )
    states = _states(resolution.assets, base) if any(part in STATES for part in parts) else {}
    assets = tuple(a for a in resolution.assets if is_selected(a.id, options.select, states))
    is_replaced = {asset.id for asset in assets if _matches(asset.id, options.replace)}
    replaced = frozenset(published & is_replaced)
    tree = Tree(entries=tuple(e for e in base.tree.entries if e.id not in replaced))
    return Choice(
        resolution=replace(resolution, assets=assets),
        base=replace(base, tree=tree) if replaced else base,
        replaced=replaced,
        replaced_bands=frozenset(
            band_fingerprint(asset, band.id).pyramid
            for asset in assets
            if asset.id in replaced and isinstance(asset, Raster)
            for band in asset.bands
        ),
        not_selected=sum(1 for name in declared if not is_selected(name, options.select, states))
        if options.select
        else 0,
    )


def is_selected(
    asset_id: str,
    patterns: Collection[str],
    states: Mapping[str, str] = MappingProxyType({}),
) -> bool:
    """Return whether an asset is selected; without patterns every one is."""
    return not patterns or any(
        all(
            states.get(asset_id) == part if part in STATES else fnmatchcase(asset_id, part)
            for part in pattern.split(",")
        )
        for pattern in patterns
    )


def may_be_selected(asset_id: str, patterns: Collection[str]) -> bool:
    """Return whether an asset can be selected, judged by its id; its state is not known."""
    return not patterns or any(
        all(part in STATES or fnmatchcase(asset_id, part) for part in pattern.split(","))
        for pattern in patterns
    )


def deletions(
    *,
    base: Head,
    declared: Collection[str],
    origins: Mapping[str, str],
    places: Collection[str],
    options: Options,
) -> tuple[AssetChange, ...]:
    """Return the deletion of each published asset that its specs no longer declare.

    Args:
        base: The published state.
        declared: Ids of all declared assets.
        origins: Absolute path of the spec file that published an asset, by id.
        places: Absolute paths of the spec files and folders that were given; an asset of another
            origin, or of an unknown one, stays.
        options: Deletes nothing unless it is pruning, nor what it does not select.
    """
    if not options.is_pruning:
        return ()
    return tuple(
        _deletion(entry, origins[entry.id])
        for entry in base.tree.entries
        if entry.id not in declared
        and is_selected(entry.id, options.select)
        and entry.id in origins
        and is_under(origins[entry.id], places)
    )


def is_under(origin: str, places: Collection[str]) -> bool:
    """Return whether a spec file is one of some paths, or inside one; all paths are absolute."""
    return any(PurePath(origin).is_relative_to(place) for place in places)


def refusals(
    changes: Collection[AssetChange], *, base: Head, max_delete: str | None
) -> tuple[str, ...]:
    """Return why some changes are refused: what blocks them, or too many deletions at once."""
    found = [
        f"`{change.id}` is {change.blocked}"
        if change.op is Op.DELETE
        else f"`{change.id}` cannot take the tiles of `{change.previous_id}`: {change.blocked}"
        for change in changes
        if change.blocked
    ]
    deleted = [change for change in changes if change.op is Op.DELETE and not change.blocked]
    count, total = len(deleted), base.tree.count
    if count and not _may_delete(count, total, max_delete):
        limit = f"`--max-delete` allows {max_delete}" if max_delete else f"more than {SHARE} %"
        limit = "all of them" if max_delete is None and count == total else limit
        found.append(
            f"{count:,} of {total:,} published assets would be deleted, {limit}; "
            f"`--max-delete {count}` allows it"
        )
    return tuple(found)


def _may_delete(count: int, total: int, max_delete: str | None) -> bool:
    if max_delete is None:
        return count < total and count * 100 <= SHARE * total
    if max_delete.endswith("%"):
        return count * 100 <= int(max_delete[:-1]) * total
    return count <= int(max_delete)


def _deletion(entry: TreeEntry, origin: str) -> AssetChange:
    reason = Because(
        reason=Reason.NOT_DECLARED, path=entry.id, detail=f"by {PurePath(origin).name}"
    )
    return AssetChange(
        id=entry.id,
        op=Op.DELETE,
        because=(reason,),
        fingerprint=entry.fingerprint,
        table=TableWork(is_read=False, rows=None) if entry.is_table else None,
        tiles=TileCounts(compute=0, total=0, by_level=(), remove=entry.tiles),
        blocked="protected" if entry.is_protected else "",
    )


def _states(assets: Iterable[Asset], base: Head) -> dict[str, str]:
    published = {entry.id: entry.fingerprint for entry in base.tree.entries}
    states = {}
    for asset in assets:
        if asset.id not in published:
            states[asset.id] = STATES[0]
        elif published[asset.id] != asset_fingerprint(asset):
            states[asset.id] = STATES[1]
    return states


def _matches(asset_id: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(asset_id, pattern) for pattern in patterns)


def _check_patterns(patterns: Collection[str], option: str, known: Collection[str]) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(asset_id, pattern) for asset_id in known):
            raise PlanError(
                f"`{option} {pattern}` matches none of {len(known):,} assets",
                hint=suggestion(pattern, sorted(known), most=3, cutoff=0.5)
                or "`*` matches any part of an id",
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
