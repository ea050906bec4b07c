"""Rival: rasterio reads, tensorstore's zarr3 driver writes, `ts.downsample` makes the levels.

    python benchmarks/rivals/tensorstore_downsample.py SRC OUT [--no-sync]

The fastest form found: regions of 2048 x 2048 both ways, a small GDAL cache, arrays handed over
without a copy. Tried and no faster: one write of the whole level, larger or smaller regions, read
batches, a chunk cache, no file locks. By default tensorstore makes every chunk durable, as geobatch
does; `--no-sync` turns that off.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import rasterio
import tensorstore as ts
from rasterio.windows import Window

THREADS = max(2, os.cpu_count() or 2)
CHUNK = 512
REGION = 2048
TOP = 256


def create(*, path: Path, shape: tuple[int, ...], context: ts.Context) -> ts.TensorStore:
    """Create one level: a (band, row, col) uint16 array in chunks of one band x 512 x 512."""
    blosc = {
        "cname": "zstd", "clevel": 1, "shuffle": "bitshuffle", "typesize": 2, "blocksize": 1 << 20,
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
                "data_type": "uint16",
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


def for_each_region(level: ts.TensorStore, task: Callable[[Window], None]) -> None:
    """Run a task for every region of a level, on the threads."""
    _, height, width = level.shape
    windows = [
        Window(col, row, min(REGION, width - col), min(REGION, height - row))
        for row in range(0, height, REGION)
        for col in range(0, width, REGION)
    ]
    with ThreadPoolExecutor(THREADS) as pool:
        for _done in pool.map(task, windows):
            pass


def copy_base(*, source: str, level: ts.TensorStore) -> None:
    """Write the raster to level 0; each thread has its own open file."""
    own = threading.local()

    def copy(window: Window) -> None:
        if not hasattr(own, "raster"):
            own.raster = rasterio.open(source)
        pixels = own.raster.read(window=window)
        rows, cols = window.toslices()
        level[:, rows, cols].write(pixels, can_reference_source_data_indefinitely=True).result()

    for_each_region(level, copy)


def reduce_level(*, below: ts.TensorStore, level: ts.TensorStore) -> None:
    """Write the 2x2 mean of `below` to `level`."""
    reduced = ts.downsample(below, [1, 2, 2], method="mean")

    def copy(window: Window) -> None:
        rows, cols = window.toslices()
        pixels = reduced[:, rows, cols].read().result()
        level[:, rows, cols].write(pixels, can_reference_source_data_indefinitely=True).result()

    for_each_region(level, copy)


def main(source: str, output: str, option: str = "") -> None:
    """Write the pyramid of `source` to `output`/<level>."""
    context = ts.Context(
        {
            "data_copy_concurrency": {"limit": THREADS},
            "file_io_concurrency": {"limit": 2 * THREADS},
            "file_io_sync": option != "--no-sync",
        }
    )
    with rasterio.Env(GDAL_CACHEMAX=64):
        with rasterio.open(source) as raster:
            shape = (raster.count, raster.height, raster.width)
        level = create(path=Path(output) / "0", shape=shape, context=context)
        copy_base(source=source, level=level)
    number = 0
    while max(shape[1:]) > TOP:
        number += 1
        shape = (shape[0], -(-shape[1] // 2), -(-shape[2] // 2))
        below, level = level, create(path=Path(output) / str(number), shape=shape, context=context)
        reduce_level(below=below, level=level)


if __name__ == "__main__":
    main(*sys.argv[1:])
