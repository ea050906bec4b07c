"""Rival: rasterio reads, tensorstore's zarr3 driver writes, `ts.downsample` makes the levels.

    python benchmarks/rivals/tensorstore_downsample.py SRC OUT [--no-sync] [--mode]

The fastest form found: regions of 2048 x 2048 both ways, a small GDAL cache, arrays handed over
without a copy. Tried and no faster: one write of the whole level, larger or smaller regions, read
batches, a chunk cache, no file locks. A raster in strips is read in rows of chunks, so that each
strip is decoded once. By default tensorstore makes every chunk durable, as geobatch does;
`--no-sync` turns that off. `--mode` takes the most frequent value in place of the mean.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import rasterio
import tensorstore as ts
from rasterio.windows import Window

THREADS = max(2, os.cpu_count() or 2)
CHUNK = 512
REGION = 2048
TOP = 256


def create(
    *, path: Path, shape: tuple[int, ...], dtype: str, context: ts.Context
) -> ts.TensorStore:
    """Create one level: a (band, row, col) array in chunks of one band x 512 x 512."""
    blosc = {
        "cname": "zstd", "clevel": 1, "shuffle": "bitshuffle",
        "typesize": np.dtype(dtype).itemsize, "blocksize": 1 << 20,
    }  # fmt: skip
    return ts.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": f"{path}/"},
            "metadata": {
                "shape": list(shape),
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [1, CHUNK, CHUNK]},
                },
                "data_type": dtype,
                "fill_value": 0,
                "codecs": [
                    {"name": "bytes", "configuration": {"endian": "little"}},
                    {"name": "blosc", "configuration": blosc},
                ],
            },
        },
        create=True,
        context=context,
    ).result()


def for_each_region(
    level: ts.TensorStore, task: Callable[[Window], None], *, is_in_strips: bool = False
) -> None:
    """Run a task for every region of a level, on the threads."""
    _, height, width = level.shape
    rows, cols = (CHUNK, width) if is_in_strips else (REGION, REGION)
    windows = [
        Window(col, row, min(cols, width - col), min(rows, height - row))
        for row in range(0, height, rows)
        for col in range(0, width, cols)
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        for _done in pool.map(task, windows):
            pass


def copy_base(*, source: str, level: ts.TensorStore, is_in_strips: bool) -> None:
    """Write the raster to level 0; each thread has its own open file."""
    own = threading.local()

    def copy(window: Window) -> None:
        if not hasattr(own, "raster"):
            own.raster = rasterio.open(source)
        pixels = own.raster.read(window=window)
        rows, cols = window.toslices()
        level[:, rows, cols].write(pixels, can_reference_source_data_indefinitely=True).result()

    for_each_region(level, copy, is_in_strips=is_in_strips)


def reduce_level(*, below: ts.TensorStore, level: ts.TensorStore, method: str) -> None:
    """Write the 2x2 mean or mode of `below` to `level`."""
    reduced = ts.downsample(below, [1, 2, 2], method=method)

    def copy(window: Window) -> None:
        rows, cols = window.toslices()
        pixels = reduced[:, rows, cols].read().result()
        level[:, rows, cols].write(pixels, can_reference_source_data_indefinitely=True).result()

    for_each_region(level, copy)


def main(source: str, output: str, *options: str) -> None:
    """Write the pyramid of `source` to `output`/<level>."""
    context = ts.Context(
        {
            "data_copy_concurrency": {"limit": THREADS},
            "file_io_concurrency": {"limit": 2 * THREADS},
            "file_io_sync": "--no-sync" not in options,
        }
    )
    with rasterio.Env(GDAL_CACHEMAX=64):
        with rasterio.open(source) as raster:
            shape = (raster.count, raster.height, raster.width)
            dtype = raster.dtypes[0]
            is_in_strips = raster.block_shapes[0][1] == raster.width
        level = create(path=Path(output) / "0", shape=shape, dtype=dtype, context=context)
        copy_base(source=source, level=level, is_in_strips=is_in_strips)
    number = 0
    while max(shape[1:]) > TOP:
        number += 1
        shape = (shape[0], -(-shape[1] // 2), -(-shape[2] // 2))
        below = level
        path = Path(output) / str(number)
        level = create(path=path, shape=shape, dtype=dtype, context=context)
        reduce_level(below=below, level=level, method="mode" if "--mode" in options else "mean")


if __name__ == "__main__":
    main(*sys.argv[1:])
