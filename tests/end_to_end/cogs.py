"""COGs for tests: the pixels that are asked for, laid out as GDAL lays them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.transform import Affine
from reference_pyramid import Masks, Values
from workbench import PIXEL, X0, Y0, Document, Workbench, write_tiff

from geobatch.model.published import AssetRecord
from geobatch.store.tilestore import TileStore

RNG = np.random.default_rng(7)


def external(asset_id: str, *uris: str | Path, **more: Any) -> Document:
    """Return the spec of an external image, a tileset per uri."""
    tilesets = [{"id": f"t{n}", "sources": [{"uris": [str(uri)]}]} for n, uri in enumerate(uris)]
    document = {"kind": "external_image", "id": asset_id, "tilesets": tilesets}
    return document | more


def values(shape: tuple[int, int] = (700, 1000), dtype: str = "uint16") -> Values:
    high = 200 if np.dtype(dtype).itemsize == 1 else 4000
    return RNG.integers(1, high, shape).astype(dtype)


def record(bench: Workbench, asset_id: str) -> AssetRecord:
    store = TileStore.open(bench.store)
    entry = store.head().tree.entry(asset_id)
    assert entry is not None
    found = store.record(entry)
    store.close()
    return found


def mask(shape: tuple[int, int] = (700, 1000)) -> Masks:
    found = np.full(shape, 255, dtype=np.uint8)
    found[100:400, 300:720] = 0
    return found


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
