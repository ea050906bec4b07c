"""Level 1 equals what GDAL makes of an even-sized raster without masks, where both mean the same.

MEDIAN is not compared: GDAL's median of four pixels is one of them, Earth Engine's is the mean of
the middle two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject
from reference_pyramid import Values
from workbench import CRS, Workbench, assert_same, image, write_tiff

SHAPE = (300, 522)


def level_1(folder: Path, values: Values, policy: str) -> Values:
    path = write_tiff(folder / "a.tif", [values])
    bench = Workbench(folder=folder)
    bench.apply(image("a", path.name, tile=128, pyramiding_policy=policy))
    return bench.array("a/1/b1")


def overview(folder: Path, values: Values, resampling: Resampling) -> Values:
    path = write_tiff(folder / "gdal.tif", [values])
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2], resampling)
    with rasterio.open(path, overview_level=0) as file:
        band: Values = file.read(1)
        return band


def random(dtype: str, *, low: int | None = None) -> Values:
    info = np.iinfo(dtype)
    low = int(info.min) if low is None else low
    rng = np.random.default_rng(5)
    return rng.integers(low, info.max, SHAPE, dtype=dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_mean_of_unsigned_integers(tmp_path: Path, dtype: str) -> None:
    values = random(dtype)
    expected = overview(tmp_path, values, Resampling.average)
    assert_same(level_1(tmp_path, values, "MEAN"), expected, dtype)


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_mean_of_signed_integers(tmp_path: Path, dtype: str) -> None:
    # GDAL rounds halves away from zero, geobatch toward plus infinity: of negative means, those
    # with a half differ by one, and no others.
    values = random(dtype)
    expected = overview(tmp_path, values, Resampling.average)
    quads = values.astype(np.int64).reshape(150, 2, 261, 2).sum(axis=(1, 3))
    is_negative_half = (quads < 0) & (quads % 4 == 2)
    assert is_negative_half.any()
    assert_same(level_1(tmp_path, values, "MEAN"), expected + is_negative_half.astype(dtype), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_of_floats(tmp_path: Path, dtype: str) -> None:
    # Sums of quarters are exact in any order and width.
    values = (random("int16") / np.float64(4)).astype(dtype)
    expected = overview(tmp_path, values, Resampling.average)
    assert_same(level_1(tmp_path, values, "MEAN"), expected, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mean_of_floats_that_round(tmp_path: Path, dtype: str) -> None:
    # GDAL adds float32 in float32, and float64 in an order that depends on its version: the last
    # bits may differ.
    values = np.random.default_rng(5).uniform(1, 2, SHAPE).astype(dtype)
    found = level_1(tmp_path, values, "MEAN")
    expected = overview(tmp_path, values, Resampling.average)
    np.testing.assert_array_max_ulp(found, expected, maxulp=2)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32"])
def test_mode(tmp_path: Path, dtype: str) -> None:
    values = (np.abs(random(dtype, low=0)) % 3).astype(dtype)
    # Of two pairs, GDAL takes the one completed first, Earth Engine the upper-left pixel's. They
    # differ for `a b / b a` alone; those groups are made plain.
    a, b = values[0::2, 0::2], values[0::2, 1::2]
    c, d = values[1::2, 0::2], values[1::2, 1::2]
    d[(a == d) & (b == c) & (a != b)] = 7
    expected = overview(tmp_path, values, Resampling.mode)
    assert_same(level_1(tmp_path, values, "MODE"), expected, dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "int64"])
def test_sample_is_nearest(tmp_path: Path, dtype: str) -> None:
    values = random("int64" if dtype == "int64" else "uint8").astype(dtype)
    expected = overview(tmp_path, values, Resampling.nearest)
    assert_same(level_1(tmp_path, values, "SAMPLE"), expected, dtype)


@pytest.mark.parametrize(("policy", "ufunc"), [("MIN", np.minimum), ("MAX", np.maximum)])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_min_and_max(tmp_path: Path, policy: str, ufunc: np.ufunc, dtype: str) -> None:
    values = random("uint8" if dtype == "uint8" else "int16").astype(dtype)
    # GDAL builds no such overviews; its warper reduces alike.
    expected = np.zeros((SHAPE[0] // 2, SHAPE[1] // 2), dtype=dtype)
    reproject(
        values, expected, src_crs=CRS, dst_crs=CRS, resampling=Resampling[policy.lower()],
        src_transform=Affine(10, 0, 0, 0, -10, 0), dst_transform=Affine(20, 0, 0, 0, -20, 0),
    )  # fmt: skip
    quads = ufunc.reduce(values.reshape(150, 2, 261, 2), axis=(1, 3))
    # The warper takes 0 for nodata by its own lights in some builds, so numpy is asked as well.
    assert_same(level_1(tmp_path, values, policy), quads, policy)
    assert_same(expected[values.reshape(150, 2, 261, 2).all(axis=(1, 3))],
                quads[values.reshape(150, 2, 261, 2).all(axis=(1, 3))], "gdal")  # fmt: skip
