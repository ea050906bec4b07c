"""The document of an image as its spec."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from geobatch.declare.checks.image import asset_id_of
from geobatch.declare.fields.manifest import (
    CodecManifest,
    Manifest,
    MissingDataManifest,
    SourceManifest,
    TfrecordManifest,
    TilingManifest,
)
from geobatch.declare.projects.project import Project
from geobatch.declare.specs import (
    BandSpec,
    ExternalImageSpec,
    FeatureSpec,
    FootprintSpec,
    ImageSpec,
    MaskBandSpec,
    Positions,
    SourceSpec,
    TfrecordSpec,
    TilesetSpec,
)
from geobatch.model.assets.asset import Codec, Kind

_PLAIN_LEVEL = 3
"""Compression level of `zstd` and `gzip` by default; that of blosc is in `Codec`."""


def image_spec(
    manifest: Manifest, positions: Positions, project: Project
) -> ImageSpec | ExternalImageSpec:
    """Return the spec of an image's document; valid only if the document has no problems.

    Args:
        manifest: The document.
        positions: Its positions in the file.
        project: Settings of all specs of its project.
    """
    only = manifest.tilesets[0].id if manifest.tilesets else ""
    grid, bounds = manifest.grid, None
    if grid is not None and grid.bounds is not None:
        left, bottom, right, top = (float(value) for value in grid.bounds)
        bounds = (left, bottom, right, top)
    tiling = manifest.tiling or TilingManifest()
    common: dict[str, Any] = {
        "id": asset_id_of(manifest, project),
        "tilesets": tuple(
            TilesetSpec(
                id=tileset.id,
                sources=tuple(_source(source) for source in tileset.sources),
                dtype=tileset.data_type,
                crs=tileset.crs,
                tfrecord=_tfrecord(tileset.tfrecord),
                is_optional=tileset.optional,
            )
            for tileset in manifest.tilesets
        ),
        "bands": tuple(
            BandSpec(
                id=band.id,
                tileset_id=only if band.tileset_id is None else band.tileset_id,
                tileset_band_index=band.tileset_band_index,
                feature=band.feature,
                missing_data=_values(band.missing_data),
                pyramiding_policy=band.pyramiding_policy,
            )
            for band in manifest.bands
        )
        or None,
        "array_bands": tuple(
            (name, tuple(members)) for name, members in sorted(manifest.array_bands.items())
        ),
        "mask_bands": tuple(
            MaskBandSpec(
                tileset_id=only if mask.tileset_id is None else mask.tileset_id,
                band_ids=tuple(dict.fromkeys(mask.band_ids)),
                feature=mask.feature,
                valid_value=mask.valid_value,
            )
            for mask in manifest.mask_bands
        ),
        "missing_data": _values(manifest.missing_data),
        "pyramiding_policy": manifest.pyramiding_policy,
        "start_time": manifest.start_time,
        "end_time": manifest.end_time,
        "properties": tuple(sorted(manifest.properties.items())),
        "footprint": FootprintSpec(
            points=tuple((float(p.x), float(p.y)) for p in manifest.footprint.points),
            band_id=manifest.footprint.band_id,
        )
        if manifest.footprint
        else None,
        "memo": manifest.memo,
        "uri_prefix": manifest.uri_prefix,
        "skip_metadata_read": manifest.skip_metadata_read,
        "is_protected": bool(manifest.lifecycle and manifest.lifecycle.protect),
        "moved_from": manifest.moved_from,
        "positions": positions,
        "project": project,
    }
    if manifest.kind is Kind.EXTERNAL_IMAGE:
        return ExternalImageSpec(**common, allow_unpinned=manifest.allow_unpinned)
    return ImageSpec(
        **common,
        tile=tiling.shard or tiling.tile,
        codec=replace(_codec(manifest.codec), chunk=tiling.tile if tiling.shard else 0),
        bounds=bounds,
        max_tiles=None if grid is None else grid.max_tiles,
    )


def _values(missing: MissingDataManifest | None) -> tuple[int | float, ...] | None:
    return None if missing is None else tuple(missing.values)


def _source(source: SourceManifest) -> SourceSpec:
    affine, size = source.affine_transform, source.dimensions
    return SourceSpec(
        uris=tuple(source.uris),
        affine_transform=(
            float(affine.scale_x),
            float(affine.shear_x),
            float(affine.translate_x),
            float(affine.shear_y),
            float(affine.scale_y),
            float(affine.translate_y),
        )
        if affine
        else None,
        dimensions=(size.width, size.height) if size else None,
    )


def _tfrecord(tfrecord: TfrecordManifest | None) -> TfrecordSpec | None:
    if tfrecord is None:
        return None
    columns, rows = tfrecord.kernel_size
    return TfrecordSpec(
        kernel_size=(columns, rows),
        features=tuple(
            FeatureSpec(
                name=feature.name,
                dtype=feature.data_type,
                is_channels_last=feature.axis_order == "HWC" if feature.axis_order else None,
                depth=feature.depth,
            )
            for feature in tfrecord.features
        ),
        dtype=tfrecord.data_type,
    )


def _codec(codec: CodecManifest | None) -> Codec:
    if codec is None:
        return Codec()
    if codec.name == "none":
        return Codec(name="none", level=0, compressor="", shuffle="")
    if codec.name != "blosc":
        level = _PLAIN_LEVEL if codec.level is None else codec.level
        return Codec(name=codec.name, level=level, compressor="", shuffle="")
    return Codec(
        name="blosc",
        level=Codec().level if codec.level is None else codec.level,
        compressor=codec.compressor or "zstd",
        shuffle=codec.shuffle or "bitshuffle",
    )
