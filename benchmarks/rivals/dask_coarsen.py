"""Rival: rioxarray opens, dask coarsens by mean, xarray's `to_zarr` writes every level.

    python benchmarks/rivals/dask_coarsen.py SRC OUT

The fastest form found: level by level from what was written, regions of 2048 x 2048 that hold all
bands, a file handle per thread (`lock=False`), a small GDAL cache, `dask.array.coarsen` with a
float32 mean, blosc single-threaded under dask's threads. Tried and no faster: one graph for all
levels (three times as slow), xarray's `coarsen`, float64, larger regions, more threads, blosc's own
threads. An odd last row or column is dropped, which spares this rival the padding.
"""

from __future__ import annotations

import os
import sys

import dask
import dask.array
import numcodecs.blosc
import numpy as np
import rasterio
import rioxarray
import xarray as xr
from zarr.codecs import BloscCodec

THREADS = max(2, os.cpu_count() or 2)
CHUNK = 512
REGION = 2048
TOP = 256
CHUNKS = {"band": -1, "y": REGION, "x": REGION}


def write_level(level: xr.DataArray, path: str) -> None:
    """Compute one level and write it as a Zarr v3 array of one band x 512 x 512 chunks."""
    level.encoding.clear()
    for name in level.coords:
        level[name].encoding.clear()
    codec = BloscCodec(typesize=2, cname="zstd", clevel=1, shuffle="bitshuffle", blocksize=1 << 20)
    level.to_dataset(name="pixels").to_zarr(
        path,
        mode="w",
        zarr_format=3,
        consolidated=False,
        encoding={"pixels": {"chunks": (1, CHUNK, CHUNK), "compressors": [codec]}},
    )


def coarsen(level: xr.DataArray) -> xr.DataArray:
    """Return the 2x2 mean of (band, y, x) pixels, in their dtype."""
    mean = dask.array.coarsen(np.mean, level.data, {1: 2, 2: 2}, trim_excess=True, dtype=np.float32)
    return xr.DataArray(dask.array.rint(mean).astype(level.dtype), dims=level.dims)


def main(source: str, output: str) -> None:
    """Write the pyramid of `source` to `output`/<level>."""
    numcodecs.blosc.use_threads = False
    with (
        rasterio.Env(GDAL_CACHEMAX=64),
        dask.config.set(scheduler="threads", num_workers=THREADS),
    ):
        level = rioxarray.open_rasterio(source, chunks=CHUNKS, lock=False)
        if not isinstance(level, xr.DataArray):
            raise TypeError("the raster holds more than one data set")
        level.attrs.clear()
        write_level(level, f"{output}/0")
        number = 0
        while max(level.shape[1:]) > TOP:
            below = xr.open_zarr(f"{output}/{number}", consolidated=False, chunks=CHUNKS)
            level = coarsen(below["pixels"])
            number += 1
            write_level(level, f"{output}/{number}")


if __name__ == "__main__":
    main(*sys.argv[1:])
