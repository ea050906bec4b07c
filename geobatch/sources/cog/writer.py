"""Cloud Optimized GeoTIFFs whose overviews are given, not computed.

GDAL's COG driver copies a raster with its overviews. What it copies here is a VRT that names a
plain TIFF for each level; the mask of a level is the internal mask of its TIFF.

Source: GDAL's pages on the COG and the VRT drivers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import numpy.typing as npt
import rasterio
import rasterio.shutil
from affine import Affine
from msgspec import Struct
from rasterio.env import GDALVersion
from rasterio.windows import Window

from geobatch.errors import ExportError
from geobatch.model.geobox import GeoBox
from geobatch.sources.gdal.environment import FAILURES, gdal_environment, reason

BLOCK = 512
"""Side of a block of a COG, as Earth Engine asks for."""
_TYPES = {
    "int8": "Int8", "uint8": "Byte", "int16": "Int16", "uint16": "UInt16", "int32": "Int32",
    "uint32": "UInt32", "int64": "Int64", "uint64": "UInt64", "float32": "Float32",
    "float64": "Float64",
}  # fmt: skip
_MASK = "mask,1"
"""Band number of a file's mask in a VRT."""


class CogBand(Struct, frozen=True, kw_only=True):
    """Metadata of a band of a COG."""

    name: str
    """Its description."""
    unit: str | None = None
    """Unit of the scaled values."""
    scale: float | None = None
    """Factor from stored to physical values."""
    offset: float | None = None
    """Addend from stored to physical values."""
    palette: tuple[tuple[int, int, int, int], ...] | None = None
    """Colour table, RGBA per value from 0."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Metadata items."""
    is_alpha: bool = False
    """Whether it is the mask of the others, 0 for masked to 255."""
    colour: str = "Gray"
    """GDAL's word for what it shows: `Red`, `Green`, `Blue`, `Gray` or `Undefined`."""


class CogHeader(Struct, frozen=True, kw_only=True):
    """Metadata of a COG."""

    geobox: GeoBox
    """CRS, placement and shape of the full resolution."""
    dtype: str
    """Numpy name of the pixel type of all bands."""
    bands: tuple[CogBand, ...]
    """Bands, in order."""
    nodata: int | float | None = None
    """Value of masked pixels."""
    has_mask: bool = False
    """Whether the levels have an internal mask."""
    metadata: tuple[tuple[str, str], ...] = ()
    """Metadata items."""


class LevelFile:
    """A plain TIFF of one level, being written."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def write(
        self, values: npt.NDArray[Any], mask: npt.NDArray[np.uint8] | None, *, row: int, col: int
    ) -> None:
        """Write pixels.

        Args:
            values: (bands, rows, columns).
            mask: (rows, columns), 0 for masked, else 255; None for a file without a mask.
            row: Row of the first.
            col: Column of the first.
        """
        window = Window(col, row, values.shape[2], values.shape[1])
        self._dataset.write(values, window=window)
        if mask is not None:
            self._dataset.write_mask(mask, window=window)


@contextmanager
def level_file(path: Path, geobox: GeoBox, *, bands: int, dtype: str) -> Iterator[LevelFile]:
    """Make a plain TIFF for a level of a COG.

    Raises:
        ExportError: The disk refused.
    """
    with (
        _errors(path),
        gdal_environment(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=geobox.width,
            height=geobox.height,
            count=bands,
            dtype=dtype,
            transform=Affine(*geobox.transform),
            tiled=True,
            blockxsize=BLOCK,
            blockysize=BLOCK,
            interleave="band",
            bigtiff="if_safer",
        ) as dataset,
    ):
        yield LevelFile(dataset)


def write_cog(
    path: Path,
    levels: Sequence[Path],
    header: CogHeader,
    *,
    workers: int,
    compression: str,
) -> str:
    """Write a COG from plain TIFFs: blocks of 512 pixels, compressed with a predictor.

    Args:
        path: The COG.
        levels: TIFFs of the full resolution and of each overview, all in one folder.
        header: Its metadata.
        workers: Threads that compress.
        compression: `zstd`, `deflate`, `lzw` or `none`.

    Returns:
        How bands are interleaved: `band`, or `pixel` with GDAL before 3.11, which has no choice.

    Raises:
        ExportError: The disk refused.
    """
    is_by_band = len(header.bands) == 1 or GDALVersion.runtime().at_least("3.11")
    options = {
        "BLOCKSIZE": BLOCK,
        "COMPRESS": compression.upper(),
        "PREDICTOR": "NO" if compression == "none" else "YES",
        "OVERVIEWS": "FORCE_USE_EXISTING",
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": workers,
    }
    if is_by_band and len(header.bands) > 1:
        options["INTERLEAVE"] = "BAND"
    vrt = levels[0].with_suffix(".vrt")
    with _errors(path), gdal_environment():
        vrt.write_bytes(_vrt(levels, header))
        rasterio.shutil.copy(vrt, path, driver="COG", **options)
    return "band" if is_by_band else "pixel"


def _vrt(levels: Sequence[Path], header: CogHeader) -> bytes:
    geobox = header.geobox
    root = ET.Element("VRTDataset", rasterXSize=str(geobox.width), rasterYSize=str(geobox.height))
    _text(root, "SRS", geobox.crs.wkt)
    a, b, c, d, e, f = (repr(float(number)) for number in geobox.transform)
    _text(root, "GeoTransform", f"{c}, {a}, {b}, {f}, {d}, {e}")
    _metadata(root, dict(header.metadata))
    for number, band in enumerate(header.bands, start=1):
        element = ET.SubElement(
            root, "VRTRasterBand", dataType=_TYPES[header.dtype], band=str(number)
        )
        _describe(element, band, header.nodata)
        _sources(element, levels, str(number))
    if header.has_mask:
        mask = ET.SubElement(ET.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _sources(mask, levels[:1], _MASK)  # those of overviews come with their files
    text: bytes = ET.tostring(root, encoding="utf-8")
    return text


def _describe(element: ET.Element, band: CogBand, nodata: float | None) -> None:
    _text(element, "Description", band.name)
    _metadata(element, dict(band.metadata))
    for name, value in (
        ("NoDataValue", nodata),
        ("UnitType", band.unit),
        ("Offset", band.offset),
        ("Scale", band.scale),
    ):
        if value is not None:
            _text(element, name, value if isinstance(value, str) else repr(value))
    colour = "Alpha" if band.is_alpha else "Palette" if band.palette else band.colour
    _text(element, "ColorInterp", colour)
    if band.palette:
        table = ET.SubElement(element, "ColorTable")
        for rgba in band.palette:
            parts = {f"c{number}": str(part) for number, part in enumerate(rgba, start=1)}
            ET.SubElement(table, "Entry", parts)


def _sources(element: ET.Element, levels: Sequence[Path], band: str) -> None:
    for number, path in enumerate(levels):
        source = ET.SubElement(element, "Overview" if number else "SimpleSource")
        _text(source, "SourceFilename", path.name).set("relativeToVRT", "1")
        _text(source, "SourceBand", band)


def _metadata(element: ET.Element, items: Mapping[str, str]) -> None:
    if items:
        parent = ET.SubElement(element, "Metadata")
        for key, value in items.items():
            _text(parent, "MDI", value).set("key", key)


def _text(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = text
    return element


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        raise ExportError(f"`{path.name}` cannot be written: {reason(error)}") from error
