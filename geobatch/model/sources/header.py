"""The header of a source file, as a value and as JSON."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from msgspec import Struct

from geobatch.model.digest import Json
from geobatch.model.geobox import Crs, Transform
from geobatch.model.number import Number, number_from_json, number_to_json

Palette = tuple[tuple[int, int, int, int], ...]
"""RGBA per pixel value from 0."""


class Header(Struct, frozen=True, kw_only=True):
    """The structure of a source; per-band tuples are in band order."""

    uri: str
    """As the spec names the file."""
    path: str
    """Absolute path."""
    width: int
    """Columns."""
    height: int
    """Rows."""
    dtypes: tuple[str, ...]
    """Numpy name of the pixel type per band, each one of `DTYPES`."""
    transform: Transform | None
    """Pixel corner to CRS coordinates; None if the file does not declare it."""
    crs: Crs | None
    """None if the file does not declare it."""
    nodata: tuple[Number | None, ...]
    """Per band and in its dtype, as GDAL has it; None where absent, or outside of the dtype."""
    mask: str | None
    """`internal` (a mask directory, which wins as in GDAL), `alpha` (uint8 or uint16), or None."""
    alpha_index: int | None
    """Zero-based index of the alpha band: the last of several, if the file declares it so."""
    descriptions: tuple[str | None, ...]
    """Per band."""
    units: tuple[str | None, ...]
    """Per band, of the scaled values."""
    scales: tuple[float | None, ...]
    """Per band, stored to physical; None for 1."""
    offsets: tuple[float | None, ...]
    """Per band, stored to physical; None for 0."""
    palettes: tuple[Palette | None, ...]
    """Per band."""
    block: tuple[int, int]
    """(rows, columns) of a tile or strip as GDAL reads it."""
    is_pixel_interleaved: bool
    """Whether a block holds all of several bands."""
    compression: str
    """Name of the compression, `NONE` without."""
    is_lossy: bool | None
    """Whether the compression loses information; None where the file does not tell."""
    overviews: int
    """How many reduced images the file holds; they are never read."""
    nodata_text: str | None = None
    """The text of the file's nodata tag; None if absent."""
    crs_fault: str | None = None
    """Why the file's CRS cannot be used; `crs` is then None."""
    transform_fault: str | None = None
    """Why the file's placement cannot be used; `transform` is then None."""
    colours: tuple[str, ...] = ()
    """The colour of each band, by rasterio's names; empty where that is not known."""
    bits: int | None = None
    """Bits of a sample; None for as many as the dtype has."""
    mask_bits: int = 1
    """Bits of a sample of the internal mask."""
    is_premultiplied: bool = False
    """Whether the colours are already multiplied by alpha."""
    pages: int = 0
    """How many other images the file holds, without reduced ones and masks; they are not read."""
    variable: str = ""
    """Name of the raster within the file; empty if the file holds one without a name."""
    notes: tuple[tuple[str, str], ...] = ()
    """(message, hint) of what may surprise whoever ingests it; a warning each."""

    @property
    def count(self) -> int:
        """How many bands there are, alpha included."""
        return len(self.dtypes)


def header_of_pixels(
    *,
    uri: str,
    path: str,
    size: tuple[int, int],
    dtypes: tuple[str, ...],
    block: tuple[int, int],
    transform: Transform | None = None,
    crs: Crs | None = None,
) -> Header:
    """Return the header of a source that declares its pixels, perhaps their position, and no more.

    Args:
        uri: As the spec names it.
        path: Absolute path.
        size: (rows, columns).
        dtypes: Numpy name of the pixel type per band.
        block: (rows, columns) of what is read at once.
        transform: Pixel corner to CRS coordinates; None if the source does not declare it.
        crs: None if the source does not declare it.
    """
    nothing = (None,) * len(dtypes)
    return Header(
        uri=uri,
        path=path,
        width=size[1],
        height=size[0],
        dtypes=dtypes,
        transform=transform,
        crs=crs,
        nodata=nothing,
        mask=None,
        alpha_index=None,
        descriptions=nothing,
        units=nothing,
        scales=nothing,
        offsets=nothing,
        palettes=nothing,
        block=block,
        is_pixel_interleaved=len(dtypes) > 1,
        compression="NONE",
        is_lossy=False,
        overviews=0,
    )


def header_to_text(header: Header) -> str:
    """Return a header as text, without its uri, path and CRS.

    The transform as JSON makes the first line, all else the second, which files of one kind share.
    """
    shared = {
        "size": [header.width, header.height],
        "dtypes": header.dtypes,
        "nodata": [None if v is None else number_to_json(v) for v in header.nodata],
        "mask": header.mask,
        "alpha_index": header.alpha_index,
        "descriptions": header.descriptions,
        "units": header.units,
        "scales": header.scales,
        "offsets": header.offsets,
        "palettes": header.palettes,
        "block": header.block,
        "is_pixel_interleaved": header.is_pixel_interleaved,
        "compression": header.compression,
        "is_lossy": header.is_lossy,
        "overviews": header.overviews,
        "nodata_text": header.nodata_text,
        "crs_fault": header.crs_fault,
        "transform_fault": header.transform_fault,
        "colours": header.colours,
        "bits": header.bits,
        "mask_bits": header.mask_bits,
        "is_premultiplied": header.is_premultiplied,
        "pages": header.pages,
        **({"notes": header.notes} if header.notes else {}),
    }
    return f"{_dump(header.transform)}\n{_dump(shared)}"


def header_from_text(text: str, *, uri: str, path: str, crs: Crs | None) -> Header:
    """Invert `header_to_text`.

    Raises:
        ValueError: The text is no JSON, or something is missing.
        KeyError: A member is missing.
        TypeError: A member has another type.
    """
    transform, _, shared = text.partition("\n")
    place = _transform(json.loads(transform))
    return Header(uri=uri, path=path, crs=crs, transform=place, **_members(shared))


@lru_cache(maxsize=256)
def _members(text: str) -> dict[str, Any]:
    members: dict[str, Json] = json.loads(text)
    width, height = members["size"]
    rows, cols = members["block"]
    return {
        "width": width,
        "height": height,
        "dtypes": tuple(members["dtypes"]),
        "nodata": tuple(None if v is None else number_from_json(v) for v in members["nodata"]),
        "mask": members["mask"],
        "alpha_index": members["alpha_index"],
        "descriptions": tuple(members["descriptions"]),
        "units": tuple(members["units"]),
        "scales": tuple(members["scales"]),
        "offsets": tuple(members["offsets"]),
        "palettes": tuple(_palette(palette) for palette in members["palettes"]),
        "block": (rows, cols),
        "is_pixel_interleaved": members["is_pixel_interleaved"],
        "compression": members["compression"],
        "is_lossy": members["is_lossy"],
        "overviews": members["overviews"],
        "nodata_text": members["nodata_text"],
        "crs_fault": members["crs_fault"],
        "transform_fault": members["transform_fault"],
        "colours": tuple(members["colours"]),
        "bits": members["bits"],
        "mask_bits": members["mask_bits"],
        "is_premultiplied": members["is_premultiplied"],
        "pages": members["pages"],
        "notes": tuple((message, hint) for message, hint in members.get("notes", ())),
    }


def crs_to_text(crs: Crs) -> str:
    """Return a CRS as JSON text, with all that was derived from it."""
    return _dump({"code": crs.code, "wkt": crs.wkt, "cf": crs.cf})


def crs_from_text(text: str) -> Crs:
    """Invert `crs_to_text`.

    Raises:
        ValueError: The text is no JSON.
        KeyError: A member is missing.
        TypeError: The text is no JSON object.
    """
    members: dict[str, Json] = json.loads(text)
    return Crs(code=members["code"], wkt=members["wkt"], cf=members["cf"])


def _dump(members: Json) -> str:
    # ASCII: a file may describe its bands with what is no UTF-8.
    return json.dumps(members, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _transform(values: Json) -> Transform | None:
    if values is None:
        return None
    a, b, c, d, e, f = values
    return (a, b, c, d, e, f)


def _palette(rows: Json) -> Palette | None:
    return None if rows is None else tuple((r, g, b, a) for r, g, b, a in rows)
