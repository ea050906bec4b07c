"""The document of an image as its spec."""

from __future__ import annotations

from msgspec.structs import replace

from geobatch.declare.checks.image import asset_id_of
from geobatch.declare.fields.manifest import CodecManifest, Manifest, TilingManifest
from geobatch.declare.fields.members import members_of, spec_of
from geobatch.declare.projects.project import Project
from geobatch.declare.specs import ExternalImageSpec, ImageSpec, Positions
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
    members = members_of(manifest)
    members |= {
        "type": (manifest.kind or Kind.IMAGE).value,
        "id": asset_id_of(manifest, project),
        "bands": members["bands"] or None,
        "positions": positions,
        "project": project,
    }
    only = manifest.tilesets[0].id if manifest.tilesets else ""
    for part in (*(members["bands"] or ()), *members["mask_bands"]):
        part.setdefault("tileset_id", only)
    for mask in members["mask_bands"]:
        mask["band_ids"] = list(dict.fromkeys(mask["band_ids"]))
    if manifest.kind is Kind.EXTERNAL_IMAGE:
        return spec_of(ExternalImageSpec, members)
    tiling = manifest.tiling or TilingManifest()
    chunk = tiling.tile if tiling.shard else 0
    members["tile"] = tiling.shard or tiling.tile
    members["codec"] = replace(_codec(manifest.codec), chunk=chunk)
    return spec_of(ImageSpec, members)


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
