"""Rival: GDAL's COG driver through rasterio; ZSTD level 1, predictor, average overviews.

    python benchmarks/rivals/gdal_cog.py SRC OUT [--mode]

The fastest form found: all cores for reading as well, a small block cache, and no compression of
the temporary overviews, which the driver would otherwise pack at a high level and unpack again.
Tried and no faster: larger caches, one reading thread, other temporary compressions, overview
blocks of 512 in the temporary file. `--mode` takes the most frequent value in place of the mean.
"""

from __future__ import annotations

import sys
from pathlib import Path

import rasterio
import rasterio.shutil


def main(source: str, output: str, *options: str) -> None:
    """Copy `source` into `output`/out.tif, a COG whose overviews are made while copying."""
    Path(output).mkdir(parents=True)
    with rasterio.Env(GDAL_NUM_THREADS="ALL_CPUS", GDAL_CACHEMAX=64, COG_TMP_COMPRESSION="NONE"):
        rasterio.shutil.copy(
            source,
            str(Path(output) / "out.tif"),
            driver="COG",
            COMPRESS="ZSTD",
            LEVEL="1",
            PREDICTOR="YES",
            OVERVIEWS="AUTO",
            OVERVIEW_RESAMPLING="MODE" if "--mode" in options else "AVERAGE",
            NUM_THREADS="ALL_CPUS",
            BLOCKSIZE="512",
            BIGTIFF="IF_SAFER",
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
