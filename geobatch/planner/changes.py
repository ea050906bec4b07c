"""The planner compares the declared state with the published one, down to tiles. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from heapq import merge
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from msgspec.structs import replace

from geobatch.model.assets.asset import Asset, Band, Image, Resolution, Table
from geobatch.model.assets.fingerprint import asset_fingerprint, band_fingerprint, band_frame
from geobatch.model.assets.image import Raster
from geobatch.model.digest import Digest, digest_json_list
from geobatch.model.plans.plan import AssetChange, BandWork, Changes, Op, Plan, Start, TileCounts
from geobatch.model.published import AssetRecord, BandFingerprint, BandTiles, Head, TreeEntry
from geobatch.model.tiles import TileSet
from geobatch.planner.because import because_of
from geobatch.planner.dirty import Blocks, changed_sources, dirty_tiles
from geobatch.planner.selection import Kept
from geobatch.planner.tables import table_change

Base: TypeAlias = tuple[str, str]
"""(asset id, band id) of a published band, or an empty id and a fingerprint from `Known`."""
Fingerprints: TypeAlias = Mapping[str, Digest]
"""Fingerprint by asset id."""
Known: TypeAlias = Mapping[Digest, BandTiles]
"""Tiles of bands by pyramid fingerprint."""

PLAN_EPOCH = 1
"""Increased when the same inputs would be planned differently."""


def plan(
    resolution: Resolution,
    *,
    base: Head,
    records: Mapping[str, AssetRecord],
    store_id: str,
    blocks: Blocks = MappingProxyType({}),
    known: Known = MappingProxyType({}),
    fingerprints: Fingerprints | None = None,
    kept: Kept = Kept(),  # noqa: B008 - a value
) -> Plan:
    """Return everything that an apply of the resolved assets would do to a published state.

    Args:
        resolution: The resolved assets.
        base: The published state.
        records: Records of the base, at least of every asset that `needed_records` names.
        store_id: Uuid of the store, or empty where there is none yet.
        blocks: Changed blocks of sources, at least where known of those that `block_pairs` names.
        known: Tiles of bands that were made before, by pyramid fingerprint; they are taken over.
        fingerprints: `fingerprints_of` the resolution, where it is known already.
        kept: Further assets, which are published as they are.

    Raises:
        KeyError: A needed record is missing.
    """
    changes = []
    fingerprints = fingerprints_of(resolution) if fingerprints is None else fingerprints
    entries = {entry.id: entry for entry in base.tree.entries}
    for asset in resolution.assets:
        fingerprint = fingerprints[asset.id]
        entry = entries.get(asset.id)
        if entry is not None and entry.fingerprint == fingerprint:
            changes.append(AssetChange(id=asset.id, op=Op.KEEP))
        else:
            record = None if entry is None else records[asset.id]
            changes.append(_change(asset, fingerprint, record, blocks, known))
    every = merge(sorted(fingerprints.items()), kept.items()) if fingerprints else kept.items()
    return Plan(
        store_id=store_id,
        base_commit=base.digest,
        plan_id=digest_json_list([PLAN_EPOCH, store_id, base.digest], every),
        changes=Changes(changes, kept.ids),
        sources_hashed=resolution.sources_hashed,
        sources_by_stat=resolution.sources_by_stat,
    )


def narrowed(
    made: Plan, *, records: Mapping[str, AssetRecord], blocks: Blocks, known: Known
) -> Plan:
    """Return a plan in which less is computed, since more is known of its sources.

    Args:
        made: The plan.
        records: Records of the base, as for `plan`.
        blocks: Changed blocks of sources that were not known when the plan was made.
        known: As for `plan`.
    """
    return replace(
        made,
        changes=Changes(
            (_narrowed(change, records, blocks, known) for change in made.changed), made.kept
        ),
    )


def _narrowed(
    change: AssetChange, records: Mapping[str, AssetRecord], blocks: Blocks, known: Known
) -> AssetChange:
    asset, record = change.asset, records.get(change.id)
    if not isinstance(asset, Image) or record is None or change.is_replaced or change.blocked:
        return change
    if not isinstance(record.asset, Image) or not (
        source_pairs(asset, record.asset) & blocks.keys()
    ):
        return change
    found = _change(asset, change.fingerprint, record, blocks, known)
    return replace(
        change,
        work=found.work,
        carried=found.carried,
        tiles=found.tiles,
        bytes_read=found.bytes_read,
        bytes_write_max=found.bytes_write_max,
    )


def fingerprints_of(resolution: Resolution) -> Fingerprints:
    """Return the fingerprint of every asset, by id: each costs a walk over all that it holds."""
    return {asset.id: asset_fingerprint(asset) for asset in resolution.assets}


def needed_records(fingerprints: Fingerprints, *, base: Head) -> tuple[TreeEntry, ...]:
    """Return the entries of the assets whose records planning needs: published, and different."""
    return tuple(
        entry
        for entry in base.tree.entries
        if fingerprints.get(entry.id, entry.fingerprint) != entry.fingerprint
    )


def wanted_bands(
    resolution: Resolution, fingerprints: Fingerprints, *, base: Head
) -> frozenset[Digest]:
    """Return the pyramid fingerprints of bands that can be reused if they were made before."""
    entries = {entry.id: entry.fingerprint for entry in base.tree.entries}
    return frozenset(
        band_fingerprint(asset, band.id).pyramid
        for asset in resolution.assets
        if isinstance(asset, Image)
        if entries.get(asset.id) != fingerprints[asset.id]
        for band in asset.bands
    )


def block_pairs(
    resolution: Resolution, *, records: Mapping[str, AssetRecord]
) -> frozenset[tuple[Digest, Digest]]:
    """Return the (old, new) digests of sources whose changed blocks would narrow a plan."""
    pairs = set[tuple[Digest, Digest]]()
    for asset in resolution.assets:
        before = records[asset.id].asset if asset.id in records else None
        if isinstance(asset, Image) and isinstance(before, Image):
            pairs |= source_pairs(asset, before)
    return frozenset(pairs)


def source_pairs(asset: Image, before: Image) -> set[tuple[Digest, Digest]]:
    """Return the (old, new) digests of sources of an image that replaced others in their place."""
    old = {tileset.id: tileset for tileset in before.tilesets}
    return {
        (was.digest, now.digest)
        for tileset in asset.tilesets
        if tileset.id in old
        for was, now in changed_sources(old[tileset.id].sources, tileset.sources)
        if was is not None and now is not None
    }


def _change(
    asset: Asset, fingerprint: Digest, record: AssetRecord | None, blocks: Blocks, known: Known
) -> AssetChange:
    if isinstance(asset, Table):
        because = because_of(asset, None if record is None else record.asset)
        return table_change(asset, fingerprint, record, because)
    work: list[BandWork] = []
    carried: list[tuple[str, Base]] = []
    tiled = record if record is not None and isinstance(record.asset, Image) else None
    for band in asset.bands if isinstance(asset, Image) else ():
        mine = band_fingerprint(asset, band.id)
        piece = _made_before(asset, band, mine, tiled, known) or _band_work(
            asset, band, mine, tiled, blocks
        )
        if isinstance(piece, BandWork):
            work.append(piece)
        else:
            carried.append((band.id, piece))
    return AssetChange(
        id=asset.id,
        op=Op.CREATE if record is None else Op.UPDATE,
        because=because_of(asset, None if record is None else record.asset, blocks),
        asset=asset,
        fingerprint=fingerprint,
        work=tuple(work),
        carried=tuple(carried),
        tiles=count_tiles(asset, work),
        bytes_read=_bytes_to_read(asset, work),
        bytes_write_max=_bytes_to_write(asset, work),
    )


def _made_before(
    asset: Raster, band: Band, mine: BandFingerprint, record: AssetRecord | None, known: Known
) -> Base | None:
    """Return the published band that has all tiles of a band, or None."""
    if record is not None and record.image.codec == asset.codec:
        stored = dict(record.fingerprints)
        # The band of the same name first; any equal one is right.
        names = sorted(stored, key=lambda name: (name != band.id, name))
        same = next((name for name in names if stored[name] == mine), None)
        if same is not None:
            return (record.asset.id, same)
    remembered = known.get(mine.pyramid)
    if remembered is not None and remembered.codec == asset.codec:
        return ("", mine.pyramid)
    return None


def _band_work(
    asset: Raster, band: Band, mine: BandFingerprint, record: AssetRecord | None, blocks: Blocks
) -> BandWork | Base:
    """Return what a band needs; if nothing, the band whose tiles it reuses."""
    full = TileSet.full(asset.grid(band.grid).geobox.tile_shape(tile=asset.tile))
    if record is None:
        return BandWork(band=band.id, start=Start.SOURCES, tiles=full)
    stored = dict(record.fingerprints)
    names = sorted(stored, key=lambda name: (name != band.id, name))
    same_codec = record.image.codec == asset.codec
    same = next((name for name in names if stored[name] == mine), None)
    if same is not None:
        base = (record.asset.id, same)
        return BandWork(band=band.id, start=Start.RECODE, tiles=full, base=base)
    frame = band_frame(asset, band.id)
    alike = next((name for name in names if band_frame(record.image, name) == frame), None)
    if alike is not None and same_codec and _is_of_today(record, alike):
        return _band_update(asset, band, record, alike, blocks)
    comparable = _comparable(asset, band, record)
    return BandWork(
        band=band.id,
        start=Start.SOURCES,
        tiles=full,
        base=comparable,
        can_stop=comparable is not None
        and _builds_alike(band, record.image.band(comparable[1]))
        and _is_of_today(record, comparable[1]),
    )


def _is_of_today(record: AssetRecord, name: str) -> bool:
    """Return whether this geobatch would compute a stored band to the same pixels.

    Tiles by an older rule are not to be mixed with those by the rule of today.
    """
    return dict(record.fingerprints)[name] == band_fingerprint(record.image, name)


def _band_update(
    asset: Raster, band: Band, record: AssetRecord, name: str, blocks: Blocks
) -> BandWork | Base:
    """Return what a band needs that differs from a stored one in sources or policy at most."""
    before = record.image.band(name)
    base = (record.asset.id, name)
    tiles = dirty_tiles(asset, band, record.image, before, blocks)
    if _builds_alike(band, before):
        if not tiles:
            return base
        return BandWork(band=band.id, start=Start.SOURCES, tiles=tiles, base=base, can_stop=True)
    full = TileSet.full(tiles.shape)
    if not tiles:
        return BandWork(band=band.id, start=Start.LEVEL_0, tiles=full, base=base)
    return BandWork(band=band.id, start=Start.SOURCES, tiles=tiles, above=full, base=base)


def _builds_alike(band: Band, before: Band) -> bool:
    """Return whether two bands have equal levels above wherever their level 0 is equal."""
    return (band.policy, band.mask_from_level) == (before.policy, before.mask_from_level)


def _comparable(asset: Raster, band: Band, record: AssetRecord) -> Base | None:
    """Return the stored band whose equal tiles need not be encoded again, if any."""
    old = record.image
    before = next((other for other in old.bands if other.id == band.id), None)
    if before is None or old.codec != asset.codec or old.tile != asset.tile:
        return None
    is_alike = (
        before.dtype == band.dtype
        and repr(before.fill) == repr(band.fill)
        and old.grid(before.grid).geobox.shape == asset.grid(band.grid).geobox.shape
    )
    return (old.id, before.id) if is_alike else None


def _level_count(asset: Raster, band: Band) -> int:
    return asset.grid(band.grid).level_count


def _array_count(band: Band, level: int) -> int:
    return 1 + band.has_mask(level)


def count_tiles(asset: Raster, work: Sequence[BandWork]) -> TileCounts:
    """Return how many tiles, of values and masks, some work of an asset touches."""
    if asset.is_external:
        return TileCounts(compute=0, total=0, by_level=())
    depth = max(grid.level_count for grid in asset.grids)
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


def _bytes_to_read(asset: Raster, work: Sequence[BandWork]) -> int:
    """Estimate the source bytes to read: each tileset's, by the share of tiles to ingest."""
    shares: dict[str, float] = {}
    for piece in work:
        if piece.start is Start.SOURCES:
            band = asset.band(piece.band)
            share = piece.tiles.count / (piece.tiles.shape[0] * piece.tiles.shape[1])
            for name in {band.tileset, band.masking.tileset or band.tileset}:
                shares[name] = max(share, shares.get(name, 0))
    return sum(
        math.ceil(shares.get(tileset.id, 0) * (source.size or 0))
        for tileset in asset.tilesets
        for source in tileset.sources
    )


def _bytes_to_write(asset: Raster, work: Sequence[BandWork]) -> int:
    total = 0
    for piece in work:
        band = asset.band(piece.band)
        itemsize = np.dtype(band.dtype).itemsize
        for level, tiles in enumerate(piece.dirty(_level_count(asset, band))):
            pixels = tiles.count * asset.tile * asset.tile
            total += pixels * (itemsize + _array_count(band, level) - 1)
    return total
