"""The header of a source file: size, bands, grid, masks, blocks; no pixel is read."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from msgspec.structs import replace
from rasterio.enums import ColorInterp, Interleaving, MaskFlags, WktVersion

from geobatch.model.assets.asset import DTYPES, Number
from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.header import Header, Palette
from geobatch.sources.files import regular_file
from geobatch.sources.gdal.environment import (
    FAILURES,
    gdal_environment,
    open_dataset,
    reason,
    source_errors,
)
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.projections.crs import check_database, parse_crs

ReadCrs: TypeAlias = Callable[[str], Crs]
_IDENTITY: Transform = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
_INTEGER = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]{1,40})")
_HAS_CODE = re.compile(r'ID\["[^"]+",[^\]]+\]\]\Z')
"""The end of a WKT text whose CRS has a code, and not only a part of it."""
_LOSSY = frozenset({"JPEG", "OJPEG", "APERIO_JPEG2000"})


def read_header(path: Path, uri: str, *, read_crs: ReadCrs | None = None) -> Header:
    """Read a GeoTIFF's header.

    Args:
        path: The file.
        uri: What messages call it.
        read_crs: Returns the CRS of a WKT text, or raises ValueError; by default
            `geobatch.sources.projections.crs.parse_crs`. A cached one avoids loading PROJ.

    Raises:
        SourceError: The file is missing, is no readable TIFF, is compressed in a way that this
            GDAL lacks, has complex pixels, or has only ground control points.
    """
    with Named(uri):
        real = regular_file(path)
        try:
            str(real).encode()
            with real.open("rb") as file:
                tags = _tags(file)
        except UnicodeEncodeError:
            raise UnnamedError(
                "the name of the file, or of a folder above it, is not UTF-8",
                hint="rename it: GDAL reads only UTF-8 names",
            ) from None
        except OSError as error:
            raise UnnamedError(f"cannot be read: {error.strerror or error}") from error
        with gdal_environment():
            try:
                dataset = open_dataset(real)
            except FAILURES as error:
                raise refused(tags.compression, reason(error)) from error
            with source_errors("the header cannot be read"):
                try:
                    header = describe(dataset, tags, read_crs=read_crs)
                finally:
                    dataset.close()
    return replace(header, uri=uri, path=str(real))


def _tags(file: BinaryIO) -> tiff.Tags:
    check_tiff(file.read(4))
    try:
        tags = tiff.read_tags(file)
    except ValueError as error:
        raise UnnamedError(f"the TIFF is damaged: {error}") from error
    check_alone(tags)
    return tags


def check_alone(tags: tiff.Tags) -> None:
    """Refuse a TIFF that names another file, before GDAL opens either.

    Raises:
        UnnamedError: It names one.
    """
    if tags.names_file:
        raise UnnamedError(
            "its metadata name a file with overviews (`OVERVIEW_FILE`), which GDAL would"
            " open, wherever it is",
            hint="remove them: `gdal_translate -co PROFILE=GeoTIFF IN OUT` keeps the pixels",
        )


def check_tiff(start: bytes) -> None:
    """Refuse a file that does not start like a TIFF.

    Raises:
        UnnamedError: It is not a TIFF.
    """
    if not tiff.is_tiff(start):
        raise UnnamedError(
            f"expected a TIFF file, got a file that starts with `{_printable(start)}`",
            hint="only GeoTIFF rasters are read; convert others with `gdal_translate`",
        )


def refused(compression: int, why: str) -> UnnamedError:
    """Return the error for a file that GDAL does not open."""
    if compression not in tiff.COMPRESSIONS or "codec" in why:
        return UnnamedError(
            f"compression `{_name(compression)}` cannot be read by this GDAL: {why}",
            hint="rewrite the file with another one, such as `gdal_translate -co COMPRESS=ZSTD`",
        )
    return UnnamedError(f"cannot be opened as a GeoTIFF: {why}")


def _name(compression: int) -> str:
    return tiff.COMPRESSIONS.get(compression, f"number {compression}")


def crs_of(found: Any, read_crs: ReadCrs | None = None) -> Crs | None:
    """Return the CRS of a rasterio dataset, or None; for `read_crs` see `read_header`.

    Raises:
        ValueError: GDAL or PROJ cannot read it.
        SourceError: They cannot read their database.
    """
    if not found:
        return None
    if read_crs is None:
        read_crs = parse_crs
    text = found.to_wkt(version=WktVersion.WKT2_2019)
    if _HAS_CODE.search(text) is None:
        check_database(type(found).from_epsg)
    return read_crs(text)


def describe(dataset: Any, tags: tiff.Tags, *, read_crs: ReadCrs | None = None) -> Header:
    """Return the header of an open dataset, without uri and path; see `read_header`.

    Raises:
        UnnamedError: It has complex pixels, or has only ground control points.
    """
    dtypes = tuple(str(dtype) for dtype in dataset.dtypes)
    for band, dtype in enumerate(dtypes):
        if dtype not in DTYPES:
            raise UnnamedError(
                f"band index {band}: expected one of {', '.join(DTYPES)}, got `{dtype}`",
                hint="split complex pixels into real bands first" if "complex" in dtype else None,
            )
    transform, transform_fault = _transform(dataset, has_matrix=tags.has_matrix)
    crs, crs_fault = None, None
    try:
        crs = crs_of(dataset.crs, read_crs)
    except ValueError as error:  # not used if a spec declares another
        crs_fault = f"the CRS cannot be read: {error}"
    compression = _name(tags.compression)
    interpretations = dataset.colorinterp
    has_alpha = dataset.count > 1 and interpretations[-1] is ColorInterp.alpha
    is_planar = dataset.interleaving is Interleaving.band
    indexes = range(1, dataset.count + 1)
    block_rows, block_cols = dataset.block_shapes[0]
    return Header(
        uri="",
        path="",
        width=dataset.width,
        height=dataset.height,
        dtypes=dtypes,
        transform=transform,
        crs=crs,
        nodata=_nodata(dataset, dtypes, tags.nodata),
        mask=_mask(dataset, dtypes[-1], has_alpha=has_alpha),
        alpha_index=dataset.count - 1 if has_alpha else None,
        descriptions=_labels(dataset, "descriptions"),
        units=_labels(dataset, "units"),
        scales=tuple(_unless(value, 1.0) for value in dataset.scales),
        offsets=tuple(_unless(value, 0.0) for value in dataset.offsets),
        palettes=tuple(
            _palette(dataset, index) if kind is ColorInterp.palette else None
            for index, kind in zip(indexes, interpretations, strict=True)
        ),
        block=(block_rows, block_cols),
        is_pixel_interleaved=dataset.count > 1 and not is_planar,
        compression=compression,
        is_lossy=_is_lossy(dataset, compression),
        overviews=len(dataset.overviews(1)),
        nodata_text=tags.nodata,
        crs_fault=crs_fault,
        transform_fault=transform_fault,
        colours=tuple(kind.name for kind in interpretations),
        bits=tags.bits if tags.bits != np.dtype(dtypes[0]).itemsize * 8 else None,
        mask_bits=tags.mask_bits,
        is_premultiplied=has_alpha and tags.is_premultiplied,
        pages=tags.pages,
    )


def _labels(dataset: Any, name: str) -> tuple[str | None, ...]:
    """Return a file's metadata of each band; none if some of it is not UTF-8."""
    try:
        texts: list[str | None] = list(getattr(dataset, name))
    except UnicodeDecodeError:
        texts = [None] * dataset.count
    return tuple(text or None for text in texts)


def _transform(dataset: Any, *, has_matrix: bool) -> tuple[Transform | None, str | None]:
    """Return the transform of a file, or why it has no valid one."""
    a, b, c, d, e, f = (float(value) for value in dataset.transform[:6])
    transform = (a, b, c, d, e, f)
    # rasterio says "none" with the identity; a file can only say it with a matrix.
    if transform == _IDENTITY and not has_matrix:
        if count := len(dataset.gcps[0]):
            return None, (
                f"has {count} ground control points and no affine transform; warp"
                " it onto a grid first, for example with `gdalwarp`"
            )
        return None, None
    if not all(map(math.isfinite, transform)) or a * e - b * d == 0:
        return None, f"the transform {transform} is not valid"
    return transform, None


def _mask(dataset: Any, dtype: str, *, has_alpha: bool) -> str | None:
    flags = dataset.mask_flag_enums[0]
    if MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags:
        return "internal"
    # GDAL takes no other type for an alpha mask: 255 means nothing in a float band.
    return "alpha" if has_alpha and dtype in {"uint8", "uint16"} else None


def _nodata(dataset: Any, dtypes: tuple[str, ...], text: str | None) -> tuple[Number | None, ...]:
    """Return the value that GDAL compares pixels with, per band; None if it masks none.

    Source: GDAL 3.10 and 3.12, `GTiffDataset::OpenOffset` and `GDALNoDataMaskBand`. Text is read as
    far as it is a number, else it is 0; of 64-bit integers it is one with C's rules, as rasterio
    passes nodata through a double, which loses digits. Floats of 32 bits are rounded. A fraction
    is cut off for integers; what lies outside of a type masks nothing.
    """
    if not text:
        return (None,) * len(dtypes)
    return tuple(
        _c_integer(text, dtype) if dtype in {"int64", "uint64"} else _in_dtype(value, dtype)
        for value, dtype in zip(dataset.nodatavals, dtypes, strict=True)
    )


def _in_dtype(value: float | None, dtype: str) -> Number | None:
    if value is None:
        return None
    return float(value) if dtype.startswith("float") else int(value)


def _c_integer(text: str, dtype: str) -> int:
    """Return what C's `strtoll` or `strtoull` make of a text."""
    found = _INTEGER.match(text)
    number = int(found[1]) if found else 0
    bounds = np.iinfo(dtype)
    if bounds.min == 0 and -bounds.max <= number < 0:
        return number + int(bounds.max) + 1
    if bounds.min == 0 and number < 0:
        return int(bounds.max)
    return min(max(number, int(bounds.min)), int(bounds.max))


def _palette(dataset: Any, index: int) -> Palette | None:
    try:
        colours = dataset.colormap(index)
    except ValueError:
        return None
    size = max(colours, default=-1) + 1
    rows = (colours.get(value, (0, 0, 0, 255)) for value in range(size))
    return tuple((int(r), int(g), int(b), int(a)) for r, g, b, a in rows)


def _unless(value: float, neutral: float) -> float | None:
    number = float(value)
    return None if number == neutral or not math.isfinite(number) else number


def _is_lossy(dataset: Any, compression: str) -> bool | None:
    if compression in _LOSSY:
        return True
    structure = dataset.tags(ns="IMAGE_STRUCTURE")
    if compression == "LERC" and "MAX_Z_ERROR" in structure:
        # Integers that may be less than 1 off are exact.
        least = 0.0 if str(dataset.dtypes[0]).startswith("float") else 1.0
        error = float(structure["MAX_Z_ERROR"])
        return error >= least if least else error > 0
    stated = structure.get("COMPRESSION_REVERSIBILITY", "")
    if compression in {"WEBP", "JXL", "LERC", "JPEG2000"}:
        return {"LOSSLESS": False, "LOSSY": True}.get(stated)
    return False


def _printable(start: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte != 96 else "." for byte in start)
