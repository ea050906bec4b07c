"""Make the sources of the example specs: one invented island, measured, modelled and walked.

    uv run python scripts/make_examples.py [DIRECTORY]        (default: specs/data)

Pixels come out the same on every machine: lattices are hashed integers, and what is computed from
them uses only operations that IEEE 754 rounds exactly (`+ - * /`, square root, floor). Files are
LZW, which libtiff codes itself, so that their bytes do not hang on the zlib that GDAL came with.
The model's predictions are TFRecord shards, as a script around a Keras model would write them.
Records of the table are not compressed at all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.transform import Affine

Plane: TypeAlias = npt.NDArray[np.float64]
Box: TypeAlias = tuple[int, int, int, int, int]

CRS = "EPSG:32627"
LEFT, TOP = 500_000, 5_712_000
"""The island's upper left corner: open water, south of Iceland."""

# Left, top, columns, rows and pixel size in metres of each picture.
RELIEF: Box = (LEFT, TOP, 900, 700, 20)
ORTHO: Box = (LEFT + 2_040, TOP - 10_250, 560, 480, 5)
OPTICAL: Box = (LEFT + 10_600, TOP - 4_200, 400, 360, 10)
PATCH, KERNEL, PATCHES = 64, 16, (5, 6)
"""Pixels of a patch of predictions, by which neighbours overlap, and (rows, columns) of patches."""
SHARDS = (0, 12, 21, 30)
"""Records before which the predictions are cut into files."""
ORTHO_OVERLAP = 24
"""Rows and columns that neighbouring tiles of the orthophoto share."""

DEM_NODATA = -9999.0
CLASSES: Mapping[int, tuple[str, tuple[int, int, int]]] = {
    1: ("water", (70, 120, 170)),
    2: ("beach", (233, 219, 170)),
    3: ("grassland", (168, 196, 112)),
    4: ("cropland", (219, 188, 99)),
    5: ("broadleaf forest", (94, 146, 72)),
    6: ("conifer forest", (46, 98, 66)),
    7: ("heath", (160, 140, 104)),
    8: ("rock", (150, 146, 142)),
    9: ("snow", (244, 247, 250)),
    10: ("built-up", (196, 72, 60)),
}
CLASS_NODATA = 255

# Unit vectors from Pythagorean triples: no trigonometry, whose last bit differs between machines.
_TRIPLES = [(1.0, 0.0), (0.8, 0.6), (0.6, 0.8), (12 / 13, 5 / 13), (5 / 13, 12 / 13)]
_TURNS = [(1, 1), (-1, 1), (1, -1), (-1, -1)]
_GRADIENTS = np.array(
    [(i * x, j * y) for x, y in _TRIPLES for i, j in _TURNS]
    + [(i * y, j * x) for x, y in _TRIPLES[:1] for i, j in _TURNS]
)


# Noise


def scramble(
    x: npt.NDArray[np.int64], y: npt.NDArray[np.int64], seed: int
) -> npt.NDArray[np.uint64]:
    """Return a hash of each lattice point (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        value = x.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        value ^= y.astype(np.uint64) * np.uint64(0xC2B2AE3D27D4EB4F) + np.uint64(seed)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            value = (value ^ (value >> np.uint64(shift))) * np.uint64(factor)
    return value ^ (value >> np.uint64(31))


def noise(x: Plane, y: Plane, *, cell: float, seed: int) -> Plane:
    """Return gradient noise, roughly -1 to 1, on a lattice of `cell` metres."""
    u, v = x / cell, y / cell
    col, row = np.floor(u), np.floor(v)
    u, v = u - col, v - row
    first_col, first_row = int(col.min()), int(row.min())
    lattice = np.meshgrid(
        np.arange(first_col, int(col.max()) + 2),
        np.arange(first_row, int(row.max()) + 2),
    )
    picks = scramble(lattice[0], lattice[1], seed) % np.uint64(len(_GRADIENTS))
    across, down = np.ascontiguousarray(_GRADIENTS[picks.astype(np.int64).ravel()].T)
    width = picks.shape[1]
    place = (row.astype(np.int64) - first_row) * width + (col.astype(np.int64) - first_col)

    def corner(dx: int, dy: int) -> Plane:
        near = place + (dy * width + dx)
        dot: Plane = across.take(near) * (u - dx) + down.take(near) * (v - dy)
        return dot

    s = u * u * u * (u * (u * 6 - 15) + 10)
    t = v * v * v * (v * (v * 6 - 15) + 10)
    upper = corner(0, 0) * (1 - s) + corner(1, 0) * s
    lower = corner(0, 1) * (1 - s) + corner(1, 1) * s
    return np.asarray(1.5 * (upper * (1 - t) + lower * t))


def rough(x: Plane, y: Plane, *, cell: float, seed: int, octaves: int) -> Plane:
    """Return the sum of octaves of noise, each half as wide and half as high."""
    total = np.zeros_like(x)
    for octave in range(octaves):
        scale = 0.5**octave
        total += scale * noise(x, y, cell=cell * scale, seed=seed + octave)
    return total


def ridged(x: Plane, y: Plane, *, cell: float, seed: int, octaves: int) -> Plane:
    """Return ridges, 0 to about 1: creases of noise, finer ones only where coarse ones rise."""
    total, weight = np.zeros_like(x), np.ones_like(x)
    for octave in range(octaves):
        scale = 0.5**octave
        crease = 1 - np.abs(noise(x, y, cell=cell * scale, seed=seed + octave))
        crease = np.maximum(crease, 0) ** 2 * weight
        total += scale * crease
        weight = np.clip(1.6 * crease, 0, 1)
    return total / 1.9


def cells(x: Plane, y: Plane, *, cell: float, seed: int) -> tuple[npt.NDArray[np.uint64], Plane]:
    """Return the hash of each place's nearest site, and how much farther the second nearest is."""
    col, row = np.floor(x / cell), np.floor(y / cell)
    nearest, second = np.full_like(x, np.inf), np.full_like(x, np.inf)
    owner = np.zeros(x.shape, dtype=np.uint64)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            i, j = col + dx, row + dy
            site = scramble(i.astype(np.int64), j.astype(np.int64), seed)
            site_x = (i + (site % np.uint64(1024)).astype(np.float64) / 1024) * cell
            site_y = (
                j + ((site >> np.uint64(20)) % np.uint64(1024)).astype(np.float64) / 1024
            ) * cell
            # Measured along two axes: straight, mostly right-angled borders, as fields have.
            distance = np.maximum(np.abs(site_x - x), np.abs(site_y - y))
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            owner = np.where(closer, site, owner)
            nearest = np.where(closer, distance, nearest)
    return owner, second - nearest


# The island


def places(box: Box) -> tuple[Plane, Plane]:
    """Return the (x, y) of every pixel centre in metres from the island's corner, y downwards."""
    left, top, cols, rows, size = box
    x = (np.arange(cols) + 0.5) * size + (left - LEFT)
    y = (np.arange(rows) + 0.5) * size + (TOP - top)
    grid = np.meshgrid(x, y)
    return grid[0], grid[1]


def elevation(x: Plane, y: Plane) -> Plane:
    """Return metres above the sea, negative below it."""
    bend_x = x + 520 * rough(x, y, cell=4800, seed=11, octaves=3)
    bend_y = y + 520 * rough(x, y, cell=4800, seed=31, octaves=3)
    off_x, off_y = (bend_x - 9000) / 7300, (bend_y - 7000) / 6100
    shape = 1 - (off_x * off_x + off_y * off_y) + 0.8 * rough(x, y, cell=5200, seed=51, octaves=7)
    inland = np.clip(shape / 0.75, -1, 1)
    rise = np.where(inland > 0, inland * inland * (3 - 2 * inland), 0)
    peaks = ridged(bend_x, bend_y, cell=4600, seed=371, octaves=8)
    hills = rough(bend_x, bend_y, cell=1700, seed=91, octaves=6)
    return np.asarray(
        120 * inland + rise * (1500 * peaks * peaks + 110 * hills) + 14 * hills * inland
    )


def steepness(z: Plane, size: float) -> tuple[Plane, Plane, Plane]:
    """Return the eastward and southward rise per metre, and the slope."""
    padded = np.pad(z, 1, mode="edge")
    east = (padded[1:-1, 2:] - padded[1:-1, :-2]) / (2 * size)
    south = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / (2 * size)
    return east, south, np.sqrt(east * east + south * south)


def sunlight(east: Plane, south: Plane) -> Plane:
    """Return the light on a slope, about 1 on level ground, from a sun in the north-west."""
    return (
        np.clip((0.52 * east + 0.52 * south + 0.68) / np.sqrt(1 + east**2 + south**2), 0, 1) / 0.68
    )


def land_cover(x: Plane, y: Plane, z: Plane, slope: Plane) -> npt.NDArray[np.uint8]:
    """Return the class of each place; the open sea is `CLASS_NODATA`."""
    damp = rough(x, y, cell=2300, seed=211, octaves=5)
    patch = rough(x, y, cell=260, seed=231, octaves=3)
    parcel, hedge = cells(x, y, cell=300, seed=251)
    plot, _ = cells(x, y, cell=70, seed=271)
    settled = noise(x, y, cell=1900, seed=291) + 0.25 * patch
    farmed = (z < 230) & (slope < 0.2) & (damp < 0.45)
    height = z + 90 * patch
    rules = [  # the first that holds decides
        (z < -25, CLASS_NODATA),
        (z < 0, 1),
        ((z < 5) & (slope < 0.2), 2),
        ((damp - slope > 0.55) & (z > 15) & (z < 420) & (slope < 0.09), 1),
        ((height > 1130 - 450 * np.clip(0.9 - slope, 0, 1)) & (slope < 1.1) & (height > 980), 9),
        ((slope + 0.15 * patch > 1.05) | (height > 1050), 8),
        (farmed & (settled > 0.42) & (plot % np.uint64(5) < 3), 10),
        (farmed & (hedge > 14) & (parcel % np.uint64(10) < 6), 4),
        (height > 720, 7),
        ((damp + 0.5 * patch > -0.1) & (height < 330) & ~(farmed & (hedge > 14)), 5),
        ((damp + 0.5 * patch > -0.25) & (height >= 330), 6),
        ((damp < -0.5) & (height > 300), 7),
    ]
    return np.select([rule for rule, _ in rules], [code for _, code in rules], 3).astype(np.uint8)


# The instruments


def relief(box: Box = RELIEF) -> npt.NDArray[np.float32]:
    """Return the elevation model, (row, col), in metres to the quarter; the sea is `DEM_NODATA`."""
    z = elevation(*places(box))
    return np.where(z < 0, DEM_NODATA, np.floor(z * 4 + 0.5) / 4).astype(np.float32)


def cover(box: Box = RELIEF) -> npt.NDArray[np.uint8]:
    """Return the land-cover map, (row, col)."""
    x, y = places(box)
    z = elevation(x, y)
    return land_cover(x, y, z, steepness(z, box[4])[2])


def photograph(box: Box = ORTHO) -> npt.NDArray[np.uint8]:
    """Return the orthophoto, (band, row, col): red, green, blue, alpha.

    Alpha is 255 within the ragged outline of the flight, 0 outside, and 128 in the rim between.
    """
    x, y = places(box)
    z = elevation(x, y)
    east, south, slope = steepness(z, box[4])
    classes = land_cover(x, y, z, slope)
    grain = rough(x, y, cell=60, seed=311, octaves=4)
    crowns = noise(x, y, cell=17, seed=331)
    parcel, _ = cells(x, y, cell=300, seed=251)
    _, gable = cells(x, y, cell=38, seed=351)
    turn = _GRADIENTS[(parcel >> np.uint64(8)) % np.uint64(len(_GRADIENTS))]
    along = (x * turn[..., 0] + y * turn[..., 1]) / 22
    furrow = np.abs(along - np.floor(along) - 0.5) * 4 - 1
    ripening = ((parcel >> np.uint64(32)) % np.uint64(256)).astype(np.float64) / 255
    depth = np.clip(-z / 45, 0, 1)
    surf = (z < 0) & (z > -2.5 + 2 * grain)
    colours = {  # class: (red, green, blue), and how strongly grain, crowns and furrows show
        CLASS_NODATA: ((24, 58, 84), 2, 1, 0),
        1: ((24, 58, 84), 2, 1, 0),
        2: ((214, 200, 160), 10, 3, 0),
        3: ((126, 144, 78), 14, 4, 0),
        4: ((168, 158, 84), 4, 0, 9),
        5: ((62, 92, 48), 12, 24, 0),
        6: ((38, 66, 46), 8, 18, 0),
        7: ((126, 112, 84), 14, 8, 0),
        8: ((142, 136, 128), 20, 8, 0),
        9: ((236, 240, 244), 4, 2, 0),
        10: ((118, 124, 92), 10, 4, 0),
    }
    rgb = np.zeros((3, *x.shape))
    for code, (colour, *strengths) in colours.items():
        texture = strengths[0] * grain + strengths[1] * crowns + strengths[2] * furrow
        for band, value in enumerate(colour):
            rgb[band] = np.where(classes == code, value + texture, rgb[band])
    # Red, green, blue of shallow water, of ripeness, of roofs and of surf.
    paints = [(76, 46, 178, 226), (150, 6, 104, 236), (146, -34, 88, 234)]
    for band, (shallow, tint, roof, foam) in enumerate(paints):
        tinted = rgb[band] + (ripening - 0.35) * tint
        rgb[band] = np.where(classes == 4, tinted, rgb[band])
        sea = shallow + 2 * grain + (rgb[band] - shallow) * np.sqrt(depth)
        rgb[band] = np.where(z < 0, sea, rgb[band])
        rgb[band] = np.where(
            (classes == 10) & (gable > 13), roof + 30 * (ripening - 0.5), rgb[band]
        )
        rgb[band] = np.where(surf, foam, rgb[band])
    light = np.where(z < 0, 1, 0.45 + 0.55 * sunlight(east, south))
    picture = np.clip(np.floor(rgb * light + 0.5), 0, 255).astype(np.uint8)

    _, _, cols, rows, size = box
    left, top = x - x[0, 0], y - y[0, 0]
    edge = np.minimum(np.minimum(left, cols * size - left), np.minimum(top, rows * size - top))
    corner = 0.8 * left + 0.6 * top - 500
    inside = np.minimum(edge - 40, corner) + 45 * rough(x, y, cell=420, seed=371, octaves=5)
    alpha = np.where(inside > 12, 255, np.where(inside > 0, 128, 0)).astype(np.uint8)
    return np.concatenate([picture * (alpha > 0), alpha[np.newaxis]])


@cache
def reflectances(box: Box = OPTICAL) -> dict[str, npt.NDArray[np.uint16]]:
    """Return the scene's bands, each (row, col), as stored: 10000 x reflectance + 1000.

    `QA60` flags clouds with bit 10. East of the swath's edge every band is 0.
    """
    x, y = places(box)
    z = elevation(x, y)
    east, south, slope = steepness(z, box[4])
    classes = land_cover(x, y, z, slope)
    grain = rough(x, y, cell=160, seed=411, octaves=4)
    parcel, _ = cells(x, y, cell=300, seed=251)
    ripening = ((parcel >> np.uint64(32)) % np.uint64(256)).astype(np.float64) / 255
    billows = rough(x, y, cell=1500, seed=431, octaves=6)
    cloud = np.clip((billows - 0.62) / 0.3, 0, 1)
    shade = np.clip((rough(x - 330, y - 330, cell=1500, seed=431, octaves=6) - 0.62) / 0.2, 0, 1)
    light = (0.45 + 0.55 * sunlight(east, south)) * (1 - 0.6 * shade * (1 - cloud))
    signatures = {  # reflectance x 10000 of green, red, near and short-wave infrared
        CLASS_NODATA: (380, 190, 110, 50),
        1: (560, 330, 160, 70),
        2: (2300, 2600, 2900, 3300),
        3: (900, 720, 3300, 2100),
        4: (1000, 1100, 2900, 2600),
        5: (560, 340, 3700, 1500),
        6: (380, 250, 2200, 900),
        7: (900, 1050, 2100, 2500),
        8: (1500, 1650, 1950, 2300),
        9: (8200, 8100, 7400, 900),
        10: (1500, 1650, 2200, 2400),
    }
    tints = (500, 1500, -1200, 900)
    bands: dict[str, npt.NDArray[np.uint16]] = {}
    seen = 0.9 * x + 0.25 * y < 14_200
    for band, name in enumerate(("B03", "B04", "B08", "B11")):
        ground = np.zeros_like(x)
        for code, signature in signatures.items():
            ground = np.where(classes == code, signature[band] * (1 + 0.12 * grain), ground)
        ground = np.where(classes == 4, ground + tints[band] * (ripening - 0.4), ground)
        scene = ground * light * (1 - cloud) + (6400 - 600 * band) * cloud
        stored = np.floor(np.clip(scene, 1, 20_000) / 4 + 0.5) * 4 + 1000
        bands[name] = (stored * seen).astype(np.uint16)
    bands["QA60"] = np.where(seen & (cloud > 0.35), 1024, 0).astype(np.uint16)
    return bands


def predictions() -> dict[str, npt.NDArray[Any]]:
    """Return what a model made of the scene, (row, col), with half a kernel around it.

    `forest` is a probability in steps of 1/16, `class` the land-cover class, `clear` 255 where
    the ground is seen, 128 through haze, 0 under clouds and beyond the swath.
    """
    left, top, _, _, size = OPTICAL
    rows, cols = (count * PATCH + KERNEL for count in PATCHES)
    box = (left - KERNEL // 2 * size, top + KERNEL // 2 * size, cols, rows, size)
    scene = {name: band.astype(np.float64) for name, band in reflectances(box).items()}
    red, infrared = scene["B04"] - 1000, scene["B08"] - 1000
    greenness = (infrared - red) / np.maximum(infrared + red, 1)
    forest = np.clip((greenness - 0.4) / 0.45, 0, 1)
    x, y = places(box)
    haze = rough(x, y, cell=1500, seed=431, octaves=6) > 0.62
    clear = np.where(scene["QA60"] > 0, 0, np.where(haze, 128, 255)) * (scene["B03"] > 0)
    return {
        "forest": (np.floor(forest * 16 + 0.5) / 16).astype(np.float32),
        "class": cover(box).astype(np.int64),
        "clear": clear.astype(np.uint8),
    }


def coarse(box: Box) -> Box:
    """Return the same ground in pixels twice as large."""
    left, top, cols, rows, size = box
    return (left, top, cols // 2, rows // 2, size * 2)


# The files


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """One GeoTIFF to be: its pixels and all that its header says."""

    pixels: npt.NDArray[Any]
    """(band, row, col)."""
    box: Box
    """Where it lies."""
    nodata: float | None = None
    """The file's nodata value."""
    names: tuple[str, ...] = ()
    """Band descriptions."""
    units: tuple[str, ...] = ()
    """Units of the bands."""
    scaling: tuple[tuple[float, float], ...] = ()
    """(scale, offset) of the bands."""
    palette: Mapping[int, tuple[int, int, int]] | None = None
    """Colour table."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Creation options of GDAL's GTiff driver."""

    def write(self, path: Path) -> None:
        """Write the file: the same bytes for the same pixels."""
        left, top, _, _, size = self.box
        count, rows, cols = self.pixels.shape
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=count,
            height=rows,
            width=cols,
            dtype=self.pixels.dtype,
            crs=CRS,
            transform=Affine(size, 0, left, 0, -size, top),
            nodata=self.nodata,
            compress="LZW",
            **self.options,
        ) as dataset:
            dataset.write(self.pixels)
            for index, name in enumerate(self.names, start=1):
                dataset.set_band_description(index, name)
            if self.units:
                dataset.units = self.units
            if self.scaling:
                dataset.scales, dataset.offsets = zip(*self.scaling, strict=True)
            if self.palette:
                dataset.write_colormap(1, self.palette)


TILED = {"tiled": True, "blockxsize": 256, "blockysize": 256}


def exposures() -> dict[str, Raster]:
    """Return the orthophoto cut into two by two overlapping tiles, by file name."""
    picture = photograph()
    left, top, cols, rows, size = ORTHO
    files = {}
    for row in (0, 1):
        for col in (0, 1):
            above, beside = (
                slice(
                    place * (length - ORTHO_OVERLAP) // 2,
                    length if place else (length + ORTHO_OVERLAP) // 2,
                )
                for place, length in ((row, rows), (col, cols))
            )
            tile = picture[:, above, beside].copy()
            # Each exposure a shade brighter than the one before: overlaps show which tile won.
            brighter = (tile[:3] < 250) & (tile[3] > 0)
            tile[:3] += brighter.astype(np.uint8) * np.uint8(2 * row + col)
            files[f"ortho_{row}{col}.tif"] = Raster(
                pixels=tile,
                box=(
                    left + beside.start * size,
                    top - above.start * size,
                    tile.shape[2],
                    tile.shape[1],
                    size,
                ),
                options={
                    **TILED,
                    "predictor": 2,
                    "interleave": "pixel",
                    "photometric": "RGB",
                    "alpha": "NON-PREMULTIPLIED",
                },
            )
    return files


def rasters() -> dict[str, Raster]:
    """Return every example raster by file name."""
    fine, wide = reflectances(), reflectances(coarse(OPTICAL))
    reflectance = (0.0001, -0.1)
    return {
        "dem.tif": Raster(
            pixels=relief()[np.newaxis],
            box=RELIEF,
            nodata=DEM_NODATA,
            names=("elevation",),
            units=("m",),
            options={**TILED, "predictor": 3},
        ),
        "landcover.tif": Raster(
            pixels=cover()[np.newaxis],
            box=RELIEF,
            nodata=CLASS_NODATA,
            names=("class",),
            palette={code: colour for code, (_, colour) in CLASSES.items()},
            options={"blockysize": 32},
        ),
        **exposures(),
        "optical_10m.tif": Raster(
            pixels=np.stack([fine[band] for band in ("B03", "B04", "B08")]),
            box=OPTICAL,
            nodata=0,
            names=("B03", "B04", "B08"),
            scaling=(reflectance,) * 3,
            options={**TILED, "predictor": 2, "interleave": "band"},
        ),
        "optical_20m.tif": Raster(
            pixels=np.stack([wide[band] for band in ("B11", "QA60")]),
            box=coarse(OPTICAL),
            nodata=0,
            names=("B11", "QA60"),
            scaling=(reflectance, (1.0, 0.0)),
            options={**TILED, "predictor": 2, "interleave": "band"},
        ),
    }


def examples() -> Iterator[bytes]:
    """Yield the predictions as serialized Examples, patch by patch, row by row."""
    import tensorflow as tf  # noqa: PLC0415 - slow to import

    bands = predictions()
    for row in range(PATCHES[0]):
        for col in range(PATCHES[1]):
            side = PATCH + KERNEL
            place = (
                slice(row * PATCH, row * PATCH + side),
                slice(col * PATCH, col * PATCH + side),
            )
            forest, classes, clear = (bands[n][place].ravel() for n in ("forest", "class", "clear"))
            features = {
                "forest": tf.train.Feature(float_list=tf.train.FloatList(value=forest)),
                "class": tf.train.Feature(int64_list=tf.train.Int64List(value=classes)),
                "clear": tf.train.Feature(bytes_list=tf.train.BytesList(value=[clear.tobytes()])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            yield example.SerializeToString(deterministic=True)


def write_predictions(folder: Path) -> Iterator[str]:
    """Write shards and mixer, and yield their names."""
    import tensorflow as tf  # noqa: PLC0415

    records = list(examples())
    for number, (start, stop) in enumerate(pairwise(SHARDS)):
        name = f"predictions-{number:05}.tfrecord.gz"
        with tf.io.TFRecordWriter(str(folder / name), "GZIP") as writer:
            for record in records[start:stop]:
                writer.write(record)
        yield name
    left, top, _, _, size = OPTICAL
    matrix = [size, 0, left, 0, -size, top]
    mixer = {
        "projection": {"crs": CRS, "affine": {"doubleMatrix": matrix}},
        "patchDimensions": [PATCH, PATCH],
        "patchesPerRow": PATCHES[1],
        "totalPatches": PATCHES[0] * PATCHES[1],
    }
    (folder / "predictions-mixer.json").write_text(json.dumps(mixer, indent=2) + "\n")
    yield "predictions-mixer.json"


def write_rasters(folder: Path) -> Iterator[str]:
    """Write every GeoTIFF, and yield their names."""
    for name, raster in rasters().items():
        raster.write(folder / name)
        yield name


PLOTS = 240
"""Places where somebody stood."""


def plots() -> list[dict[str, list[float] | list[int] | list[bytes]]]:
    """Return what was noted at each plot on land, and what the scene shows there."""
    bands, heights, classes = reflectances(), elevation(*places(OPTICAL)), cover(OPTICAL)
    left, top, cols, rows, size = OPTICAL
    found: list[dict[str, list[float] | list[int] | list[bytes]]] = []
    numbers = np.arange(4 * PLOTS, dtype=np.int64)
    picked = (scramble(numbers, numbers, 77) % np.uint64(cols * rows)).astype(np.int64)
    for number, (row, col) in enumerate(zip(*np.divmod(picked, cols), strict=True)):
        code = int(classes[row, col])
        if code in (1, CLASS_NODATA) or bands["B04"][row, col] == 0 or len(found) == PLOTS:
            continue
        plot: dict[str, list[float] | list[int] | list[bytes]] = {
            "easting": [left + (int(col) + 0.5) * size],
            "northing": [top - (int(row) + 0.5) * size],
            "class": [code],
            "plot": [f"P{number:03}".encode()],
            "elevation": [float(np.floor(heights[row, col]))],
            "reflectance": [float(bands[name][row, col]) for name in ("B03", "B04", "B08")],
        }
        if code == 4 and number % 3 == 0:
            plot["note"] = [b"stubble, not yet ploughed"]
        found.append(plot)
    return found


def write_records(path: Path) -> None:
    """Write the plots as TFRecord, an Example each."""
    import tensorflow as tf  # noqa: PLC0415 - nothing else here takes seconds to import

    lists = {
        float: lambda values: {"float_list": tf.train.FloatList(value=values)},
        int: lambda values: {"int64_list": tf.train.Int64List(value=values)},
        bytes: lambda values: {"bytes_list": tf.train.BytesList(value=values)},
    }
    with tf.io.TFRecordWriter(str(path)) as writer:
        for plot in plots():
            features = {
                name: tf.train.Feature(**lists[type(values[0])](values))
                for name, values in plot.items()
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString(deterministic=True))


def write_plots(folder: Path) -> Iterator[str]:
    """Write the records of the table, and yield the name of the file."""
    write_records(folder / "plots.tfrecord")
    yield "plots.tfrecord"


def main(folder: Path) -> None:
    """Write every example into a folder and say how large each file is."""
    folder.mkdir(parents=True, exist_ok=True)
    total = 0
    for name in (*write_rasters(folder), *write_predictions(folder), *write_plots(folder)):
        size = (folder / name).stat().st_size
        total += size
        print(f"{name:30} {size:9,} bytes")
    print(f"{'':30} {total:9,} bytes in all")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "specs/data"))
