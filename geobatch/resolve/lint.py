"""Warnings about likely mistakes, from headers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from geobatch.declare import Loc, RasterSpec
from geobatch.declare.hints import show
from geobatch.model.assets.asset import Number
from geobatch.model.sources.header import Header, Palette
from geobatch.resolve.canvas.antimeridian import Wrap
from geobatch.resolve.canvas.canvas import Canvas
from geobatch.resolve.headers import Mosaic
from geobatch.resolve.notes import Note
from geobatch.resolve.typed_bands import TypedBand

_KINDS = {
    "descriptions": "the descriptions of their bands",
    "colours": "the colours of their bands",
    "units": "the units of their bands",
    "palettes": "their colour tables",
}
"""Metadata of bands that a mosaic takes from its first source."""
_UNLIKE_HINT = "put them into separate tilesets, or rewrite one; bands are matched by their index"


def image_notes(
    spec: RasterSpec,
    mosaics: Mapping[str, Mosaic],
    canvases: Mapping[str, Canvas],
    wraps: Mapping[str, Wrap],
    bands: Sequence[TypedBand],
) -> Iterator[Note]:
    """Yield the warnings about an image that its headers and canvases give.

    Args:
        spec: The image.
        mosaics: Its tilesets.
        canvases: Their canvases; those of bands first.
        wraps: What is wrong with those at the antimeridian.
        bands: Its bands, with the warnings about each.
    """
    of_bands = [tileset for tileset, canvas in canvases.items() if not canvas.is_of_masks]
    for tileset in of_bands:
        yield from _alpha_notes(spec, mosaics[tileset])
    for tileset in of_bands:
        yield from _wrap_notes(mosaics[tileset], wraps)
    for band in bands:
        yield from band.notes
    for tileset, canvas in canvases.items():
        mosaic = mosaics[tileset]
        if canvas.is_of_masks:
            yield from _wrap_notes(mosaic, wraps)
        yield from _source_notes(mosaic)
        yield from _unlike_notes(mosaic)


def _alpha_notes(spec: RasterSpec, mosaic: Mosaic) -> Iterator[Note]:
    """Yield a warning if a band tagged alpha masks nothing, but would mask in other readers."""
    source, header = mosaic.sources[0], mosaic.sources[0].probe.header
    if "alpha" not in mosaic.headers[0].colours:
        return
    bands = {
        band.tileset_band_index: (number, band)
        for number, band in enumerate(spec.bands or ())
        if band.tileset_id == mosaic.id and band.feature is None
    }
    masked = {id_ for mask in spec.mask_bands for id_ in mask.band_ids or ("",)}
    is_masked = "" in masked or (bands and all(band.id in masked for _, band in bands.values()))
    if is_masked or any(mask.tileset_id == mosaic.id for mask in spec.mask_bands):
        return
    uri, loc = source.shown, source.loc
    if header.alpha_index in bands:
        is_missing = spec.missing_data is not None or mosaic.headers[0].nodata[0] is not None
        if header.mask != "alpha" or is_missing or len(bands) == 1:
            return
        number, band = bands[header.alpha_index]
        message = (
            f"the band `{band.id}` is tagged alpha in {uri} and declared as a band:"
            " it is then data and masks no other band"
        )
        hint = (
            f"to mask the others by it, add `mask_bands: {{tileset_id: {mosaic.spelled}}}`"
            " and remove the band"
        )
        yield Note(("bands", number, "id"), "alpha-not-used", message, hint)
        return
    if header.alpha_index is not None and header.mask is None:
        message = (
            f"the alpha band of {uri} is {header.dtypes[-1].upper()}: only UINT8 and"
            " UINT16 can mask, as in GDAL, so it masks nothing"
        )
        yield Note(loc, "alpha-not-used", message, "rewrite it as UINT8, or declare it as a band")
    stray = [
        index
        for index, colour in enumerate(header.colours[:-1])
        if colour == "alpha" and index not in bands
    ]
    if stray and header.alpha_index is None:
        order = [*(n for n in range(header.count) if n != stray[0]), stray[0]]
        message = (
            f"band index {stray[0]} of {uri} is tagged alpha but is not the last one:"
            " it masks nothing"
        )
        numbers = " ".join(f"-b {index + 1}" for index in order)
        hint = f"write it last: `gdal_translate {numbers} ...`; or declare it as a band"
        yield Note(loc, "alpha-not-used", message, hint)


def _wrap_notes(mosaic: Mosaic, wraps: Mapping[str, Wrap]) -> Iterator[Note]:
    wrap = wraps.get(mosaic.id)
    if wrap is not None:
        loc = ("tilesets", mosaic.number, "sources")
        yield Note(loc, "antimeridian", wrap.message, wrap.hint)


def _source_notes(mosaic: Mosaic) -> Iterator[Note]:
    """Yield warnings about the first file of each source: lossy pixels, and nodata that is none."""
    told: set[int] = set()
    for source, header in zip(mosaic.sources, mosaic.headers, strict=True):
        if source.file.source in told:
            continue
        told.add(source.file.source)
        loc, uri = source.loc, source.shown
        for message, hint in header.notes:
            yield Note(loc, "odd-source", f"{uri}: {message}", hint)
        if header.is_lossy:
            message = f"{uri} is compressed with {header.compression}, which loses information"
            yield Note(loc, "lossy-source", message, "ingest the original, if there is one")
        if header.nodata_text and not mosaic.has_missing:
            yield from _nodata_notes(loc, uri, header, header.nodata_text)
        if header.is_premultiplied and header.mask == "alpha":
            message = (
                f"the alpha of {uri} is premultiplied (TIFF: associated): its colours"
                " are already multiplied by alpha, and are stored unchanged"
            )
            hint = "divide them by alpha first; a mean of pixels multiplies them again"
            yield Note(loc, "premultiplied-alpha", message, hint)


def _nodata_notes(loc: Loc, uri: str, header: Header, text: str) -> Iterator[Note]:
    """Yield a warning if the nodata of a file differs from its tag."""
    dtype, found = header.dtypes[0], header.nodata[0]
    hint = "declare `missing_data`, with `values: []` if nothing is missing"
    if found is None:
        message = (
            f"the nodata of {uri} is {show(text)}, which no pixel of type"
            f" {dtype.upper()} can have, so it masks nothing"
        )
        yield Note(loc, "nodata-outside-type", message, hint)
    elif not _says(text, found, dtype):
        message = (
            f"the nodata of {uri} is {show(text)}, which GDAL reads as {show(found)} in"
            f" pixels of type {dtype.upper()}; so it is here"
        )
        yield Note(loc, "nodata-not-its-text", message, hint)


def _says(text: str, value: Number, dtype: str) -> bool:
    """Return whether a nodata tag means a value, in a type of pixels."""
    with suppress(ValueError, ArithmeticError):
        if dtype.startswith("float"):
            number = float(text)
            return math.isnan(number) or math.isinf(number) == math.isinf(value)
        # Bytes may be declared to be of the other sign.
        return value in (wanted := Decimal(text), wanted - 256, wanted + 256)
    return text.strip().lower().lstrip("+-").startswith("1.#") and math.isnan(value)


def _unlike_notes(mosaic: Mosaic) -> Iterator[Note]:
    """Yield a warning for each kind of metadata in which the sources of a mosaic differ.

    The first source that differs is named, and how many do. No spec depends on such names: bands
    are found by their index, and only external images, which are no mosaics, take ids from files.
    """
    headers, first = mosaic.headers, mosaic.headers[0]
    for name, words in _KINDS.items():
        expected = getattr(first, name)
        # The same object mostly: headers that are alike share their members.
        unlike = [
            number
            for number, header in enumerate(headers)
            if getattr(header, name) is not expected and getattr(header, name) != expected
        ]
        if not unlike:
            continue
        source, got = mosaic.sources[unlike[0]], getattr(headers[unlike[0]], name)
        texts = _palette_texts if name == "palettes" else _texts
        one, two = texts(expected, got)
        more = f" ({len(unlike):,} of {len(headers):,} sources differ)" if len(unlike) > 1 else ""
        message = (
            f"sources of one tileset differ in {words}: {mosaic.sources[0].shown} has"
            f" {one}, {source.shown} has {two}{more}; those of the first file are used"
        )
        yield Note(source.loc, "unlike-bands", message, _UNLIKE_HINT)


def _texts(one: Sequence[Any], two: Sequence[Any]) -> tuple[str, str]:
    """Return what two files have, per band."""
    texts = [", ".join("none" if v is None else str(v) for v in values) for values in (one, two)]
    return show(texts[0]), show(texts[1])


def _palette_texts(one: Sequence[Palette | None], two: Sequence[Palette | None]) -> tuple[str, str]:
    """Return the first colours in which two files differ."""
    for mine, yours in zip(one, two, strict=True):
        if mine == yours:
            continue
        for value in range(max(len(mine or ()), len(yours or ()))):
            texts = [_colour(palette, value) for palette in (mine, yours)]
            if texts[0] != texts[1]:
                return texts[0], texts[1]
    return "`none`", "`none`"


def _colour(palette: Palette | None, value: int) -> str:
    if palette is None:
        return "`none`"
    if value >= len(palette):
        return f"no colour for {value}"
    return f"`{', '.join(map(str, palette[value]))}` for {value}"
