"""What the installed GDAL can do, found by trying."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

COMPRESSIONS = (
    "DEFLATE", "LZW", "PACKBITS", "ZSTD", "LZMA", "LERC", "JPEG", "WEBP", "JXL",
)  # fmt: skip
"""Compressions of TIFFs, the frequent ones first."""
DRIVERS = ("GTiff", "netCDF", "JP2OpenJPEG", "COG", "Zarr")
"""Drivers that are of use: to read sources, to export, to read the plain tree."""


_TRANSFORM = rasterio.Affine(2, 0, 0, 0, -2, 0)
"""Any placement: rasterio warns of files without one."""


class GdalSupport(NamedTuple):
    """What the installed GDAL can do."""

    version: str
    """Of GDAL."""
    drivers: tuple[str, ...]
    """Those of `DRIVERS` that it has."""
    compressions: tuple[str, ...]
    """Those of `COMPRESSIONS` that it can write and read."""


def gdal_version() -> str:
    """Return the version of the installed GDAL."""
    return str(rasterio.__gdal_version__)


def gdal_support() -> GdalSupport:
    """Return what the installed GDAL can do."""
    with rasterio.Env() as environment:
        drivers = environment.drivers()
        return GdalSupport(
            version=gdal_version(),
            drivers=tuple(name for name in DRIVERS if name in drivers),
            compressions=tuple(name for name in COMPRESSIONS if _works(name)),
        )


def _works(compression: str) -> bool:
    """Return whether a small TIFF can be written and read."""
    count = 3 if compression in {"JPEG", "WEBP"} else 1
    pixels = np.zeros((count, 16, 16), dtype=np.uint8)
    try:
        with MemoryFile() as memory:
            with memory.open(
                driver="GTiff",
                width=16,
                height=16,
                count=count,
                dtype="uint8",
                transform=_TRANSFORM,
                compress=compression,
            ) as file:
                file.write(pixels)
            with memory.open() as file:
                is_named = file.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION", "")
                return bool(is_named) and file.read().shape == pixels.shape
    except (RasterioError, ValueError):
        return False
