"""Why an asset changes: the difference of two resolved assets, facet by facet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from msgspec.structs import replace

from geobatch.model.assets.asset import (
    Asset,
    Band,
    Codec,
    ExternalImage,
    Grid,
    Image,
    Source,
    Table,
    Tileset,
)
from geobatch.model.assets.band import MaskSource
from geobatch.model.assets.image import Raster
from geobatch.model.plans.plan import Because, Reason
from geobatch.planner.dirty import Blocks
from geobatch.planner.tables import table_reasons

ArrayBands: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]


def because_of(
    asset: Asset, before: Asset | None, blocks: Blocks = MappingProxyType({})
) -> tuple[Because, ...]:
    """Return every reason for which an asset differs from what was published under its name."""
    if before is None:
        return (Because(reason=Reason.NEW_ASSET, path=asset.id),)
    # A fingerprint may differ without a reason, for example by the rules of a newer version.
    otherwise = Because(
        reason=Reason.METADATA_CHANGED, path=asset.id, detail="resolved or computed differently"
    )
    return tuple(_reasons(asset, before, blocks)) or (otherwise,)


def _reasons(asset: Asset, before: Asset, blocks: Blocks) -> Iterator[Because]:
    is_kind = asset.kind is before.kind
    if not is_kind:
        yield _because(Reason.KIND_CHANGED, "kind", before.kind, _kind_text(asset))
    if isinstance(asset, Table) and isinstance(before, Table):
        yield from table_reasons(asset, before)
    # A table has no pixels: of the image that replaces it, everything is new.
    new = asset if isinstance(asset, Raster) else None
    old = before if isinstance(before, Raster) else None
    if new and old:
        yield from _sources(new.tilesets, old.tilesets, blocks)
    yield from _grids(new.grids if new else (), old.grids if old else ())
    yield from _bands(new.bands if new else (), old.bands if old else ())
    yield from _array_bands(new.array_bands if new else (), old.array_bands if old else ())
    # Tiles and codec of an external image follow from its COGs: of another kind, they say nothing.
    if new and old and is_kind:
        yield from _encoding(new, old)
    yield from _properties(asset, before)
    for name in ("start_time", "end_time"):
        was, now = getattr(before, name), getattr(asset, name)
        if was != now:
            yield _because(Reason.TIME_CHANGED, name, was, now)
    if (new.footprint if new else None) != (old.footprint if old else None):
        yield Because(reason=Reason.MASKING_CHANGED, path="footprint")
    yield from _kept_beside(asset, before)


def _kept_beside(asset: Asset, before: Asset) -> Iterator[Because]:
    """Yield what changes of that which no reader sees."""
    if asset.is_protected != before.is_protected:
        yield _because(
            Reason.LIFECYCLE_CHANGED, "lifecycle.protect", before.is_protected, asset.is_protected
        )
    checks, old = (one.checks if isinstance(one, Raster) else () for one in (asset, before))
    if checks != old:
        yield Because(reason=Reason.CHECKS_CHANGED, path="checks")
    if asset.memo != before.memo:
        yield Because(reason=Reason.METADATA_CHANGED, path="memo")


def _encoding(asset: Raster, before: Raster) -> Iterator[Because]:
    if asset.tile != before.tile:
        yield _because(
            Reason.TILING_CHANGED, "tiling.tile", _tiling_text(before), _tiling_text(asset)
        )
    elif asset.codec.chunk != before.codec.chunk:
        # The chunks of a shard are a way to encode it: its pixels stay.
        yield _because(
            Reason.CODEC_CHANGED, "tiling.tile", _tiling_text(before), _tiling_text(asset)
        )
    old, new = (replace(one.codec, chunk=0) for one in (before, asset))
    if old != new:
        yield _because(Reason.CODEC_CHANGED, "codec", _codec_text(old), _codec_text(new))


def _tiling_text(asset: Raster) -> str:
    chunk = asset.codec.chunk
    return f"{asset.tile}" if not chunk else f"{chunk} in shards of {asset.tile}"


def _codec_text(codec: Codec) -> str:
    settings = (codec.compressor, str(codec.level) if codec.level else "", codec.shuffle)
    return " ".join((codec.name, *filter(None, settings)))


def _kind_text(asset: Asset) -> str:
    match asset:
        case Image():
            means = "pixels are ingested"
        case ExternalImage():
            means = "pixels stay in the COGs, tiles are removed"
        case Table():
            means = "rows are read, pixels are removed"
    return f"{asset.kind}: {means}"


def _because(reason: Reason, path: str, old: Any, new: Any) -> Because:
    return Because(reason=reason, path=path, detail=f"{_text(old)} -> {_text(new)}")


def _text(value: Any) -> str:
    return (
        "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    )


def _sources(
    tilesets: Sequence[Tileset], before: Sequence[Tileset], blocks: Blocks
) -> Iterator[Because]:
    old_tilesets = {tileset.id: tileset for tileset in before}
    for tileset in tilesets:
        old = old_tilesets.get(tileset.id)
        if old is None:
            continue
        yield from _tileset_sources(tileset, old, blocks)
        yield from _tellers(tileset, old)


def _tileset_sources(tileset: Tileset, before: Tileset, blocks: Blocks) -> Iterator[Because]:
    old = _by_uri(before.sources)
    new = _by_uri(tileset.sources)
    # A file that was only renamed or moved on disk is the same source.
    renamed = {(s.digest, s.row, s.col) for key, s in old.items() if key not in new}
    for key, source in new.items():
        uri = source.uri
        if key in old:
            yield from _source(source, old[key], blocks)
        elif (source.digest, source.row, source.col) in renamed:
            yield Because(reason=Reason.METADATA_CHANGED, path=uri, detail="same file, renamed")
        else:
            yield Because(reason=Reason.SOURCE_ADDED, path=uri)
    kept = {(s.digest, s.row, s.col) for key, s in new.items() if key not in old}
    for key, source in old.items():
        if key not in new and (source.digest, source.row, source.col) not in kept:
            yield Because(reason=Reason.SOURCE_REMOVED, path=source.uri)
    if [key for key in new if key in old] != [key for key in old if key in new]:
        yield Because(
            reason=Reason.SOURCE_MOVED, path=f"tilesets.{tileset.id}", detail="order of sources"
        )


def _tellers(tileset: Tileset, before: Tileset) -> Iterator[Because]:
    """Yield where an unchanged CRS or placement now comes from the spec, or from the file."""
    pairs = [(f"tilesets.{tileset.id}.crs", before.has_own_crs, tileset.has_own_crs)]
    old = _by_uri(before.sources)
    for key, source in _by_uri(tileset.sources).items():
        if key in old:
            pairs.append((f"placement of {source.uri}", old[key].is_placed, source.is_placed))
    words = {True: "from the spec", False: "from the file"}
    for what, was_told, is_told in pairs:
        if was_told is not is_told:
            yield _because(Reason.METADATA_CHANGED, what, words[was_told], words[is_told])


def _source(source: Source, before: Source, blocks: Blocks) -> Iterator[Because]:
    uri, pin, old = source.uri, source.pin, before.pin
    if (pin is None) is not (old is None):
        return  # of a COG that stays where it is, the digest is another one
    if source.digest != before.digest:
        known = blocks.get((before.digest, source.digest))
        unknown = "no unchanged block known"
        if source.remote is not None:
            unknown = "its blocks are compared by `apply`; by `plan --rehash` beforehand"
        detail = f"({unknown})" if known is None else f"({known.count:,} of {known.total:,} blocks)"
        if pin is not None and old is not None:
            detail = f"(pinned to {_short(old.generation)}, now {_short(pin.generation)})"
        yield Because(reason=Reason.SOURCE_CHANGED, path=uri, detail=detail)
    elif (source.row, source.col) != (before.row, before.col):
        places = (before.row, before.col), (source.row, source.col)
        yield _because(Reason.SOURCE_MOVED, uri, *places)
    elif source.mask != before.mask:
        yield _because(Reason.MASKING_CHANGED, uri, before.mask, source.mask)
    elif pin != old:
        detail = "same pixels; source moved or renamed"
        yield Because(reason=Reason.METADATA_CHANGED, path=uri, detail=detail)


def _short(generation: str) -> str:
    """Return a generation for display: the first digits of a digest, anything else in full."""
    return generation[:12] if len(generation) == 64 else generation


def _by_uri(sources: tuple[Source, ...]) -> dict[tuple[str, int], Source]:
    """Return sources by uri and by how often the uri occurred before: a file may be named twice."""
    found: dict[tuple[str, int], Source] = {}
    times: Counter[str] = Counter()
    for source in sources:
        found[source.uri, times[source.uri]] = source
        times[source.uri] += 1
    return found


def _grids(grids: Sequence[Grid], before: Sequence[Grid]) -> Iterator[Because]:
    old = {grid.name: grid.geobox for grid in before}
    new = {grid.name: grid.geobox for grid in grids}
    for name, geobox in new.items():
        if name not in old:
            yield Because(reason=Reason.GRID_CHANGED, path=f"grid {name}", detail="new")
        elif geobox.crs != old[name].crs:
            yield _because(Reason.GRID_CHANGED, f"grid {name}.crs", old[name].crs, geobox.crs)
        elif geobox.shape != old[name].shape:
            yield _because(Reason.GRID_CHANGED, f"grid {name}.shape", old[name].shape, geobox.shape)
        elif geobox.transform != old[name].transform:
            yield _because(
                Reason.GRID_CHANGED, f"grid {name}.transform",
                old[name].transform, geobox.transform,
            )  # fmt: skip
    shapes = {grid.name: grid.shapes for grid in before}
    for grid in grids:
        if grid.shapes and shapes.get(grid.name, grid.shapes) not in (None, grid.shapes):
            yield Because(
                reason=Reason.GRID_CHANGED, path=f"grid {grid.name}", detail="overviews changed"
            )
    for name in old:
        if name not in new:
            yield Because(reason=Reason.GRID_CHANGED, path=f"grid {name}", detail="gone")


def _bands(bands: Sequence[Band], before: Sequence[Band]) -> Iterator[Because]:
    old = {band.id: band for band in before}
    new = {band.id: band for band in bands}
    for name, band in new.items():
        if name in old:
            yield from _band(band, old[name])
        else:
            yield Because(reason=Reason.BAND_ADDED, path=f"bands.{name}")
    for name in old:
        if name not in new:
            yield Because(reason=Reason.BAND_REMOVED, path=f"bands.{name}")
    if [name for name in new if name in old] != [name for name in old if name in new]:
        yield Because(reason=Reason.BANDS_REORDERED, path="bands")


def _array_bands(arrays: ArrayBands, before: ArrayBands) -> Iterator[Because]:
    old, new = dict(before), dict(arrays)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            yield Because(reason=Reason.METADATA_CHANGED, path=f"array_bands.{name}")


def _band(band: Band, before: Band) -> Iterator[Because]:
    path = f"bands.{band.id}"
    if band.policy is not before.policy:
        yield _because(
            Reason.POLICY_CHANGED, f"{path}.pyramiding_policy", before.policy, band.policy
        )
    if band.dtype != before.dtype:
        yield _because(Reason.DTYPE_CHANGED, path, before.dtype, band.dtype)
    source, old_source = (band.tileset, band.index), (before.tileset, before.index)
    if source != old_source:
        yield _because(Reason.BAND_SOURCE_CHANGED, path, old_source, source)
    if repr((band.fill, band.masking)) != repr((before.fill, before.masking)):
        yield Because(
            reason=Reason.MASKING_CHANGED, path=path, detail=_masking_change(band, before)
        )
    if band.grid != before.grid:
        yield _because(Reason.GRID_CHANGED, path, before.grid, band.grid)
    for name in ("description", "unit", "scale", "offset", "palette"):
        if getattr(band, name) != getattr(before, name):
            yield Because(reason=Reason.METADATA_CHANGED, path=f"{path}.{name}")


def _masking_change(band: Band, before: Band) -> str:
    """Return what masks a band and what did, or the fill values; empty if it is only gaps."""
    old, new = _masking_text(before), _masking_text(band)
    if old != new:
        return f"{old} -> {new}"
    was, now = _text(before.fill), _text(band.fill)
    return f"fill {was} -> {now}" if was != now else ""


def _masking_text(band: Band) -> str:
    masking = band.masking
    if masking.source is MaskSource.VALUES:
        return ", ".join(map(_text, masking.values)) or "no value"
    if masking.source is MaskSource.BAND:
        return f"mask of {masking.tileset}"
    return "mask of the file" if masking.source is MaskSource.FILE else "none"


def _properties(asset: Asset, before: Asset) -> Iterator[Because]:
    old, new = dict(before.properties), dict(asset.properties)
    for key in sorted(old.keys() | new.keys()):
        if key not in old or key not in new or repr(old[key]) != repr(new[key]):
            yield _because(
                Reason.PROPERTIES_CHANGED, f"properties.{key}", old.get(key), new.get(key)
            )
