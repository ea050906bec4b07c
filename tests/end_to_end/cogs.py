"""COGs for tests: the pixels that are asked for, laid out as GDAL lays them out."""

from __future__ import annotations

from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio.transform import Affine
from reference_pyramid import Masks, Values
from workbench import PIXEL, X0, Y0, write_tiff


def write_cog(
    path: Path,
    bands: list[Values],
    *,
    nodata: float | None = None,
    internal: Masks | None = None,
    has_alpha: bool = False,
    resampling: str = "NEAREST",
    tile: int = 256,
    is_planar: bool = False,
    names: tuple[str, ...] = (),
    compress: str = "DEFLATE",
    pixel: float = PIXEL,
) -> Path:
    """Write bands of (rows, cols) as a COG; overviews go down to one tile."""
    plain = write_tiff(
        path.with_suffix(".plain.tif"), bands,
        nodata=nodata, internal=internal, has_alpha=has_alpha,
    )  # fmt: skip
    with rasterio.open(plain, "r+") as file:
        file.transform = Affine(pixel, 0, X0, 0, -pixel, Y0)
        for index, name in enumerate(names, start=1):
            file.set_band_description(index, name)
    if not is_planar:
        rasterio.shutil.copy(
            plain, path, driver="COG", BLOCKSIZE=tile, COMPRESS=compress, RESAMPLING=resampling,
            OVERVIEW_RESAMPLING=resampling, OVERVIEWS="IGNORE_EXISTING",
        )  # fmt: skip
        return path
    # Before GDAL 3.11 the COG driver interleaves by pixel only; this is how COGs were made before.
    side = max(bands[0].shape)
    factors = [2**k for k in range(1, 12) if side / 2 ** (k - 1) > tile]
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_TIFF_OVR_BLOCKSIZE=tile),
        rasterio.open(plain, "r+") as file,
    ):
        file.build_overviews(factors, rasterio.enums.Resampling[resampling.lower()])
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True, GDAL_TIFF_OVR_BLOCKSIZE=tile):
        rasterio.shutil.copy(
            plain, path, driver="GTiff", TILED="YES", BLOCKXSIZE=tile, BLOCKYSIZE=tile,
            INTERLEAVE="BAND", COMPRESS=compress, COPY_SRC_OVERVIEWS="YES",
        )  # fmt: skip
    return path


def overview(path: Path, level: int, band: int = 1) -> Values:
    """Read a band at a level with rasterio."""
    options = {"OVERVIEW_LEVEL": level - 1} if level else {}
    with rasterio.open(path, **options) as file:
        found: Values = file.read(band)
        return found


def mask_of(path: Path, level: int) -> Masks:
    """Read the first band's mask at a level with rasterio."""
    options = {"OVERVIEW_LEVEL": level - 1} if level else {}
    with rasterio.open(path, **options) as file:
        found: Masks = file.read_masks(1)
        return found
