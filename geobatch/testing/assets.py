"""Hypothesis strategies for resolved assets and for what a store records of them."""

from __future__ import annotations

import math
from typing import TypeVar

from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.model.assets.asset import (
    DTYPES,
    Band,
    Codec,
    ExternalImage,
    Footprint,
    Grid,
    Image,
    Masking,
    MaskSource,
    Number,
    Policy,
    Source,
    Tileset,
)
from geobatch.model.assets.fingerprint import band_fingerprint
from geobatch.model.assets.image import IMAGES
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.published import ArrayKey, AssetRecord, PageRef
from geobatch.model.sources.pin import Pin, Remote

_Value = TypeVar("_Value")

_NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,6}", fullmatch=True)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
_DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
_FLOATS = st.floats(allow_nan=False)
_FINITE = st.floats(allow_nan=False, allow_infinity=False)
_SIZES = st.integers(1, 5000)


def codecs() -> st.SearchStrategy[Codec]:
    """Return codecs of every kind and any sensible level."""
    levels = st.integers(1, 9)
    shuffles = st.sampled_from(["noshuffle", "shuffle", "bitshuffle"])
    compressors = st.sampled_from(["zstd", "lz4", "lz4hc", "zlib", "blosclz"])
    blosc = st.builds(Codec, level=levels, compressor=compressors, shuffle=shuffles)
    bare = st.builds(
        Codec,
        name=st.sampled_from(["zstd", "gzip", "none"]),
        level=levels,
        compressor=st.just(""),
        shuffle=st.just(""),
    )
    return blosc | bare


def pixel_values(dtype: str) -> st.SearchStrategy[Number]:
    """Return pixel values of a dtype, NaN and infinities among the floats."""
    if dtype.startswith("float"):
        width = int(dtype.removeprefix("float"))
        return st.floats(width=64 if width == 64 else 32) | st.just(math.nan)
    bits = int(dtype.lstrip("uint"))
    low = 0 if dtype.startswith("u") else -(1 << (bits - 1))
    return st.integers(low, low + (1 << bits) - 1)


@st.composite
def assets(draw: st.DrawFn) -> Image | ExternalImage:
    """Return assets of one or two grids, tilesets and bands, with all that JSON may trip over."""
    grids = draw(_tuples(_grids(), key=lambda grid: grid.name, low=1))
    tilesets = draw(
        _tuples(_tilesets([grid.name for grid in grids]), key=lambda tileset: tileset.id, low=1)
    )
    bands = draw(_tuples(_bands(tilesets), key=lambda band: band.id, low=0))
    ids = [band.id for band in bands]
    arrays = st.dictionaries(_NAMES, st.permutations(ids).map(tuple), max_size=2 if ids else 0)
    points = st.tuples(_FINITE, _FINITE)
    properties = st.dictionaries(_NAMES, _TEXTS | st.integers() | st.floats(), max_size=3)
    image = draw(st.sampled_from(list(IMAGES.values())))
    if image is ExternalImage:
        shapes = st.lists(st.tuples(_SIZES, _SIZES), min_size=1, max_size=3).map(tuple)
        grids = tuple(replace(grid, shapes=draw(shapes)) for grid in grids)
        tilesets = tuple(
            replace(one, sources=tuple(replace(s, pin=draw(_pins())) for s in one.sources))
            for one in tilesets
        )
    return image(
        id=draw(_NAMES),
        grids=grids,
        bands=bands,
        tilesets=tilesets,
        array_bands=tuple(sorted(draw(arrays).items())),
        tile=draw(st.sampled_from([128, 256, 512])),
        codec=draw(codecs()),
        properties=tuple(sorted(draw(properties).items())),
        start_time=draw(st.none() | st.just("2025-01-01T00:00:00Z")),
        end_time=draw(st.none() | st.just("2026-01-01T00:00:00Z")),
        footprint=draw(
            st.none()
            | st.builds(
                Footprint,
                grid=st.just(grids[0].name),
                points=st.lists(points, max_size=4).map(tuple),
            )
        ),
        memo=draw(_TEXTS),
        is_protected=draw(st.booleans()),
    )


@st.composite
def records(draw: st.DrawFn) -> AssetRecord:
    """Return published assets whose page digests are made up."""
    asset = draw(assets())
    if isinstance(asset, ExternalImage):
        names = sorted(band.id for band in asset.bands)
        return AssetRecord(
            asset=asset,
            arrays=tuple((ArrayKey(band=name, level=0), None) for name in names),
            fingerprints=(),
        )
    keys = draw(st.sets(st.builds(ArrayKey, band=_NAMES, level=st.integers(0, 3)), max_size=4))
    pages = st.builds(
        PageRef,
        content=_DIGESTS,
        stored=_DIGESTS,
        size=st.integers(608, 1 << 40),
        tiles=st.integers(1, 1 << 50),
    )
    return AssetRecord(
        asset=asset,
        arrays=tuple((key, draw(st.none() | pages)) for key in sorted(keys)),
        fingerprints=tuple(
            sorted((band.id, band_fingerprint(asset, band.id)) for band in asset.bands)
        ),
    )


def _pins() -> st.SearchStrategy[Pin]:
    # `null` is what S3 calls an object without versions; it is read as no version.
    versions = _TEXTS.filter(lambda text: text != "null")
    remote = st.builds(Remote, size=_SIZES, version=versions, etag=_TEXTS, modified=_TEXTS)
    return st.builds(
        Pin,
        generation=_TEXTS,
        location=_TEXTS,
        header_bytes=_SIZES,
        overviews=st.lists(_SIZES, max_size=3).map(tuple),
        is_interleaved=st.booleans(),
        remote=st.none() | remote,
    )


def _tuples(
    values: st.SearchStrategy[_Value], *, key: object, low: int
) -> st.SearchStrategy[tuple[_Value, ...]]:
    unique = st.lists(values, min_size=low, max_size=2, unique_by=key)  # type: ignore[arg-type]
    return unique.map(tuple)


def _grids() -> st.SearchStrategy[Grid]:
    crs = st.builds(Crs, code=st.none() | st.just("EPSG:32618"), wkt=_TEXTS, cf=st.just("{}"))
    edge = st.floats(0.001, 1e6)
    transform = st.tuples(
        edge, st.just(0.0), _FINITE, st.just(0.0), edge.map(float.__neg__), _FINITE
    )
    geobox = st.builds(GeoBox, crs=crs, transform=transform, height=_SIZES, width=_SIZES)
    return st.builds(Grid, name=_NAMES, geobox=geobox)


def _tilesets(grids: list[str]) -> st.SearchStrategy[Tileset]:
    offset = st.integers(-5000, 5000)
    source = st.builds(
        Source,
        uri=_TEXTS,
        digest=_DIGESTS,
        row=offset,
        col=offset,
        height=_SIZES,
        width=_SIZES,
        mask=st.sampled_from([None, "alpha", "internal"]),
    )
    return st.builds(
        Tileset,
        id=_NAMES,
        grid=st.sampled_from(grids),
        dtypes=st.lists(st.sampled_from(DTYPES), min_size=1, max_size=3).map(tuple),
        sources=st.lists(source, max_size=3).map(tuple),
    )


@st.composite
def _bands(draw: st.DrawFn, tilesets: tuple[Tileset, ...]) -> Band:
    tileset = draw(st.sampled_from(tilesets))
    dtype = draw(st.sampled_from(DTYPES))
    kind = draw(st.sampled_from(MaskSource))
    mask = draw(st.sampled_from(tilesets)).id if kind is MaskSource.BAND else None
    values = draw(st.lists(pixel_values(dtype), max_size=2)) if kind is MaskSource.VALUES else []
    masking = Masking(
        source=kind,
        values=tuple(values),
        tileset=mask,
        is_partial=draw(st.booleans()),
        has_gaps=draw(st.booleans()),
        is_fill_free=draw(st.booleans()),
        is_near=draw(st.booleans()),
        valid_value=draw(st.sampled_from([255, 1, 65535])) if mask is not None else 255,
    )
    byte = st.integers(0, 255)
    palette = st.lists(st.tuples(byte, byte, byte, byte), max_size=3).map(tuple)
    return Band(
        id=draw(_NAMES),
        grid=tileset.grid,
        tileset=tileset.id,
        index=draw(st.integers(0, len(tileset.dtypes) - 1)),
        dtype=dtype,
        policy=draw(st.sampled_from(Policy)),
        fill=draw(pixel_values(dtype)),
        masking=masking,
        description=draw(st.none() | _TEXTS),
        unit=draw(st.none() | _TEXTS),
        scale=draw(st.none() | _FLOATS),
        offset=draw(st.none() | _FLOATS),
        palette=draw(st.none() | palette),
    )
