"""Masks of specs and files: which value means valid, and which bands are data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from msgspec.structs import replace

from geobatch.declare import MaskBandSpec, RasterSpec
from geobatch.declare.checks.lint import warning
from geobatch.declare.hints import show
from geobatch.errors import PlanError, Problem
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.resolve.bands.decide import own_nodata

_VALID = 255


def valid_value(mask: MaskBandSpec, headers: Sequence[Header]) -> int:
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
    return _VALID if first.bits is None else (1 << first.bits) - 1


def with_declared_alpha(headers: list[Header], spec: RasterSpec, tileset: str) -> list[Header]:
    """Return the headers of a tileset; an alpha band that the spec declares as a band is data."""
    if all(header.alpha_index is None for header in headers):
        return headers
    declared = frozenset(
        band.tileset_band_index
        for band in spec.bands or ()
        if band.tileset_id == tileset and band.feature is None
    )
    return [as_data(header, declared) for header in headers]


def as_data(header: Header, declared: frozenset[int]) -> Header:
    """Return a header whose alpha band masks nothing, if the spec declares it as a band."""
    if header.alpha_index is None or header.alpha_index not in declared:
        return header
    mask = None if header.mask == "alpha" else header.mask
    return replace(header, mask=mask, alpha_index=None, is_premultiplied=False)


def alpha_warnings(
    spec: RasterSpec,
    tileset: int,
    files: Sequence[DeclaredSource],
    headers: Sequence[Header],
    mask_of: Mapping[str, MaskBandSpec],
) -> Iterator[Problem]:
    """Yield a warning if a band tagged alpha masks nothing, but would mask in other readers.

    Args:
        spec: The image.
        tileset: Number of the tileset.
        files: Its files.
        headers: Their headers, before `as_data`.
        mask_of: Declared masks by band; the empty id means every band.
    """
    name = spec.tilesets[tileset].id
    bands = {
        band.tileset_band_index: (number, band)
        for number, band in enumerate(spec.bands or ())
        if band.tileset_id == name and band.feature is None
    }
    is_masked = "" in mask_of or (bands and all(b.id in mask_of for _, b in bands.values()))
    if is_masked or any(mask.tileset_id == name for mask in mask_of.values()):
        return
    file, header = files[0], headers[0]
    loc = ("tilesets", tileset, "sources", file.source, "uris", file.uri_index)
    if header.alpha_index in bands:
        dtype = spec.tilesets[tileset].dtype or header.dtypes[0]
        is_missing = spec.missing_data is not None or own_nodata(header, 0, dtype) is not None
        if header.mask != "alpha" or is_missing or len(bands) == 1:
            return
        number, band = bands[header.alpha_index]
        message = (
            f"the band {show(band.id)} is tagged alpha in {show(file.uri)} and declared as a band:"
            " it is then data and masks no other band"
        )
        hint = (
            f"to mask the others by it, add `mask_bands: {{tileset_id: {show(name).strip('`')}}}`"
            " and remove the band"
        )
        yield from warning(spec, ("bands", number, "id"), "alpha-not-used", message, hint)
        return
    if header.alpha_index is not None and header.mask is None:
        message = (
            f"the alpha band of {show(file.uri)} is {header.dtypes[-1].upper()}: only UINT8 and"
            " UINT16 can mask, as in GDAL, so it masks nothing"
        )
        hint = "rewrite it as UINT8, or declare it as a band"
        yield from warning(spec, loc, "alpha-not-used", message, hint)
    stray = [
        index
        for index, colour in enumerate(header.colours[:-1])
        if colour == "alpha" and index not in bands
    ]
    if stray and header.alpha_index is None:
        order = [*(n for n in range(header.count) if n != stray[0]), stray[0]]
        message = (
            f"band index {stray[0]} of {show(file.uri)} is tagged alpha but is not the last one:"
            " it masks nothing"
        )
        numbers = " ".join(f"-b {index + 1}" for index in order)
        hint = f"write it last: `gdal_translate {numbers} ...`; or declare it as a band"
        yield from warning(spec, loc, "alpha-not-used", message, hint)
