"""Warnings about likely mistakes, from headers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from decimal import Decimal

from geobatch.declare import BandSpec, Loc, RasterSpec
from geobatch.declare.checks.lint import categorical_warning, warning
from geobatch.declare.hints import show
from geobatch.errors import Problem
from geobatch.model.assets.asset import Band, Number
from geobatch.model.assets.class_names import is_class_like
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import Header
from geobatch.resolve.bands.decide import own_nodata


def band_warnings(
    spec: RasterSpec, number: int, declared: BandSpec, band: Band
) -> Iterator[Problem]:
    """Yield a warning if a band of classes uses MEAN, the default.

    A palette tells, or the name of a band of integers; how many values there are would have to be
    read.
    """
    if declared.pyramiding_policy or spec.pyramiding_policy or band.is_float:
        return
    loc: Loc = ("bands", number, "id") if spec.bands is not None else ("tilesets",)
    if band.palette is not None:
        yield from categorical_warning(spec, loc, band.id, "has a colour table")
    elif is_class_like(band.id):
        yield from categorical_warning(spec, loc, band.id, "is named like classes")
    elif band.description is not None and is_class_like(band.description):
        why = f"is described as {show(band.description)}"
        yield from categorical_warning(spec, loc, band.id, why)


def source_warnings(
    spec: RasterSpec, tileset: int, files: Sequence[DeclaredSource], headers: Sequence[Header]
) -> Iterator[Problem]:
    """Yield warnings about the first file of each source: lossy pixels, and nodata that is none."""
    told: set[int] = set()
    for file, header in zip(files, headers, strict=True):
        if file.source in told:
            continue
        told.add(file.source)
        loc = ("tilesets", tileset, "sources", file.source, "uris", file.uri_index)
        for message, hint in header.notes:
            yield from warning(spec, loc, "odd-source", f"{show(file.uri)}: {message}", hint)
        if header.is_lossy:
            message = (
                f"{show(file.uri)} is compressed with {header.compression}, which loses information"
            )
            hint = "ingest the original, if there is one"
            yield from warning(spec, loc, "lossy-source", message, hint)
        if header.nodata_text and not is_decided(spec, tileset):
            yield from _nodata_warning(spec, loc, tileset, file, header)
        if header.is_premultiplied and header.mask == "alpha":
            message = (
                f"the alpha of {show(file.uri)} is premultiplied (TIFF: associated): its colours"
                " are already multiplied by alpha, and are stored unchanged"
            )
            hint = "divide them by alpha first; a mean of pixels multiplies them again"
            yield from warning(spec, loc, "premultiplied-alpha", message, hint)


def _nodata_warning(
    spec: RasterSpec, loc: Loc, tileset: int, file: DeclaredSource, header: Header
) -> Iterator[Problem]:
    """Yield a warning if the nodata of a file differs from its tag."""
    text, dtype = header.nodata_text or "", header.dtypes[0]
    found = own_nodata(header, 0, spec.tilesets[tileset].dtype or dtype)
    hint = "declare `missing_data`, with `values: []` if nothing is missing"
    if found is None:
        message = (
            f"the nodata of {show(file.uri)} is {show(text)}, which no pixel of type"
            f" {dtype.upper()} can have, so it masks nothing"
        )
        yield from warning(spec, loc, "nodata-outside-type", message, hint)
    elif not _says(text, found, dtype):
        message = (
            f"the nodata of {show(file.uri)} is {show(text)}, which GDAL reads as {show(found)} in"
            f" pixels of type {dtype.upper()}; so it is here"
        )
        yield from warning(spec, loc, "nodata-not-its-text", message, hint)


def _says(text: str, value: Number, dtype: str) -> bool:
    """Return whether a nodata tag means a value, in a type of pixels."""
    with suppress(ValueError, ArithmeticError):
        if dtype.startswith("float"):
            number = float(text)
            return math.isnan(number) or math.isinf(number) == math.isinf(value)
        # Bytes may be declared to be of the other sign.
        return value in (wanted := Decimal(text), wanted - 256, wanted + 256)
    return text.strip().lower().lstrip("+-").startswith("1.#") and math.isnan(value)


def missing_warning(
    spec: RasterSpec, loc: Loc, value: float, *, band: str, dtype: str
) -> Iterator[Problem]:
    """Yield a warning about a missing value that its band cannot hold: it masks nothing."""
    message = f"`{value}` is not a value of band {show(band)}, which is {dtype.upper()}"
    hint = "no pixel can equal it: remove it, or declare a wider `data_type`"
    yield from warning(spec, loc, "nodata-outside-type", message, hint)


def is_decided(spec: RasterSpec, tileset: int) -> bool:
    """Return whether the spec declares the missing values of every band of a tileset."""
    name = spec.tilesets[tileset].id
    bands = [band for band in spec.bands or () if band.tileset_id == name]
    is_by_band = bool(bands) and all(band.missing_data is not None for band in bands)
    return is_by_band or spec.missing_data is not None
