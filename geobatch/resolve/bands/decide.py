"""Resolved bands: their dtype, what masks them, and the value of masked pixels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress

import numpy as np

from geobatch.errors import PlanError
from geobatch.model.assets.asset import Band, Masking, MaskSource, Number, Policy
from geobatch.model.sources.header import Header


def decide_dtype(header: Header, index: int, declared: str | None) -> str:
    """Return the dtype of a band: the file's, or the declared one if it holds all its values.

    Byte files may be read as INT8 and the reverse, because TIFF had no such difference for long.

    Raises:
        PlanError: The declared dtype cannot hold the file's values.
    """
    file_dtype = header.dtypes[index]
    if declared is None or declared == file_dtype or {declared, file_dtype} == {"int8", "uint8"}:
        return declared or file_dtype
    if not _holds(declared, file_dtype):
        raise PlanError(
            f"`data_type` {declared.upper()} cannot hold the {file_dtype.upper()} values of"
            f" `{header.uri}`",
            hint="declare a type that holds every value of the file, or remove `data_type`",
        )
    return declared


def _holds(dtype: str, file_dtype: str) -> bool:
    # numpy calls int64 to float64 safe, though there only 53 bits are exact.
    is_rounded = dtype.startswith("float") and file_dtype in {"int64", "uint64"}
    return np.can_cast(file_dtype, dtype, casting="safe") and not is_rounded


def in_dtype(value: Number, dtype: str) -> Number | None:
    """Return a number in a dtype, or None if the dtype cannot hold it."""
    if dtype.startswith("float"):
        with np.errstate(over="ignore"):
            rounded = float(np.dtype(dtype).type(value))
        return None if math.isinf(rounded) and not math.isinf(value) else rounded
    if not math.isfinite(value) or value != int(value):
        return None
    limits = np.iinfo(dtype)
    return int(value) if limits.min <= int(value) <= limits.max else None


def own_nodata(header: Header, index: int, dtype: str) -> Number | None:
    """Return the nodata of a file's band, in the band's dtype; None without one."""
    value = header.nodata[index]
    is_reinterpreted = {dtype, header.dtypes[index]} == {"int8", "uint8"}
    if value is not None and is_reinterpreted:
        # The pixels are reinterpreted, and so is their nodata.
        return int(np.array([value], dtype=header.dtypes[index]).view(dtype)[0])
    if is_reinterpreted and header.nodata_text is not None:
        # TIFF had no signed bytes for long: the tag may refer to the declared type.
        with suppress(ValueError):
            return in_dtype(int(header.nodata_text), dtype)
    return None if value is None else in_dtype(value, dtype)


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
        headers: Headers of the sources, which agree in structure.
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
    nodata = _common_nodata(headers, index, dtype, is_asked=is_asked)
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


def _common_nodata(
    headers: Sequence[Header], index: int, dtype: str, *, is_asked: bool
) -> Number | None:
    """Return the nodata of the sources; None if they differ and it is not used.

    Raises:
        PlanError: It is used, and they differ; names two files and both values.
    """
    first = headers[0]
    nodata = own_nodata(first, index, dtype)
    for other in headers[1:]:
        if other.nodata == first.nodata and other.nodata_text == first.nodata_text:
            continue
        value = own_nodata(other, index, dtype)
        if repr(value) != repr(nodata):
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
