"""Rasters and mixers with the structure of real ones: same names, tags and masks, other pixels.

The environment variable `GEOBATCH_REAL_DATA` may name a folder of the real ones: then tests that
take the fixtures `rasters` or `raster` run on both. Nothing else outside the repository is read.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.transform import Affine
from reference_pyramid import Masks, Values

NAMES = (
    "RGB.byte.tif", "RGBA.byte.tif", "RGBA.uint16.tif", "cogeo.tif", "float_raster_with_nodata.tif",
    "rgb1.tif", "rgb2.tif", "rgb3.tif", "rgb4.tif", "shade.tif", "world.byte.tif",
)  # fmt: skip
"""Names of the real rasters, and of what is made in their likeness."""
PALETTE = "classes.byte.tif"
"""One more that is made: none of the real ones has a palette."""

UTM = Affine(300.25, 0, 204_015.0, 0, -300.75, 3_011_505.0)
RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
CUT = {"rgb1": (0, 0), "rgb2": (0, 199), "rgb3": (199, 0), "rgb4": (199, 199)}
"""Row and column at which each quarter starts; it shares one row and column with the next."""
UTM_WITHOUT_CODE = """PROJCS["Zone 18 of UTM, north",GEOGCS["A datum on the ellipsoid of WGS 84",
DATUM["On_the_ellipsoid_of_WGS_84",SPHEROID["WGS 84",6378137,298.257223563]],
PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]],PROJECTION["Transverse_Mercator"],
PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",-75],
PARAMETER["scale_factor",0.9996],PARAMETER["false_easting",500000],PARAMETER["false_northing",0],
UNIT["metre",1]]"""
EQUAL_AREA_WITHOUT_CODE = """PROJCS["an equal area",GEOGCS["an ellipsoid",DATUM["On_GRS_1980",
SPHEROID["GRS 1980",6378137,298.257222101004]],PRIMEM["Greenwich",0],
UNIT["degree",0.0174532925199433]],PROJECTION["Lambert_Azimuthal_Equal_Area"],
PARAMETER["latitude_of_center",47],PARAMETER["longitude_of_center",13],
PARAMETER["false_easting",400000],PARAMETER["false_northing",600000],UNIT["metre",1]]"""

MIXERS = {
    "plain-mixer.json": """{
  "projection": {
    "crs": "EPSG:4326",
    "affine": {
      "doubleMatrix": [0.025000000000002128, 0.0, -71.50000000000608, 0.0, -0.025000000000002128, \
11.250000000000957]
    }
  },
  "patchDimensions": [128, 64],
  "patchesPerRow": 4,
  "totalPatches": 12
}
""",
    "exponents-mixer.json": """{
  "projection": {
    "crs": "EPSG:32633",
    "affine": {
      "doubleMatrix": [4.491576420597607E-4, 0.0, 1.3599E7, 0.0, -4.491576420597607E-4, -0.0]
    }
  },
  "patchDimensions": [256, 256],
  "patchesPerRow": 7,
  "totalPatches": 14
}
""",
}
"""Text of mixers, laid out and spelled as Earth Engine does it."""


def real_folder() -> Path | None:
    """Return the folder of the real files, if the environment names one."""
    named = os.environ.get("GEOBATCH_REAL_DATA")
    if not named:
        return None
    folder = Path(named).resolve()
    if not folder.is_dir():
        raise pytest.UsageError(f"GEOBATCH_REAL_DATA is `{named}`: there is no such folder")
    return folder


def make(folder: Path) -> Path:
    """Write all of them into a folder."""
    colours = _colours((318, 391))
    _write(
        folder / "RGB.byte.tif", colours, crs="EPSG:32618", transform=UTM, nodata=0, blockysize=3,
        interleave="pixel", photometric="rgb", has_statistics=True,
    )  # fmt: skip
    for name, (row, col) in CUT.items():
        _write(
            folder / f"{name}.tif", colours[:, row : row + 200, col : col + 200],
            crs=CRS.from_wkt(UTM_WITHOUT_CODE), transform=UTM @ Affine.translation(col, row),
            nodata=0, blockysize=6, interleave="pixel", photometric="rgb",
        )  # fmt: skip
    alpha = np.where(colours.any(axis=0), 255, 0).astype(np.uint8)
    _write(
        folder / "RGBA.byte.tif", np.stack([*colours, alpha]), crs="EPSG:32618", transform=UTM,
        blockysize=2, interleave="pixel", photometric="rgb", alpha="yes",
    )  # fmt: skip
    _write_wide(folder / "RGBA.uint16.tif")
    _write_cog(folder / "cogeo.tif")
    _write_floats(folder / "float_raster_with_nodata.tif")
    shade = _colours((512, 512))[0]
    shade[:, :400][shade[:, :400] < 180] = 255
    _write(
        folder / "shade.tif", shade[None], crs="EPSG:3857", nodata=255, tiled=True,
        transform=Affine(9.5, 0, -11_500_000.25, 0, -9.5, 4_700_000.75), blockxsize=256,
        blockysize=256, interleave="band", domain={"interleave": "band", "tiled": "yes"},
    )  # fmt: skip
    land = (_colours((300, 720))[2] > 90).astype(np.uint8)
    _write(
        folder / "world.byte.tif", land[None], crs="EPSG:4326", tiled=True, compress="lzw",
        transform=Affine(0.5, 0, -180, 0, -0.5, 75), blockxsize=256, blockysize=256,
        has_statistics=True,
    )  # fmt: skip
    _write_palette(folder / PALETTE)
    (folder / "mixers").mkdir()
    for name, text in MIXERS.items():
        (folder / "mixers" / name).write_text(text)
    return folder


def _colours(shape: tuple[int, int]) -> Values:
    """Return three bands of a scene within a slanted frame of zeros, with a few zeros inside."""
    height, width = shape
    y, x = np.mgrid[:height, :width] / max(shape)
    rng = np.random.default_rng(height * width)
    bands = []
    for band in range(3):
        waves = np.sin(9 * x + band) * np.cos(7 * y - band)
        found = 120 + 80 * waves + rng.normal(0, 12, shape)
        bands.append(np.clip(found, 0, 255).astype(np.uint8))
        bands[-1][rng.random(shape) < 0.002] = 0
    found = np.stack(bands)
    found[:, (x + 0.3 * y < 0.12) | (x + 0.3 * y > 1.1)] = 0
    return found


def _write(
    path: Path,
    pixels: Values,
    *,
    has_statistics: bool = False,
    domain: dict[str, str] | None = None,
    colours: tuple[ColorInterp, ...] = (),
    **options: Any,
) -> None:
    """Write bands; tags go before pixels, as GDAL puts them into another file afterwards."""
    count, height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, dtype=pixels.dtype.name,
        **options,
    ) as file:  # fmt: skip
        if colours:
            file.colorinterp = colours
        if domain:
            file.update_tags(ns="rio_creation_kwds", **domain)
        for band in range(1, count + 1) if has_statistics else ():
            values = pixels[band - 1]
            file.update_tags(
                band,
                STATISTICS_MAXIMUM=str(values.max()),
                STATISTICS_MEAN=f"{values.mean():.12f}",
                STATISTICS_MINIMUM=str(values.min()),
                STATISTICS_STDDEV=f"{values.std():.12f}",
            )
        file.write(pixels)


def _write_wide(path: Path) -> None:
    """Write 16 bits whose alpha is 0 or 255 of 65535, and whose bands go from blue to red."""
    colours = _colours((211, 333)).astype(np.uint16) * 40
    alpha = np.where(colours.any(axis=0), 255, 0).astype(np.uint16)
    _write(
        path, np.stack([*colours, alpha]), crs="EPSG:32612", blockysize=1, compress="deflate",
        transform=Affine(1.375, 0, 712_000.5, 0, -1.3125, 4_012_345.25), interleave="pixel",
        photometric="minisblack", colours=(*RGB[::-1], ColorInterp.alpha),
    )  # fmt: skip


def _write_cog(path: Path) -> None:
    """Write JPEG of YCbCr with a mask, and overviews of both down to 8 pixels."""
    plain = path.with_suffix(".plain")
    mask: Masks = np.full((512, 512), 255, np.uint8)
    mask[300:, :170] = 0
    inside = rasterio.Env(
        GDAL_TIFF_INTERNAL_MASK=True, GDAL_TIFF_OVR_BLOCKSIZE=256, JPEG_QUALITY_OVERVIEW=75
    )
    with inside:
        _write(
            plain, _colours((512, 512)), crs="EPSG:3857", colours=RGB,
            transform=Affine(0.625, 0, 14_000_000.125, 0, -0.625, 4_500_000.5),
        )  # fmt: skip
        with rasterio.open(plain, "r+") as file:
            file.write_mask(mask)
            file.build_overviews([2, 4, 8, 16, 32, 64], Resampling.nearest)
        rasterio.shutil.copy(
            plain, path, driver="GTiff", TILED="YES", BLOCKXSIZE=256, BLOCKYSIZE=256,
            COMPRESS="JPEG", PHOTOMETRIC="YCBCR", COPY_SRC_OVERVIEWS="YES",
        )  # fmt: skip
    plain.unlink()


def _write_floats(path: Path) -> None:
    """Write a few fractions of 1, the others nodata: the float32 that is nearest to -3.4e38."""
    rng = np.random.default_rng(5)
    pixels = rng.choice(np.array([0.0, 0.125, 0.25, -3.4e38], np.float32), (1, 11, 17))
    _write(
        path, pixels, crs=CRS.from_wkt(EQUAL_AREA_WITHOUT_CODE), nodata=-3.4e38, blockysize=11,
        transform=Affine(500, 0, 610_250.0625, 0, -500, 330_125.125),
    )  # fmt: skip


def _write_palette(path: Path) -> None:
    """Write classes 0 to 9 with a colour table, a unit, a description and a tag of one's own."""
    rng = np.random.default_rng(9)
    classes = np.kron(rng.integers(0, 10, (13, 16)), np.ones((20, 20))).astype(np.uint8)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=260, width=320, dtype="uint8", nodata=9,
        crs="EPSG:32633", transform=Affine(10, 0, 5e5, 0, -10, 5e6), compress="deflate", tiled=True,
        blockxsize=128, blockysize=64, photometric="palette",
    ) as file:  # fmt: skip
        file.write_colormap(1, {n: (25 * n, 255 - 25 * n, 10 * n, 255) for n in range(10)})
        file.set_band_description(1, "class")
        file.update_tags(AUTHOR="a test", TIFFTAG_DATETIME="2025:01:01 00:00:00")
        file.write(classes[None])
