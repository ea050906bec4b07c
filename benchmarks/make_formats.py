"""Makes the rasters of `formats.py`: what TIFFs are usually packed and laid out like.

    python benchmarks/make_formats.py NAME [--size N] [--directory DIR]

Each is a function of its name and the size, derived from the benchmark raster, and is made once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from make_workload import TILE, make_workload, raw_bits
from numpy.typing import NDArray
from rasterio.windows import Window

Pixels = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What pixels show: made from those of the benchmark raster."""

    dtype: str
    """Pixel type."""
    bands: int
    """How many bands."""
    nodata: float | None
    """Value of missing pixels."""
    scale: int = 1
    """Pixels on a side for each pixel of `--size`, so that rows are of similar bytes."""
    policy: str = "MEAN"
    """Pyramiding policy."""
    convert: Callable[[Pixels, Window], Pixels] = field(default=lambda pixels, _window: pixels)
    """Makes its pixels of (4, row, col) uint16, and where they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A row of the table."""

    name: str
    """What `--only` calls it."""
    title: str
    """What the table calls it."""
    content: Content
    """What it shows."""
    options: dict[str, Any]
    """GDAL's creation options."""


def _rgb(pixels: Pixels, _window: Window) -> Pixels:
    return np.clip(pixels[2::-1] // 16, 0, 255).astype(np.uint8)


def _floats(pixels: Pixels, window: Window) -> Pixels:
    """Return reflectances; the void corner is NaN, and so is one pixel in a hundred."""
    values: Pixels = pixels[:2].astype(np.float32) / np.float32(10000)
    values[pixels[:2] == 0] = np.nan
    values[:, _chance(window, pixels.shape[1:]) < 655] = np.nan
    return values


def _classes(pixels: Pixels, window: Window) -> Pixels:
    """Return eleven classes in patches, with a wrong pixel in each hundred."""
    smooth = pixels[:1] // 300 % 11
    smooth[:, _chance(window, pixels.shape[1:]) < 655] = 3
    smooth[pixels[:1] == 0] = 255
    return smooth.astype(np.uint8)


def _chance(window: Window, shape: tuple[int, ...]) -> Pixels:
    count = int(np.prod(shape))
    words = raw_bits((7, window.row_off, window.col_off), -(-count // 4))
    return words.view(np.uint16)[:count].reshape(shape)


RELIEF = Content(dtype="uint16", bands=4, nodata=0)
RGB = Content(dtype="uint8", bands=3, nodata=None, scale=2, convert=_rgb)
FLOATS = Content(dtype="float32", bands=2, nodata=float("nan"), convert=_floats)
CLASSES = Content(dtype="uint8", bands=1, nodata=255, scale=2, policy="MODE", convert=_classes)
TILES: dict[str, Any] = {"tiled": True, "blockxsize": TILE, "blockysize": TILE}


def _relief(name: str, title: str, **options: Any) -> list[Format]:
    """Return both interleavings of the benchmark raster in some packing."""
    return [
        Format(
            name=f"{name}_{interleave}",
            title=f"{title}, by {interleave}",
            content=RELIEF,
            options={**options, "interleave": interleave},
        )
        for interleave in ("pixel", "band")
    ]


FORMATS = (
    *_relief("deflate", "DEFLATE, predictor 2", compress="DEFLATE", predictor=2, **TILES),
    *_relief("zstd", "ZSTD, predictor 2", compress="ZSTD", predictor=2, **TILES),
    *_relief("lzw", "LZW, predictor 2", compress="LZW", predictor=2, **TILES),
    *_relief("none", "not compressed", **TILES),
    *_relief("strips", "strips of one row, DEFLATE, predictor 2", compress="DEFLATE", predictor=2),
    Format(
        name="rgb",
        title="RGB of uint8, DEFLATE, predictor 2, by pixel",
        content=RGB,
        options={"compress": "DEFLATE", "predictor": 2, "interleave": "pixel", **TILES},
    ),
    Format(
        name="jpeg",
        title="RGB of uint8, JPEG (YCbCr), by pixel",
        content=RGB,
        options={"compress": "JPEG", "photometric": "YCBCR", "interleave": "pixel", **TILES},
    ),
    Format(
        name="floats",
        title="float32 with NaN, DEFLATE, predictor 3, by pixel",
        content=FLOATS,
        options={"compress": "DEFLATE", "predictor": 3, "interleave": "pixel", **TILES},
    ),
    Format(
        name="classes",
        title="classes of uint8, LZW, MODE",
        content=CLASSES,
        options={"compress": "LZW", **TILES},
    ),
)
"""Strips are those that GDAL writes if it is not told otherwise."""


def make_format(chosen: Format, *, directory: Path, size: int) -> Path:
    """Write a raster unless it is there, and return its path.

    Args:
        chosen: What is made.
        directory: Folder of the raster.
        size: Width and height in pixels of a raster of scale 1.
    """
    content = chosen.content
    path = directory / f"{chosen.name}_{size}.tif"
    if path.exists():
        return path
    base = make_workload(directory=directory, size=size * content.scale)
    partial = path.with_suffix(f".{os.getpid()}.part")
    try:
        with (
            rasterio.Env(GDAL_CACHEMAX=256, GDAL_NUM_THREADS="ALL_CPUS"),
            rasterio.open(base) as old,
        ):
            profile = {
                "driver": "GTiff", "width": old.width, "height": old.height, "crs": old.crs,
                "transform": old.transform, "count": content.bands, "dtype": content.dtype,
                "nodata": content.nodata, **chosen.options,
            }  # fmt: skip
            with rasterio.open(partial, "w", **profile) as raster:
                for row in range(0, old.height, TILE):
                    window = Window(0, row, old.width, min(TILE, old.height - row))
                    pixels = content.convert(old.read(window=window), window)
                    raster.write(pixels, window=window)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def main() -> int:
    """Make one raster and say where it is."""
    formats = {one.name: one for one in FORMATS}
    parser = argparse.ArgumentParser(description="Make a raster, unless it is there.")
    parser.add_argument("name", choices=formats)
    parser.add_argument("--size", type=int, default=5490, help="width and height in pixels")
    parser.add_argument("--directory", type=Path, default=Path(__file__).parent / "work")
    arguments = parser.parse_args()
    chosen = formats[arguments.name]
    path = make_format(chosen, directory=arguments.directory, size=arguments.size)
    print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
