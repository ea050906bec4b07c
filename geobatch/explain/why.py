"""Why a tile is as it is: what it came from, when it last changed, and what the next apply does."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from geobatch.errors import NotFoundError
from geobatch.explain.declared import Declared, find_declared, plan_declared
from geobatch.explain.origin import (
    SourceUnder,
    TilePlace,
    Window,
    check_place,
    children,
    footprint,
    has_place,
    sources_under,
)
from geobatch.explain.reasons import Tables, reasons_between
from geobatch.explain.target import did_you_mean, find_entry, listed
from geobatch.model.asset import Asset, Band
from geobatch.model.digest import Digest
from geobatch.model.fingerprint import external_content
from geobatch.model.plan import AssetChange, Because, Op, Plan, Reason, Start
from geobatch.model.record import ArrayKey, AssetRecord, Head
from geobatch.plan.because import because_of
from geobatch.store.cache import SourceCache
from geobatch.store.tilestore import TileStore


class Verdict(StrEnum):
    """What the next apply does with a tile, or with a band."""

    KEEP = "kept"
    """Nothing that decides it differs."""
    REDO = "recomputed"
    """Something that decides it differs."""
    TAKEN = "taken over"
    """It was made before, and is still in the store."""
    RECODE = "encoded anew"
    """Its pixels stay, in another codec."""
    GONE = "removed"
    """The asset has no such tile any more."""
    UNKNOWN = "not known"
    """Sources are missing, or cannot be resolved."""
    UNDECLARED = "left alone"
    """The given specs do not declare the asset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextApply:
    """What the next apply does."""

    verdict: Verdict
    """What it does."""
    because: tuple[Because, ...] = ()
    """Why, as far as it is about these pixels."""
    problems: tuple[str, ...] = ()
    """Why it is not known."""
    tiles: int = 0
    """How many tiles of the band are computed, values only."""
    can_stop: bool = False
    """Whether it is left as it is if the tiles below come out as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastChange:
    """The commit since which pixels are as they are."""

    head: Head
    """That commit."""
    because: tuple[Because, ...]
    """What was decided otherwise in it, as far as it is about these pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandWhy:
    """Why a tile of one band, or the whole band, is as it is."""

    band: Band
    """The band as it was resolved: what decides its pixels."""
    values: Digest | None
    """Content digest of the tile, or of the band's level 0; None where nothing is stored."""
    masks: Digest | None
    """Likewise of the mask array; None without one, too."""
    size: int
    """Bytes of the tile's objects, or none for a band."""
    window: Window
    """Pixels of level 0 that decide it."""
    children: tuple[TilePlace, ...]
    """Tiles of the level below that it is built from."""
    sources: tuple[SourceUnder, ...]
    """Sources under the window."""
    last: LastChange
    """When it last changed."""
    next: NextApply | None = None
    """What the next apply does; None where no specs were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Why an asset, or a tile of it, is as it is."""

    head: Head
    """The newest commit."""
    asset: Asset
    """The asset in it."""
    place: TilePlace | None
    """The tile; None for whole bands."""
    bands: tuple[BandWhy, ...]
    """Per band, in the order of the asset."""


def why(
    folder: Path,
    asset_id: str,
    *,
    place: TilePlace | None = None,
    band: str | None = None,
    paths: Sequence[Path] = (),
    workers: int | None = None,
) -> Why:
    """Return why a published asset, or a tile of it, is as it is.

    Args:
        folder: Folder of the store.
        asset_id: The asset.
        place: The tile; None for whole bands.
        band: The band; None for all that have the tile.
        paths: Spec files, or folders of them, to say what the next apply does.
        workers: Threads that look at sources; by default one per processor.

    Raises:
        NotFoundError: There is no such asset, band or tile.
        NoStoreError: There is no store.
        SpecError: The specs are wrong in other things than missing files.
        CorruptObjectError: A document or an index page is damaged.
    """
    with closing(TileStore.open(folder)) as store, SourceCache.borrowed(folder) as cache:
        head = store.head()
        record = store.record(find_entry(head, asset_id))
        asset = record.asset
        bands = _chosen(asset, place, band)
        ids = [one.id for one in bands]
        changes = _last_changes(store, asset_id, place, ids, cache.get_table)
        upcoming: Mapping[str, NextApply] = {}
        if paths:
            count = workers or os.cpu_count() or 1
            declared = find_declared(paths, cache=cache, workers=count, only=asset_id)
            made = plan_declared(declared, store, place=folder, cache=cache, head=head)
            upcoming = {one.id: _next(declared, made, record, one, place) for one in bands}
        found = []
        for one in bands:
            window = footprint(asset, one, place)
            values, masks, size = _stored(store, record, one, place)
            found.append(
                BandWhy(
                    band=one,
                    values=values,
                    masks=masks,
                    size=size,
                    window=window,
                    children=() if place is None else children(asset, one, place),
                    sources=tuple(sources_under(asset, one, window, tables=cache.get_table)),
                    last=changes[one.id],
                    next=upcoming.get(one.id),
                )
            )
        return Why(head=head, asset=asset, place=place, bands=tuple(found))


def _chosen(asset: Asset, place: TilePlace | None, name: str | None) -> tuple[Band, ...]:
    ids = [band.id for band in asset.bands]
    if name is not None and name not in ids:
        raise NotFoundError(
            f"`{asset.id}` has no band `{name}`",
            hint=did_you_mean(name, ids) or f"it has {listed(ids)}",
        )
    bands = [band for band in asset.bands if name in (None, band.id)]
    if place is None:
        return tuple(bands)
    having = tuple(band for band in bands if has_place(asset, band, place))
    if not having:
        largest = max(bands, key=lambda band: asset.grid(band.grid).level_count)
        check_place(asset, largest, place)
    return having


def _stored(
    store: TileStore, record: AssetRecord, band: Band, place: TilePlace | None
) -> tuple[Digest | None, Digest | None, int]:
    """Return the content digests of values and masks, and the bytes of their objects."""
    digests: list[Digest | None] = []
    size = 0
    arrays = dict(record.arrays)
    level = 0 if place is None else place.level
    if record.asset.is_external:
        return external_content(record.asset, band.id, level=level, is_mask=False), None, 0
    for is_mask in (False, True):
        root = arrays.get(ArrayKey(band=band.id, level=level, is_mask=is_mask))
        if place is None or root is None:
            digests.append(None if root is None else root.content)
            continue
        geobox = record.asset.grid(band.grid).geobox
        plane = geobox.tile_shape(tile=record.asset.tile, level=level)
        entry = store.index.lookup(plane, root, row=place.row, col=place.col)
        digests.append(None if entry is None else entry["content"].tobytes().hex())
        size += 0 if entry is None else int(entry["size"])
    return digests[0], digests[1], size


def _last_changes(
    store: TileStore,
    asset_id: str,
    place: TilePlace | None,
    bands: Iterable[str],
    tables: Tables,
) -> dict[str, LastChange]:
    """Walk the log back to where the pixels of each band were others than they are now."""
    found: dict[str, LastChange] = {}
    pending: dict[str, Any] = dict.fromkeys(bands)
    newer: tuple[Head, AssetRecord] | None = None
    stored: Digest | None = None
    for head in store.log():
        entry = head.tree.entry(asset_id)
        if entry is not None and entry.stored == stored and newer is not None:
            newer = (head, newer[1])
            continue
        record = None if entry is None else store.record(entry)
        stored = None if entry is None else entry.stored
        for band_id in tuple(pending):
            identity = None if record is None else _identity(store, record, band_id, place)
            if newer is None:
                pending[band_id] = identity
            elif identity != pending[band_id]:
                del pending[band_id]
                found[band_id] = _change(newer, record, band_id, place, tables)
        if record is None or not pending:
            break
        newer = (head, record)
    if newer is not None:
        found |= {band_id: _change(newer, None, band_id, place, tables) for band_id in pending}
    return found


def _identity(
    store: TileStore, record: AssetRecord, band_id: str, place: TilePlace | None
) -> tuple[object, ...] | None:
    """Return what is equal in two commits as long as the pixels are; None without such a tile."""
    asset = record.asset
    band = next((band for band in asset.bands if band.id == band_id), None)
    if band is None:
        return None
    if asset.is_external:
        return (external_content(asset, band_id, level=0, is_mask=False),)
    if place is None:
        roots = [
            (key, None if root is None else root.content)
            for key, root in record.arrays
            if key.band == band_id
        ]
        return (asset.tile, band.dtype, asset.grid(band.grid).geobox.shape, roots)
    if not has_place(asset, band, place):
        return None
    values, masks, _ = _stored(store, record, band, place)
    return (asset.tile, band.dtype, values, masks)


def _change(
    newer: tuple[Head, AssetRecord],
    before: AssetRecord | None,
    band_id: str,
    place: TilePlace | None,
    tables: Tables,
) -> LastChange:
    head, record = newer
    if before is None:
        return LastChange(head=head, because=because_of(record.asset, None))
    reasons = reasons_between(before.asset, record.asset, tables=tables)
    about = _about(reasons, record.asset, before.asset, band_id, place)
    return LastChange(head=head, because=about or reasons)


_SOURCE_REASONS = frozenset(
    (
        Reason.SOURCE_CHANGED, Reason.SOURCE_ADDED, Reason.SOURCE_REMOVED, Reason.SOURCE_MOVED,
    )
)  # fmt: skip
_NOT_ABOUT_PIXELS = frozenset(
    (
        Reason.PROPERTIES_CHANGED, Reason.TIME_CHANGED, Reason.METADATA_CHANGED,
        Reason.LIFECYCLE_CHANGED, Reason.BANDS_REORDERED, Reason.CODEC_CHANGED,
    )
)  # fmt: skip


def _about(
    reasons: Iterable[Because],
    asset: Asset,
    before: Asset,
    band_id: str,
    place: TilePlace | None,
) -> tuple[Because, ...]:
    """Return the reasons that can have to do with the pixels of a tile, or of a band."""
    uris: set[str] = set()
    grids: set[str] = set()
    for side in (asset, before):
        band = next((band for band in side.bands if band.id == band_id), None)
        if band is None:
            continue
        grids.add(f"grid {band.grid}")
        window = footprint(side, band, place)
        uris |= {source.uri for source in sources_under(side, band, window)}
        uris |= {f"tilesets.{name}" for name in (band.tileset, band.masking.tileset)}

    def is_about(because: Because) -> bool:
        path, reason = because.path, because.reason
        if reason in _NOT_ABOUT_PIXELS:
            return False
        if reason is Reason.POLICY_CHANGED and place is not None and place.level == 0:
            return False
        if path.startswith("bands."):
            return path == f"bands.{band_id}" or path.startswith(f"bands.{band_id}.")
        if path.startswith("grid "):
            return path.partition(".")[0] in grids
        return reason not in _SOURCE_REASONS or path in uris

    return tuple(filter(is_about, reasons))


def _next(
    declared: Declared, made: Plan, record: AssetRecord, band: Band, place: TilePlace | None
) -> NextApply:
    asset_id = record.asset.id
    problems = declared.missing.get(asset_id) or declared.broken.get(asset_id)
    if problems:
        return NextApply(verdict=Verdict.UNKNOWN, problems=problems)
    change = next((change for change in made.changes if change.id == asset_id), None)
    if change is None:
        return NextApply(verdict=Verdict.UNDECLARED)
    if change.op is Op.KEEP or change.asset is None:
        return NextApply(verdict=Verdict.KEEP)
    return _next_of(change, change.asset, record, band, place)


def _next_of(
    change: AssetChange, asset: Asset, record: AssetRecord, band: Band, place: TilePlace | None
) -> NextApply:
    reasons = _about(change.because, asset, record.asset, band.id, place)
    later = next((other for other in asset.bands if other.id == band.id), None)
    if later is None or (place is not None and not has_place(asset, later, place)):
        return NextApply(verdict=Verdict.GONE, because=reasons)
    work = next((work for work in change.work if work.band == band.id), None)
    if work is None:
        is_same = dict(change.carried).get(band.id) == (record.asset.id, band.id)
        if is_same:
            return NextApply(verdict=Verdict.KEEP)
        return NextApply(verdict=Verdict.TAKEN, because=reasons)
    levels = work.dirty(asset.grid(later.grid).level_count)
    tiles = sum(level.count for level in levels)
    is_dirty = tiles > 0
    if place is not None:
        is_dirty = bool(levels[place.level].mask[place.row, place.col])
    if not is_dirty:
        return NextApply(verdict=Verdict.KEEP, tiles=tiles)
    if work.start is Start.RECODE:
        codec = tuple(one for one in change.because if one.reason is Reason.CODEC_CHANGED)
        return NextApply(verdict=Verdict.RECODE, because=codec, tiles=tiles)
    return NextApply(
        verdict=Verdict.REDO,
        because=reasons or change.because,
        tiles=tiles,
        can_stop=work.can_stop and place is not None and place.level > 0,
    )
