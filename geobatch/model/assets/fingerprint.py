"""Fingerprints: hashes of everything that determines a result, known before reading pixels.

They decide what to compute. Names (asset, band, tileset, grid, uri) determine no pixel, and the
codec none either: a band keeps its fingerprint through a renaming and through a new codec.
"""

from __future__ import annotations

from geobatch.model.assets.asset import Asset, Band, MaskSource, Tileset
from geobatch.model.assets.documents.asset_json import (
    Members,
    geobox_json,
    pixel_json,
    points_json,
    recorded_json,
    source_json,
    visible_json,
)
from geobatch.model.assets.documents.table_json import rows_json
from geobatch.model.assets.image import Raster
from geobatch.model.assets.table import Table
from geobatch.model.digest import Digest, Json, canonical_json, digest_json
from geobatch.model.published import BandFingerprint
from geobatch.model.sources.tfrecord import channels_of

ALGORITHM_EPOCH = 3
"""Increased whenever equal inputs would give other pixels or masks than before."""


def asset_fingerprint(asset: Asset) -> Digest:
    """Return the hash of a whole resolved asset: equal means that there is nothing to do.

    What a CRS library derives from the identity of a CRS stays out, lest its upgrade look like a
    change.
    """
    recorded = recorded_json(asset)
    del recorded["crs"]
    return digest_json(["geobatch asset", ALGORITHM_EPOCH, visible_json(asset), recorded])


def table_fingerprint(table: Table) -> Digest:
    """Return the hash of what determines a table's rows."""
    shards = [source.digest for source in table.sources]
    return digest_json(["geobatch table", ALGORITHM_EPOCH, shards, rows_json(table)])


def band_fingerprint(asset: Raster, band_id: str) -> BandFingerprint:
    """Return the hashes of what determines a band's level 0, and the levels above it.

    Raises:
        StopIteration: The asset has no such band.
    """
    band = asset.band(band_id)
    base = digest_json(["geobatch band", ALGORITHM_EPOCH, _base_json(asset, band)])
    pyramid = digest_json(
        ["geobatch pyramid", ALGORITHM_EPOCH, base, band.policy.value, band.mask_from_level]
    )
    return BandFingerprint(base=base, pyramid=pyramid)


def band_frame(asset: Raster, band_id: str) -> Digest:
    """Return the hash of what determines a band's level 0, without sources and their placement.

    Of two bands with one frame, only tiles under sources that differ can differ.

    Raises:
        StopIteration: The asset has no such band.
    """
    band = asset.band(band_id)
    return digest_json(
        ["geobatch frame", ALGORITHM_EPOCH, _base_json(asset, band, has_sources=False)]
    )


def external_content(asset: Raster, band_id: str, *, level: int, is_mask: bool) -> Digest:
    """Return what replaces the digest of pixels of an external image's array, which are not read.

    Two of them are equal where the same levels of the same COGs are shown under the same masking.

    Raises:
        StopIteration: The asset has no such band.
    """
    base = band_fingerprint(asset, band_id).base
    return digest_json(["geobatch external array", base, level, is_mask])


def _base_json(asset: Raster, band: Band, *, has_sources: bool = True) -> Members:
    tileset = asset.tileset(band.tileset)
    footprint = asset.footprint
    return {
        "tile": asset.tile,
        "grid": geobox_json(asset.grid(band.grid).geobox),
        "dtype": band.dtype,
        "fill": pixel_json(band.fill, is_float=band.is_float),
        "masking": _masking_json(asset, band, has_sources=has_sources),
        "source": _channel_json(tileset, band.index, has_sources=has_sources),
        "footprint": None
        if footprint is None
        else [geobox_json(asset.grid(footprint.grid).geobox), points_json(footprint)],
    }


def _masking_json(asset: Raster, band: Band, *, has_sources: bool) -> Json:
    masking = band.masking
    values = {
        canonical_json(pixel_json(v, is_float=band.is_float)).decode() for v in masking.values
    }
    mask: Json = None
    if masking.source is MaskSource.BAND and masking.tileset is not None:
        mask = _channel_json(asset.tileset(masking.tileset), -1, has_sources=has_sources)
        # A mask of the same files is mosaicked with their pixels, a mask of others after that.
        mask["is_own"] = masking.tileset == band.tileset
    return {
        "source": masking.source.value,
        "values": sorted(values),
        "is_near": masking.is_near,
        "valid_value": masking.valid_value,
        "mask": mask,
        "is_stored": band.mask_from_level == 0,
    }


def _channel_json(tileset: Tileset, index: int, *, has_sources: bool) -> Members:
    """Return one band of a tileset's mosaic: the order of the sources decides overlaps."""
    channel: Members = {"index": index % len(tileset.dtypes), "dtype": tileset.dtypes[index]}
    if tileset.features:
        # Only the features that are read count: another feature in the records is no change.
        feature, number = channels_of(tileset.features)[index]
        channel["index"] = feature.to_json(number)
    if has_sources:
        channel["sources"] = [source_json(source) for source in tileset.sources]
    return channel
