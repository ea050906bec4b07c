"""Rival: rioxarray, dask and xarray as their documentation shows them, level by level.

    python benchmarks/rivals/dask_plain.py SRC OUT

Chunks of 512 are what is written and what dask computes by; nothing else is set but the codec.
`dask_coarsen.py` beside this file is the same work in the fastest form that was found.
"""

from __future__ import annotations

import sys

import rioxarray
import xarray as xr
from zarr.codecs import BloscCodec

CHUNK = 512
TOP = 256


def write_level(level: xr.DataArray, path: str) -> None:
    """Compute one level and write it as a Zarr v3 array of one band x 512 x 512 chunks."""
    codec = BloscCodec(
        typesize=level.dtype.itemsize,
        cname="zstd",
        clevel=1,
        shuffle="bitshuffle",
        blocksize=1 << 20,
    )
    chunked = level.chunk({"band": 1, "y": CHUNK, "x": CHUNK})
    for name in chunked.coords:
        chunked[name].encoding.clear()
    encoding = {"pixels": {"chunks": (1, CHUNK, CHUNK), "compressors": [codec]}}
    chunked.to_dataset(name="pixels").to_zarr(path, mode="w", zarr_format=3, encoding=encoding)


def main(source: str, output: str) -> None:
    """Write the pyramid of `source` to `output`/<level>."""
    level = rioxarray.open_rasterio(source, chunks={"band": -1, "y": CHUNK, "x": CHUNK})
    if not isinstance(level, xr.DataArray):
        raise TypeError("the raster holds more than one data set")
    level.attrs.clear()
    level.encoding.clear()
    write_level(level, f"{output}/0")
    number = 0
    while max(level.shape[1:]) > TOP:
        below = xr.open_zarr(f"{output}/{number}")["pixels"]
        below.encoding.clear()
        mean = below.coarsen(y=2, x=2, boundary="trim").mean()
        level = mean if below.dtype.kind == "f" else mean.round().astype(below.dtype)
        number += 1
        write_level(level, f"{output}/{number}")


if __name__ == "__main__":
    main(*sys.argv[1:])
