"""Resolved bands: what masks each, and the value of its masked pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from geobatch.declare import FootprintSpec, MaskBandSpec
from geobatch.errors import PlanError
from geobatch.model.assets.asset import Band, Masking, MaskSource, Number, Policy
from geobatch.model.sources.header import Header
from geobatch.resolve.canvas.canvas import Canvas
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.typed_bands import TypedBand


def resolve_bands(
    typed: Sequence[TypedBand],
    mosaics: Mapping[str, Mosaic],
    canvases: Mapping[str, Canvas],
    footprint: FootprintSpec | None,
) -> tuple[Band, ...]:
    """Return the bands of an image with their masks and fill values.

    Args:
        typed: The bands.
        mosaics: The tilesets of the image.
        canvases: Their canvases.
        footprint: The declared footprint; masks pixels of all bands on its grid.

    Raises:
        PlanError: A mask cannot be one, or the sources' own masks decide and differ.
    """
    cut = None
    if footprint is not None:
        named = (band for band in typed if footprint.band_id in {"", band.id})
        cut = canvases[next(named).tileset].grid
    return tuple(
        decide_band(
            band_id=band.id,
            grid=canvases[band.tileset].grid,
            tileset=band.tileset,
            index=band.index,
            headers=mosaics[band.tileset].headers,
            dtype=band.dtype,
            policy=band.policy,
            missing=band.missing,
            mask_tileset=None if band.mask is None else band.mask.tileset_id,
            valid_value=255
            if band.mask is None
            else _valid_value(band.mask, mosaics[band.mask.tileset_id].headers),
            has_gaps=canvases[band.tileset].has_gaps or canvases[band.tileset].grid == cut,
        )
        for band in typed
    )


def _valid_value(mask: MaskBandSpec, headers: Sequence[Header]) -> int:
    """Return which value of a mask band means valid: as declared, else the highest of its bits.

    Raises:
        PlanError: The band is not of a type that masks are, or its sources differ in their bits.
    """
    first = headers[0]
    dtype = first.dtypes[-1]
    if mask.valid_value is None and dtype != "uint8":
        raise PlanError(
            f"the last band of mask tileset `{mask.tileset_id}` (`{first.uri}`) is"
            f" {dtype.upper()}, expected UINT8 from 0 (masked) to 255 (valid)",
            hint="rewrite the mask as UINT8, or declare the value that means valid:"
            " `valid_value` in `mask_bands`",
        )
    if mask.valid_value is not None:
        if dtype.startswith("float") or mask.valid_value > np.iinfo(dtype).max:
            raise PlanError(
                f"`valid_value: {mask.valid_value}` is not a value of mask tileset"
                f" `{mask.tileset_id}`, whose last band (`{first.uri}`) is {dtype.upper()}",
                hint="masks must be integers",
            )
        return mask.valid_value
    for other in headers[1:]:
        if other.bits != first.bits:
            raise PlanError(
                f"sources of mask tileset `{mask.tileset_id}` differ in bits: `{first.uri}` has"
                f" `{first.bits or 8}`, `{other.uri}` has `{other.bits or 8}`",
                hint="rewrite one of them, or declare `valid_value` in `mask_bands`",
            )
    return 255 if first.bits is None else (1 << first.bits) - 1


def decide_band(
    *,
    band_id: str,
    grid: str,
    tileset: str,
    index: int,
    headers: Sequence[Header],
    dtype: str,
    policy: Policy,
    missing: tuple[Number, ...] | None,
    mask_tileset: str | None,
    has_gaps: bool,
    valid_value: int = 255,
) -> Band:
    """Return a band with its masking and fill value.

    Of the sources of masking the highest wins: the mask tileset, then declared missing values, then
    the file's own internal mask, nodata or alpha. Declaring no missing values (`values: []`) sets
    the file's nodata aside, and nothing else. What a file says is asked only where the spec says
    nothing; only then must the sources agree in it.

    Args:
        band_id: Id of the band.
        grid: Name of its grid.
        tileset: Id of its tileset.
        index: Zero-based index in the tileset's sources.
        headers: Headers of the sources, which agree in structure; nodata is in the dtype.
        dtype: Resolved dtype.
        policy: Pyramiding policy.
        missing: Declared missing values in the band's dtype; None if none are declared.
        mask_tileset: Id of the tileset whose last band masks this one.
        has_gaps: Whether sources or footprint leave a part uncovered.
        valid_value: Value of the mask band that means valid.

    Raises:
        PlanError: The sources' own masks decide, and are not of one kind or not of one nodata.
    """
    header = headers[0]
    is_asked = mask_tileset is None and missing is None
    nodata = _common_nodata(headers, index, is_asked=is_asked)
    is_alpha_itself = index == header.alpha_index
    if mask_tileset is None and not missing:
        _check_own_masks(headers, has_nodata=nodata is not None and missing is None)
    masks = {other.mask for other in headers}
    own = None if is_alpha_itself else next((m for m in ("internal", "alpha") if m in masks), None)
    values: tuple[Number, ...]
    is_near = False
    if mask_tileset is not None:
        source, values = MaskSource.BAND, ()
    elif missing:
        source, values = MaskSource.VALUES, missing
    # In a file, an internal mask overrides nodata, and nodata overrides alpha, as in GDAL.
    elif own == "internal":
        source, values = MaskSource.FILE, ()
    elif nodata is not None and missing is None:
        source, values = MaskSource.VALUES, (nodata,)
        is_near = header.dtypes[index].startswith("float") and not math.isnan(nodata)
    elif own is not None:
        source, values = MaskSource.FILE, ()
    else:
        source, values = MaskSource.NONE, ()
    if missing is not None:
        nodata = missing[0] if missing else None
    fill, is_free = _fill(dtype, header.dtypes[index], nodata)
    # A nodata that is not what masks the band may be the value of a valid pixel.
    is_free = is_free or source is MaskSource.VALUES
    return Band(
        id=band_id,
        grid=grid,
        tileset=tileset,
        index=index,
        dtype=dtype,
        policy=policy,
        fill=fill,
        masking=Masking(
            source=source,
            values=values,
            is_near=is_near,
            tileset=mask_tileset,
            valid_value=255 if mask_tileset is None else valid_value,
            is_partial=source is MaskSource.BAND
            or (source is MaskSource.FILE and (own == "alpha" or _has_weights(headers))),
            has_gaps=has_gaps,
            is_fill_free=is_free,
        ),
        description=header.descriptions[index],
        unit=header.units[index],
        scale=header.scales[index],
        offset=header.offsets[index],
        palette=header.palettes[index],
    )


def _check_own_masks(headers: Sequence[Header], *, has_nodata: bool) -> None:
    """Check that all sources are masked in one way.

    Internal masks may be in some of them: where there is none, all pixels are valid. But not beside
    a nodata value, which would then hold for those others alone.
    """
    first = headers[0]
    for other in headers[1:]:
        is_optional = not has_nodata and {first.mask, other.mask} == {"internal", None}
        if other.mask != first.mask and not is_optional:
            raise PlanError(
                "sources of one tileset differ in how they are masked:"
                f" `{first.uri}` has `{first.mask or 'none'}`,"
                f" `{other.uri}` has `{other.mask or 'none'}`",
                hint="put them into separate tilesets, or declare `missing_data` or `mask_bands`",
            )


def _common_nodata(headers: Sequence[Header], index: int, *, is_asked: bool) -> Number | None:
    """Return the nodata of the sources; None if they differ and it is not used.

    Raises:
        PlanError: It is used, and they differ; names two files and both values.
    """
    first = headers[0]
    nodata = first.nodata[index]
    for other in headers[1:]:
        value = other.nodata[index]
        if value is not nodata and repr(value) != repr(nodata):
            if is_asked:
                raise PlanError(
                    "sources of one tileset differ in missing value (nodata):"
                    f" `{first.uri}` has `{nodata}`, `{other.uri}` has `{value}`",
                    hint="declare `missing_data`, which overrides the files, as in"
                    f" `missing_data: {{values: [{_listed(nodata, value)}]}}`",
                )
            return None
    return nodata


def _listed(*values: Number | None) -> str:
    """Return values as a spec lists them; NaN is always masked."""
    return ", ".join(str(v) for v in values if v is not None and math.isfinite(v))


def _has_weights(headers: Sequence[Header]) -> bool:
    """Return whether an internal mask may hold more than 0 and 255: those of one bit do not."""
    return any(header.mask == "internal" and header.mask_bits > 1 for header in headers)


def _fill(dtype: str, file_dtype: str, nodata: Number | None) -> tuple[Number, bool]:
    """Return the value burned into masked pixels, and whether no valid pixel can equal it."""
    if nodata is not None:
        return nodata, False
    if dtype.startswith("float"):
        return math.nan, True
    if dtype != file_dtype and {dtype, file_dtype} != {"int8", "uint8"}:
        wide, narrow = np.iinfo(dtype), np.iinfo(file_dtype)
        if wide.min < narrow.min:
            return int(wide.min), True
        if wide.max > narrow.max:
            return int(wide.max), True
    return 0, False
