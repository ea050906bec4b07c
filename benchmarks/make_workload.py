"""Makes the benchmark raster: four uint16 bands of textured content with a nodata corner.

    python benchmarks/make_workload.py [--size N] [--interleave band] [--directory DIR]

The raster is a function of its options alone. It is written tile by tile, so memory stays
small, and under a temporary name first, so that a file that is there is whole and is used again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window

FULL_SIZE = 10980
TILE = 512
BANDS = 4
NODATA = 0
SEED = 20250101

SHARED_OCTAVES = ((2048, 900.0), (512, 500.0), (128, 260.0), (32, 120.0), (8, 150.0))
"""Lattice spacing in pixels and amplitude of the relief that all bands show."""
BAND_OCTAVES = ((64, 90.0), (16, 40.0))
"""The same for what each band shows alone."""
PARCEL = 48
"""Side of the flat patches, in pixels: they give the sharp edges of fields and roofs."""
BAND_GAINS = (0.6, 0.8, 1.0, 1.7)
BAND_NOISE = (14.0, 17.0, 21.0, 35.0)
"""Standard deviation of the noise per pixel, in counts: it decides how well the file compresses."""


def raw_bits(key: tuple[int, ...], count: int) -> NDArray[np.uint64]:
    """Return `count` random words that depend on `key` alone (PCG64's raw stream is stable)."""
    words: NDArray[np.uint64] = np.random.PCG64([SEED, *key]).random_raw(count)
    return words


class Lattice:
    """Random values in [-0.5, 0.5) on a coarse grid, read as a smooth or a patchy surface."""

    def __init__(self, *, size: int, spacing: int, amplitude: float, key: tuple[int, ...]) -> None:
        self.spacing = spacing
        side = size // spacing + 2
        words = raw_bits((1, spacing, *key), side * side) >> np.uint64(40)
        unit = words.astype(np.float32).reshape(side, side) / np.float32(1 << 24)
        self.values = (unit - np.float32(0.5)) * np.float32(2 * amplitude)

    def smooth(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the bilinear surface over `rows` x `cols`, shape (rows, cols)."""
        row, col = rows // self.spacing, cols // self.spacing
        row_part = ((rows % self.spacing) / self.spacing).astype(np.float32)[:, None]
        col_part = ((cols % self.spacing) / self.spacing).astype(np.float32)
        first = int(col[0])
        strip = self.values[:, first : int(col[-1]) + 2]
        along = strip[row] * (1 - row_part) + strip[row + 1] * row_part
        near, far = along[:, col - first], along[:, col - first + 1]
        return near + (far - near) * col_part

    def patches(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the value of the patch that each pixel lies in, shape (rows, cols)."""
        return self.values[(rows // self.spacing)[:, None], (cols // self.spacing)[None, :]]


class Scene:
    """The content of the raster, at any window."""

    def __init__(self, *, size: int) -> None:
        self.size = size
        self.shared = [
            Lattice(size=size, spacing=spacing, amplitude=amplitude, key=(0,))
            for spacing, amplitude in SHARED_OCTAVES
        ]
        self.own = [
            [
                Lattice(size=size, spacing=spacing, amplitude=amplitude, key=(1 + band,))
                for spacing, amplitude in BAND_OCTAVES
            ]
            for band in range(BANDS)
        ]
        self.parcels = Lattice(size=size, spacing=PARCEL, amplitude=150.0, key=(9,))

    def read(self, window: Window) -> NDArray[np.uint16]:
        """Return the pixels of a window, shape (band, row, col)."""
        rows = np.arange(window.row_off, window.row_off + window.height)
        cols = np.arange(window.col_off, window.col_off + window.width)
        relief = self.parcels.patches(rows, cols)
        for lattice in self.shared:
            relief = relief + lattice.smooth(rows, cols)
        is_void = cols[None, :] * 5 + rows[:, None] * 2 < self.size
        pixels = np.empty((BANDS, len(rows), len(cols)), dtype=np.uint16)
        for band in range(BANDS):
            value = (relief + np.float32(2600)) * np.float32(BAND_GAINS[band])
            for lattice in self.own[band]:
                value += lattice.smooth(rows, cols)
            value += pixel_noise(
                key=(2, band, window.row_off, window.col_off), shape=value.shape
            ) * np.float32(BAND_NOISE[band])
            np.clip(value, 1, 65535, out=value)
            pixels[band] = value
            pixels[band][is_void] = NODATA
        return pixels


def pixel_noise(*, key: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return nearly normal noise of deviation 1: the sum of four random bytes, scaled."""
    count = int(np.prod(shape))
    quads = raw_bits(key, (count + 1) // 2).view(np.uint8).reshape(-1, 4)[:count]
    total = quads.sum(axis=1, dtype=np.float32).reshape(shape)
    noise: NDArray[np.float32] = (total - np.float32(510)) / np.float32(147.8)
    return noise


def make_workload(*, directory: Path, size: int, interleave: str = "pixel") -> Path:
    """Write the raster unless it is there, and return its path.

    Args:
        directory: Where it goes.
        size: Width and height in pixels.
        interleave: `pixel`, GDAL's default (a tile holds all bands), or `band`.
    """
    suffix = "" if interleave == "pixel" else f"_{interleave}"
    path = directory / f"workload_{size}{suffix}.tif"
    if path.exists():
        return path
    directory.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.part")
    scene = Scene(size=size)
    profile = {
        "driver": "GTiff", "width": size, "height": size, "count": BANDS, "dtype": "uint16",
        "crs": "EPSG:32632", "transform": Affine(10, 0, 600000, 0, -10, 5300040),
        "nodata": NODATA, "compress": "DEFLATE", "predictor": 2, "tiled": True,
        "blockxsize": TILE, "blockysize": TILE, "num_threads": "ALL_CPUS",
        "interleave": interleave,
    }  # fmt: skip
    try:
        with (
            rasterio.Env(GDAL_CACHEMAX=64),
            rasterio.open(partial, "w", **profile) as raster,
        ):
            for row in range(0, size, TILE):
                for col in range(0, size, TILE):
                    window = Window(col, row, min(TILE, size - col), min(TILE, size - row))
                    raster.write(scene.read(window), window=window)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def main() -> int:
    """Make the raster and say where it is."""
    parser = argparse.ArgumentParser(description="Make the benchmark raster, unless it is there.")
    parser.add_argument("--size", type=int, default=FULL_SIZE, help="width and height in pixels")
    parser.add_argument("--interleave", choices=("pixel", "band"), default="pixel")
    parser.add_argument("--directory", type=Path, default=Path(__file__).parent / "work")
    arguments = parser.parse_args()
    path = make_workload(
        directory=arguments.directory, size=arguments.size, interleave=arguments.interleave
    )
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
