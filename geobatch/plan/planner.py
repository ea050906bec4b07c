"""The planner: what shall be against what is, down to the tiles. Pure: no disk, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from geobatch.model.asset import Asset, Band, Resolution
from geobatch.model.digest import Digest, digest_json
from geobatch.model.fingerprint import asset_fingerprint, band_fingerprint
from geobatch.model.plan import AssetChange, BandWork, Op, Plan, Start, TileCounts
from geobatch.model.record import AssetRecord, Head, TreeEntry
from geobatch.model.tiles import TileSet
from geobatch.plan.because import because_of

PLAN_EPOCH = 1
"""Raised when the same inputs would be planned differently."""


def plan(
    resolution: Resolution, *, base: Head, records: Mapping[str, AssetRecord], store_id: str
) -> Plan:
    """Return everything that an apply of the resolved assets would do to a published state.

    Args:
        resolution: The assets as they shall be.
        base: The published state.
        records: Records of the base, at least of every asset that `needed_records` names.
        store_id: Uuid of the store, or empty where there is none yet.

    Raises:
        KeyError: A needed record is missing.
    """
    changes = []
    fingerprints = []
    entries = {entry.id: entry for entry in base.tree.entries}
    for asset in resolution.assets:
        fingerprint = asset_fingerprint(asset)
        fingerprints.append([asset.id, fingerprint])
        entry = entries.get(asset.id)
        if entry is not None and entry.fingerprint == fingerprint:
            changes.append(AssetChange(id=asset.id, op=Op.KEEP))
        else:
            record = None if entry is None else records[asset.id]
            changes.append(_change(asset, fingerprint, record))
    return Plan(
        store_id=store_id,
        base_commit=base.digest,
        plan_id=digest_json([PLAN_EPOCH, store_id, base.digest, sorted(fingerprints)]),
        changes=tuple(sorted(changes, key=lambda change: change.id)),
        sources_hashed=resolution.sources_hashed,
        sources_by_stat=resolution.sources_by_stat,
    )


def needed_records(resolution: Resolution, *, base: Head) -> tuple[TreeEntry, ...]:
    """Return the entries of the assets whose records planning needs: published, and different."""
    entries = {entry.id: entry for entry in base.tree.entries}
    return tuple(
        entries[asset.id]
        for asset in resolution.assets
        if asset.id in entries and entries[asset.id].fingerprint != asset_fingerprint(asset)
    )


def _change(asset: Asset, fingerprint: Digest, record: AssetRecord | None) -> AssetChange:
    work: list[BandWork] = []
    carried: list[tuple[str, tuple[str, str]]] = []
    for band in asset.bands:
        piece = _band_work(asset, band, record)
        if isinstance(piece, BandWork):
            work.append(piece)
        else:
            carried.append((band.id, piece))
    return AssetChange(
        id=asset.id,
        op=Op.CREATE if record is None else Op.UPDATE,
        because=because_of(asset, None if record is None else record.asset),
        asset=asset,
        fingerprint=fingerprint,
        work=tuple(work),
        carried=tuple(carried),
        tiles=count_tiles(asset, work),
        bytes_read=_bytes_to_read(asset, work),
        bytes_write_max=_bytes_to_write(asset, work),
    )


def _band_work(asset: Asset, band: Band, record: AssetRecord | None) -> BandWork | tuple[str, str]:
    """Return what a band needs, or the (asset id, band id) whose tiles it takes over whole."""
    shape = asset.grid(band.grid).geobox.tile_shape(tile=asset.tile)
    full = TileSet.full(shape)
    if record is None:
        return BandWork(band=band.id, start=Start.SOURCES, tiles=full)
    mine = band_fingerprint(asset, band.id)
    stored = dict(record.fingerprints)
    # The band of the same name first: of several equal ones, any would do.
    names = sorted(stored, key=lambda name: (name != band.id, name))
    same = next((name for name in names if stored[name] == mine), None)
    same_codec = record.asset.codec == asset.codec
    if same is not None:
        base = (record.asset.id, same)
        if same_codec:
            return base
        return BandWork(band=band.id, start=Start.RECODE, tiles=full, base=base)
    level_0 = next((name for name in names if stored[name].base == mine.base), None)
    if level_0 is not None and same_codec:
        base = (record.asset.id, level_0)
        return BandWork(band=band.id, start=Start.LEVEL_0, tiles=full, base=base)
    return BandWork(
        band=band.id, start=Start.SOURCES, tiles=full, base=_comparable(asset, band, record)
    )


def _comparable(asset: Asset, band: Band, record: AssetRecord) -> tuple[str, str] | None:
    """Return the stored band whose equal tiles need not be encoded again, if there is one."""
    old = record.asset
    before = next((other for other in old.bands if other.id == band.id), None)
    if before is None or old.codec != asset.codec or old.tile != asset.tile:
        return None
    is_alike = (
        before.dtype == band.dtype
        and repr(before.fill) == repr(band.fill)
        and old.grid(before.grid).geobox.shape == asset.grid(band.grid).geobox.shape
    )
    return (old.id, before.id) if is_alike else None


def _level_count(asset: Asset, band: Band) -> int:
    return asset.grid(band.grid).geobox.level_count


def _array_count(band: Band, level: int) -> int:
    return 1 + (band.mask_from_level is not None and level >= band.mask_from_level)


def count_tiles(asset: Asset, work: Sequence[BandWork]) -> TileCounts:
    """Return how many tiles, of values and masks, some work of an asset touches."""
    depth = max(grid.geobox.level_count for grid in asset.grids)
    by_level = [0] * depth
    for piece in work:
        band = asset.band(piece.band)
        for level, tiles in enumerate(piece.dirty(_level_count(asset, band))):
            by_level[level] += tiles.count * _array_count(band, level)
    total = 0
    for band in asset.bands:
        geobox = asset.grid(band.grid).geobox
        for level in range(geobox.level_count):
            rows, cols = geobox.tile_shape(tile=asset.tile, level=level)
            total += rows * cols * _array_count(band, level)
    return TileCounts(compute=sum(by_level), total=total, by_level=tuple(by_level))


def _bytes_to_read(asset: Asset, work: Sequence[BandWork]) -> int:
    tilesets = set()
    for piece in work:
        if piece.start is Start.SOURCES:
            band = asset.band(piece.band)
            tilesets |= {band.tileset, band.masking.tileset or band.tileset}
    return sum(
        source.stat.size
        for tileset in asset.tilesets
        if tileset.id in tilesets
        for source in tileset.sources
        if source.stat is not None
    )


def _bytes_to_write(asset: Asset, work: Sequence[BandWork]) -> int:
    total = 0
    for piece in work:
        band = asset.band(piece.band)
        itemsize = np.dtype(band.dtype).itemsize
        for level, tiles in enumerate(piece.dirty(_level_count(asset, band))):
            pixels = tiles.count * asset.tile * asset.tile
            total += pixels * (itemsize + _array_count(band, level) - 1)
    return total
