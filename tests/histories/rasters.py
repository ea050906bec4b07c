"""Small GeoTIFFs of a few families, and what people do to such files behind geobatch's back."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine
from reference_pyramid import Masks, Values
from workbench import PIXEL, X0, Y0, Options, write_tiff

LAYOUTS: tuple[Options, ...] = (
    {"tiled": True, "blockxsize": 64, "blockysize": 64},
    {"blockysize": 16},
    {"tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate", "predictor": 2},
    {"tiled": True, "blockxsize": 128, "blockysize": 128, "interleave": "band", "compress": "lzw"},
    {"blockysize": 50, "interleave": "band", "compress": "zstd", "bigtiff": "yes"},
    {"tiled": True, "blockxsize": 64, "blockysize": 64, "sparse_ok": True, "compress": "deflate"},
)
"""Ways to lay a raster out; blocks of the first two stay in place when they are rewritten."""

_PATCH = 48
"""Pixels of a side of the patches of one value, so that some tiles are alike and some masked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Rasters that can be mosaicked."""

    name: str
    dtype: str
    count: int = 1
    nodata: float | None = None
    own: str | None = None
    """The file's own mask: `alpha`, `internal` or None."""
    values: tuple[float, ...] = (0, 1, 2, 3, 200, 255)


FAMILIES = (
    Family(name="bytes", dtype="uint8", count=2, nodata=0),
    Family(name="plain", dtype="uint8", count=3),
    Family(name="shorts", dtype="int16", count=2, nodata=-1, values=(-1, 0, 7, -300, 3000)),
    Family(name="reals", dtype="float32", values=(float("nan"), 0.0, -0.0, 0.1, 1e30, -3.5)),
    Family(name="alphas", dtype="uint8", count=2, own="alpha"),
    Family(name="holes", dtype="uint8", own="internal"),
)
MASKS = Family(name="masks", dtype="uint8", values=(0, 0, 255, 255, 1, 128))


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """A file as it was written last, but for its pixels."""

    family: Family
    row: int
    col: int
    height: int
    width: int


def paint(family: Family, rng: Random, height: int, width: int) -> Values:
    """Return one band: patches of one value and patches of noise."""
    random = np.random.default_rng(rng.getrandbits(32))
    shape = (-(-height // _PATCH), -(-width // _PATCH))
    flat = _spread(random.choice(len(family.values), size=shape), height, width)
    is_noise = _spread(random.random(shape) < 0.3, height, width)
    noise = random.choice(len(family.values), size=(height, width))
    values: Values = np.array(family.values, dtype=family.dtype)[np.where(is_noise, noise, flat)]
    return values


def _spread(patches: Values, height: int, width: int) -> Values:
    spread: Values = patches.repeat(_PATCH, 0).repeat(_PATCH, 1)[:height, :width]
    return spread


def write(path: Path, raster: Raster, rng: Random) -> None:
    """Write a raster with new pixels in any layout."""
    family = raster.family
    shape = (raster.height, raster.width)
    internal = None
    if family.own == "internal":
        internal = np.where(paint(MASKS, rng, *shape) > 0, 255, 0).astype(np.uint8)
    _write(
        path, raster, [paint(family, rng, *shape) for _ in range(family.count)],
        internal=internal, layout=rng.choice(LAYOUTS),
    )  # fmt: skip


def _write(
    path: Path, raster: Raster, bands: list[Values], *, internal: Masks | None, layout: Options
) -> None:
    write_tiff(
        path, bands, row=raster.row, col=raster.col, nodata=raster.family.nodata,
        internal=internal, has_alpha=raster.family.own == "alpha", layout=layout,
    )  # fmt: skip


def recompress(path: Path, raster: Raster, rng: Random) -> None:
    """Write the same pixels in any layout."""
    with rasterio.open(path) as file:
        bands = [file.read(index) for index in file.indexes]
        internal = file.read_masks(1) if raster.family.own == "internal" else None
        descriptions = file.descriptions
    # A sparse file leaves out blocks of -0.0 as well, and they come back as 0.0.
    is_exact = raster.family.dtype != "float32"
    layouts = [layout for layout in LAYOUTS if is_exact or "sparse_ok" not in layout]
    _write(path, raster, bands, internal=internal, layout=rng.choice(layouts))
    if any(descriptions):
        with rasterio.open(path, "r+") as file:
            file.descriptions = descriptions


def rewrite_block(path: Path, raster: Raster, rng: Random) -> None:
    """Change one pixel, or all, of one block of one band in place."""
    with rasterio.open(path, "r+") as file:
        index = rng.choice(file.indexes)
        window = rng.choice([window for _, window in file.block_windows(index)])
        values = file.read(index, window=window)
        if rng.random() < 0.5:
            values[...] = paint(raster.family, rng, *values.shape)
        else:
            place = rng.randrange(values.shape[0]), rng.randrange(values.shape[1])
            values[place] = rng.choice(raster.family.values)
        file.write(values, index, window=window)


def rewrite_mask(path: Path, raster: Raster, rng: Random) -> None:
    """Change the internal mask of a file, where it has one, and nothing else."""
    if raster.family.own == "internal":
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
            mask = file.read_masks(1)
            row, col = rng.randrange(raster.height), rng.randrange(raster.width)
            mask[row : row + 20, col : col + 20] ^= 255
            file.write_mask(mask)


def retag(path: Path, rng: Random) -> None:
    """Change what a TIFF says of itself, and not of its pixels or where they lie."""
    with rasterio.open(path, "r+") as file:
        file.update_tags(
            TIFFTAG_IMAGEDESCRIPTION=f"no {rng.randrange(100)}",
            TIFFTAG_DATETIME="2026:01:01 00:00:00", note="x" * rng.randrange(50),
        )  # fmt: skip


def describe(path: Path, rng: Random) -> None:
    """Give a band of the file a name, which readers of the asset see."""
    with rasterio.open(path, "r+") as file:
        file.set_band_description(rng.choice(file.indexes), f"band {rng.randrange(100)}")


def shift(path: Path, raster: Raster, *, row: int, col: int) -> Raster:
    """Move a raster by its georeferencing alone."""
    with rasterio.open(path, "r+") as file:
        file.transform = affine(row=row, col=col)
    return replace(raster, row=row, col=col)


def affine(*, row: int, col: int) -> Affine:
    """Return the transform that places a first pixel at a canvas pixel."""
    return Affine(PIXEL, 0, X0 + col * PIXEL, 0, -PIXEL, Y0 - row * PIXEL)


def affine_manifest(*, row: int, col: int) -> dict[str, Any]:
    """Return that transform as a spec says it."""
    found = affine(row=row, col=col)
    return {
        "scale_x": found.a, "scale_y": found.e, "translate_x": found.c, "translate_y": found.f,
    }  # fmt: skip


def keeping_time(path: Path, before: os.stat_result) -> None:
    """Set the times of a file back to what they were."""
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
