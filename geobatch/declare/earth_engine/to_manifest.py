"""A published asset as the Earth Engine manifest that would ingest it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from geobatch.declare.earth_engine.names import refused_names
from geobatch.declare.fields.manifest import TilingManifest
from geobatch.declare.text.written import TYPE_NAMES
from geobatch.model.assets.asset import AnyImage, Band, Codec, MaskSource, Number, Source, Tileset
from geobatch.model.assets.image import Raster
from geobatch.model.geobox import GeoBox

_PROJECT = re.compile(r"projects/[^/]+/assets/.+")
_AFFINE = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
_STEPS = (0, 1, -1, 2, -2)


class Exported(Struct, frozen=True, kw_only=True):
    """A manifest, and what it cannot express."""

    manifest: dict[str, Any]
    """The ImageManifest, as JSON."""
    notes: tuple[str, ...]
    """What Earth Engine refuses, or what is omitted."""


def asset_name(asset_id: str, project: str | None) -> str | None:
    """Return Earth Engine's name of an asset; None where the project is not known."""
    if project is not None:
        return f"projects/{project}/assets/{asset_id}"
    return asset_id if _PROJECT.fullmatch(asset_id) else None


def export_manifest(asset: AnyImage, *, name: str, uri_prefix: str = "") -> Exported:
    """Return the manifest of an asset.

    It declares what geobatch resolved and the files do not contain: bands, policies, masks, missing
    values, and placement and CRS that did not come from the files.

    Args:
        asset: The asset, as published.
        name: Its name in Earth Engine.
        uri_prefix: Common prefix of all uris.
    """
    bands = [_band(band) for band in asset.bands]
    missing = [_missing(band) for band in asset.bands]
    common = missing[0] if all(repr(each) == repr(missing[0]) for each in missing) else None
    for band, each in zip(bands, missing, strict=True):
        if each is not None and common is None:
            band["missingData"] = each
    members = {
        "name": name,
        "uriPrefix": uri_prefix,
        "tilesets": [_tileset(asset, tileset, len(uri_prefix)) for tileset in asset.tilesets],
        "bands": bands,
        "maskBands": _masks(asset.bands),
        "missingData": common,
        "footprint": _footprint(asset),
        "startTime": asset.start_time,
        "endTime": asset.end_time if asset.end_time != asset.start_time else None,
        "properties": dict(asset.properties),
        "memo": asset.memo,
    }
    manifest = {key: value for key, value in members.items() if value not in (None, "", [], {})}
    return Exported(manifest=manifest, notes=tuple(_notes(asset, name)))


def _tileset(asset: Raster, tileset: Tileset, prefix: int) -> dict[str, Any]:
    plane = asset.grid(tileset.grid).geobox
    members: dict[str, Any] = {"id": tileset.id}
    for band in asset.bands:
        if band.tileset == tileset.id and band.dtype != tileset.dtypes[band.index]:
            members["dataType"] = TYPE_NAMES[band.dtype]
    if tileset.has_own_crs:
        members["crs"] = plane.crs.identity
    members["sources"] = [_source(source, plane, prefix) for source in tileset.sources]
    return members


def _source(source: Source, plane: GeoBox, prefix: int) -> dict[str, Any]:
    members: dict[str, Any] = {"uris": [source.uri[prefix:]]}
    if source.is_placed:
        a, b, _, d, e, _ = plane.transform
        x, y = _corner(source, plane)
        members["affineTransform"] = dict(zip(_AFFINE, (a, b, x, d, e, y), strict=True))
    return members


def _corner(source: Source, plane: GeoBox) -> tuple[float, float]:
    """Return x and y of a source's corner that give back the plane's corner exactly.

    Adding the offset and taking it away may round; a neighbouring number then serves.
    """
    a, b, x0, d, e, y0 = plane.transform
    x, y = plane.xy(col=source.col, row=source.row)
    return (
        _exact(x, x0, lambda at: a * -source.col + b * -source.row + at),
        _exact(y, y0, lambda at: d * -source.col + e * -source.row + at),
    )


def _exact(near: float, wanted: float, back: Any) -> float:
    for step in _STEPS:
        found = near
        for _ in range(abs(step)):
            found = math.nextafter(found, math.copysign(math.inf, step))
        if back(found) == wanted:
            return found
    return near


def _band(band: Band) -> dict[str, Any]:
    return {
        "id": band.id,
        "tilesetId": band.tileset,
        "tilesetBandIndex": band.index,
        "pyramidingPolicy": band.policy.value,
    }


def _missing(band: Band) -> dict[str, Any] | None:
    """Return the missing data that recreate the band's masking and fill value."""
    masking = band.masking
    if masking.is_near:
        return None  # the file declares it, and GDAL also masks the floats close to it
    if masking.source is MaskSource.VALUES:
        return {"values": [_number(value) for value in masking.values]}
    is_default = masking.is_fill_free or (band.fill == 0 and not band.is_float)
    if masking.source is MaskSource.NONE or is_default:
        return {"values": []}
    return {"values": [_number(band.fill)]} if masking.source is MaskSource.BAND else None


def _number(value: Number) -> Any:
    # As JSON of Google's interfaces spells what JSON numbers cannot.
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _masks(bands: Sequence[Band]) -> list[dict[str, Any]]:
    tilesets = dict.fromkeys(
        band.masking.tileset for band in bands if band.masking.tileset is not None
    )
    masks: list[dict[str, Any]] = []
    for tileset in tilesets:
        ids = [band.id for band in bands if band.masking.tileset == tileset]
        masks.append({"tilesetId": tileset, **({} if len(ids) == len(bands) else {"bandIds": ids})})
    return masks


def _footprint(asset: Raster) -> dict[str, Any] | None:
    if asset.footprint is None:
        return None
    return {
        "points": [{"x": x, "y": y} for x, y in asset.footprint.points],
        "bandId": asset.bands_of(asset.footprint.grid)[0].id,
    }


def _notes(asset: AnyImage, name: str) -> Sequence[str]:
    notes = list(refused_names(asset, name=name))
    wide = sorted({b.dtype.upper() for b in asset.bands if b.dtype in ("int64", "uint64")})
    if wide:
        notes.append(f"Earth Engine has no {' or '.join(wide)}")
    if asset.is_external:
        notes.append("it is an external image: `earthengine upload external_image` takes it")
    left = list(_omitted(asset))
    if left:
        notes.append(f"omitted, because Earth Engine does not have it: {', '.join(left)}")
    return notes


def _omitted(asset: AnyImage) -> Iterator[str]:
    """Yield the keys of specs that a manifest cannot have."""
    if asset.tile != TilingManifest().tile or asset.codec.chunk:
        yield "`tiling`"
    if any(_is_cut(asset, tileset) for tileset in asset.tilesets):
        yield "`grid.bounds`"
    if replace(asset.codec, chunk=0) != Codec():
        yield "`codec`"
    if asset.is_protected:
        yield "`lifecycle`"
    if asset.checks:
        yield "`checks`"
    if asset.array_bands:
        yield "`array_bands`"
    if any(band.masking.valid_value != 255 for band in asset.bands):
        yield "`valid_value` of `mask_bands` (there, 255 means valid)"


def _is_cut(asset: Raster, tileset: Tileset) -> bool:
    """Return whether the canvas differs from the union of the sources that feed bands."""
    if all(band.tileset != tileset.id for band in asset.bands):
        return False
    plane, sources = asset.grid(tileset.grid).geobox, tileset.sources
    top, left = min(s.row for s in sources), min(s.col for s in sources)
    bottom, right = max(s.row + s.height for s in sources), max(s.col + s.width for s in sources)
    return (top, left, bottom, right) != (0, 0, plane.height, plane.width)
