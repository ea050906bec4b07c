"""Explains a tile: its sources, its last change, and what the next apply does with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare.projects.confine import Confine
from geobatch.errors import NotFoundError
from geobatch.explain.about import reasons_about
from geobatch.explain.answer import BandWhy, LastChange, NextApply, Verdict, Why
from geobatch.explain.declared import Declared, find_declared, plan_declared
from geobatch.explain.origin import (
    check_place,
    children,
    footprint,
    has_place,
    sources_under,
)
from geobatch.explain.reasons import Tables, reasons_between
from geobatch.explain.table_why import refuse_place, table_next, table_why
from geobatch.explain.target import listed
from geobatch.model.assets.asset import AnyImage, Asset, Band, Table
from geobatch.model.assets.fingerprint import external_content
from geobatch.model.assets.image import Raster
from geobatch.model.digest import Digest
from geobatch.model.plans.plan import AssetChange, Because, Op, Plan, Reason, Start
from geobatch.model.published import ArrayKey, AssetRecord, Head
from geobatch.model.text.suggest import suggestion
from geobatch.model.tile import TilePosition
from geobatch.planner import because_of, moves
from geobatch.processors import processor_count
from geobatch.store.caches.cache import SourceCache
from geobatch.store.entries import find_entry
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.tilestore import TileStore


def why(
    store_location: StoreText,
    asset_id: str,
    *,
    place: TilePosition | None = None,
    band: str | None = None,
    paths: Sequence[Path] = (),
    workers: int | None = None,
    keep_project_prefix: bool = False,
    confine: Confine | None = None,
    at: str | None = None,
) -> Why:
    """Return the explanation of a published asset, or of a tile of it.

    Args:
        store_location: Folder or url of the store.
        asset_id: The asset; its declared id serves before it is published under that.
        place: The tile; None for whole bands.
        band: The band; None for all that have the tile.
        paths: Spec files, or folders of them, to say what the next apply does.
        workers: Threads that probe sources; by default one per processor.
        keep_project_prefix: Whether `projects/P/assets/a` stays the id of an asset.
        confine: Whether to read only the project's folder and what is allowed.
        at: The commit of an image; by default the newest.

    Raises:
        NotFoundError: There is no such asset, band, tile or commit.
        NoStoreError: There is no store.
        SpecError: The specs are wrong in other things than missing files.
        CorruptObjectError: A document or an index page is damaged.
    """
    location = StoreLocation.of(store_location)
    with SourceCache.borrowed(location) as cache, closing(TileStore.open(location)) as store:
        head = store.head() if at is None else store.at(at)
        upcoming: _Upcoming | None = None
        if paths:
            count = workers or processor_count()
            declared = find_declared(
                paths,
                place=location,
                cache=cache,
                workers=count,
                only=asset_id,
                keep_project_prefix=keep_project_prefix,
                confine=confine,
            )
            declared, made = plan_declared(declared, store, cache=cache, head=head)
            upcoming = _Upcoming(declared, made, moves(declared.resolved.specs.claims, base=head))
            asset_id = upcoming.moved.get(asset_id, asset_id)
        record = store.record(find_entry(head, asset_id))
        if isinstance(record.asset, Table) and record.table is not None:
            refuse_place(asset_id, place, band)
            rows = table_why(store, record, record.table, record.asset)
            if paths:
                declared = find_declared(
                    paths,
                    place=location,
                    cache=cache,
                    workers=workers or processor_count(),
                    only=asset_id,
                    confine=confine,
                )
                declared, made = plan_declared(declared, store, cache=cache, head=head)
                rows = replace(rows, next=table_next(declared, made, asset_id))
            return Why(head=head, asset=record.asset, place=None, bands=(), table=rows)
        asset = record.image
        bands = _chosen(asset, place, band)
        ids = [one.id for one in bands]
        changes = _last_changes(store, head, asset_id, place, bands=ids, tables=cache.get_table)
        cut_again = {name for name, last in changes.items() if _is_retiling(last)}
        edits = _last_edits(store, head, asset_id, cut_again, cache.get_table)
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
                    edited=edits.get(one.id),
                    next=None if upcoming is None else upcoming.of(record, one, place),
                )
            )
        return Why(head=head, asset=asset, place=place, bands=tuple(found))


def _chosen(asset: Raster, place: TilePosition | None, name: str | None) -> tuple[Band, ...]:
    ids = [band.id for band in asset.bands]
    if name is not None and name not in ids:
        raise NotFoundError(
            f"`{asset.id}` has no band `{name}`",
            hint=suggestion(name, ids) or f"it has {listed(ids)}",
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
    store: TileStore, record: AssetRecord, band: Band, place: TilePosition | None
) -> tuple[Digest | None, Digest | None, int]:
    """Return the content digests of values and masks, and the bytes of their objects."""
    digests: list[Digest | None] = []
    size = 0
    arrays = dict(record.arrays)
    level = 0 if place is None else place.level
    if record.asset.is_external:
        return external_content(record.image, band.id, level=level, is_mask=False), None, 0
    for is_mask in (False, True):
        root = arrays.get(ArrayKey(band=band.id, level=level, is_mask=is_mask))
        if place is None or root is None:
            digests.append(None if root is None else root.content)
            continue
        geobox = record.image.grid(band.grid).geobox
        plane = geobox.tile_shape(tile=record.image.tile, level=level)
        entry = store.index.lookup(plane, root, row=place.row, col=place.col)
        digests.append(None if entry is None else entry.content.hex())
        size += 0 if entry is None else entry.size
    return digests[0], digests[1], size


def _log(store: TileStore, newest: Head) -> Iterator[Head]:
    """Yield the commits up to one, newest first."""
    return (head for head in store.log() if head.number <= newest.number)


def _last_changes(
    store: TileStore,
    newest: Head,
    asset_id: str,
    place: TilePosition | None,
    *,
    bands: Iterable[str],
    tables: Tables,
) -> dict[str, LastChange]:
    """Walk the log back to where the pixels of each band were others than they are now."""
    found: dict[str, LastChange] = {}
    pending: dict[str, Any] = dict.fromkeys(bands)
    newer: tuple[Head, AssetRecord] | None = None
    stored: Digest | None = None
    for head in _log(store, newest):
        entry = head.tree.entry(asset_id)
        if entry is not None and entry.stored == stored and newer is not None:
            newer = (head, newer[1])
            asset_id = head.name_before(asset_id)
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
        asset_id = head.name_before(asset_id)
    if newer is not None:
        found |= {band_id: _change(newer, None, band_id, place, tables) for band_id in pending}
    return found


def _is_retiling(last: LastChange) -> bool:
    return {because.reason for because in last.because} == {Reason.TILING_CHANGED}


def _last_edits(
    store: TileStore, newest: Head, asset_id: str, bands: Iterable[str], tables: Tables
) -> dict[str, LastChange]:
    """Walk the log back to where each band last changed in more than the size of its tiles."""
    pending = set(bands)
    found: dict[str, LastChange] = {}
    newer: tuple[Head, AssetRecord] | None = None
    for head in _log(store, newest) if pending else ():
        entry = head.tree.entry(asset_id)
        record = None if entry is None else store.record(entry)
        if newer is not None:
            for band_id in tuple(pending):
                about = _edits(newer[1].image, record, band_id, tables)
                if about:
                    pending.remove(band_id)
                    found[band_id] = LastChange(head=newer[0], because=about)
        if record is None or not pending:
            break
        newer = (head, record)
        asset_id = head.name_before(asset_id)
    if newer is not None:
        first = because_of(newer[1].asset, None)
        found |= {band_id: LastChange(head=newer[0], because=first) for band_id in pending}
    return found


def _edits(
    asset: AnyImage, before: AssetRecord | None, band_id: str, tables: Tables
) -> tuple[Because, ...]:
    """Return why the pixels of a band differ between two states, however they are cut."""
    if before is None:
        return because_of(asset, None)
    reasons = reasons_between(before.asset, asset, tables=tables)
    about = reasons_about(reasons, asset, before.asset, band_id, None)
    return tuple(one for one in about if one.reason is not Reason.TILING_CHANGED)


def _identity(
    store: TileStore, record: AssetRecord, band_id: str, place: TilePosition | None
) -> tuple[object, ...] | None:
    """Return what is equal in two commits as long as the pixels are; None without such a tile."""
    if isinstance(record.asset, Table):
        return None
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
    place: TilePosition | None,
    tables: Tables,
) -> LastChange:
    head, record = newer
    if before is None:
        return LastChange(head=head, because=because_of(record.asset, None))
    reasons = reasons_between(before.asset, record.asset, tables=tables)
    about = reasons_about(reasons, record.image, before.asset, band_id, place)
    return LastChange(head=head, because=about or reasons)


class _Upcoming(Struct, frozen=True):
    """What the next apply does with what specs declare."""

    declared: Declared
    plan: Plan
    moved: Mapping[str, str]
    """Former id of each asset that is published under it."""

    def of(self, record: AssetRecord, band: Band, place: TilePosition | None) -> NextApply:
        """Return what it does with a band of a published asset, or with a tile of it."""
        declared, old = self.declared, record.asset.id
        asset_id = next((new for new, name in self.moved.items() if name == old), old)
        problems = declared.missing.get(asset_id) or declared.broken.get(asset_id)
        if problems:
            return NextApply(verdict=Verdict.UNKNOWN, problems=problems)
        change = next((change for change in self.plan.changes if change.id == asset_id), None)
        if change is None:
            return NextApply(verdict=Verdict.UNDECLARED)
        if change.op is Op.KEEP or change.asset is None:
            return NextApply(verdict=Verdict.KEEP)
        found = _next_of(change, change.asset, record, band, place)
        told = tuple(one for one in change.because if one.reason is Reason.RENAMED)
        return replace(found, because=(*told, *found.because))


def _next_of(
    change: AssetChange, asset: Asset, record: AssetRecord, band: Band, place: TilePosition | None
) -> NextApply:
    reasons = reasons_about(change.because, asset, record.asset, band.id, place)
    bands = asset.bands if isinstance(asset, Raster) else ()
    later = next((other for other in bands if other.id == band.id), None)
    if (
        not isinstance(asset, Raster)
        or later is None
        or (place is not None and not has_place(asset, later, place))
    ):
        return NextApply(verdict=Verdict.GONE, because=reasons)
    work = next((work for work in change.work if work.band == band.id), None)
    if work is None:
        is_same = dict(change.carried).get(band.id) == (change.id, band.id)
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
        because=reasons or tuple(b for b in change.because if b.reason is not Reason.RENAMED),
        tiles=tiles,
        can_stop=work.can_stop and place is not None and place.level > 0,
    )
