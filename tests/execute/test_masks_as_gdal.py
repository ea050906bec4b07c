"""Masks of files as geobatch reads them, held to rasterio's."""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from depth import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nodata_tag import write_nodata
from rasterio.enums import ColorInterp, MaskFlags
from reference_pyramid import Values
from region_workbench import resolved
from workbench import Workbench, image, write_tiff

from geobatch.execute.tasks.ingest import ingest
from geobatch.model.assets.asset import DTYPES
from geobatch.model.window import Window
from geobatch.sources.geotiff import Reader

LOWEST = "-3.4028230607370965e+38"
TEXTS = st.one_of(
    st.sampled_from([
        LOWEST, "-3.4028234663852886e+38", "-3.402823e+38", "-3.4e+38", "-3.4028235e+38", "-3.5e38",
        "nan", "NaN", "1.#QNAN", "inf", "-inf", "1e400", "-1e400", "1e300", "", " ", "abc", "1 2",
        "1,5", "0x10", " 7 ", "+7", "-0", "-0.0", "1e-46", "255", "256", "-1", "1.5", "-0.5", "1e2",
        "9223372036854775807", "-9223372036854775808", "18446744073709551615", "9007199254740993",
        "18446744073709551616", "-9223372036854775809", "1e19", "1.8446744073709552e+19",
    ]),
    st.integers(-(2**65), 2**65).map(str),
    st.integers(-300, 300).map(str),
    st.floats(width=32).map(str),
    st.floats().map(repr),
    st.floats(-300, 300).map(lambda value: f"{value:.3f}"),
)  # fmt: skip


def close(dtype: str, text: str) -> Values:
    """Return pixels of a type: its extremes, and those on and around what a tag says."""
    kind = np.dtype(dtype)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if kind.kind == "f":
        with np.errstate(all="ignore"):
            there = np.array(value, dtype=dtype)
            sizes = (6e-8, 1.2e-7, 2.4e-7, 4.7e-7, 4.8e-7, 9e-7, 1e-6, 2e-2)
            steps = [there * kind.type(1 + sign * size) for sign in (-1, 1) for size in sizes]
            near = [there]
            for sign in (-math.inf, math.inf):
                at = there
                for _ in range(12):
                    at = np.nextafter(at, kind.type(sign))
                    near.append(at)
            top = np.finfo(dtype).max
            more = [0, -0.0, 1, -1, top, -top, top / 2, -top / 8, math.nan, math.inf, -math.inf]
            return np.array([*near, *steps, -there, there / 8, *more], dtype=dtype)
    info = np.iinfo(dtype)
    around = [int(value) + step for step in (-1, 0, 1)] if math.isfinite(value) else []
    digits = text.strip().lstrip("+-").isdigit()
    around += [int(text) + step for step in (-1, 0, 1)] if digits else []
    numbers = {0, 1, 2, 7, 15, 255, info.min, info.max, info.min + 1, info.max - 1, *around}
    return np.array([n for n in sorted(numbers) if info.min <= n <= info.max], dtype=dtype)


def of_rasterio(path: Path, index: int = 1) -> Values:
    with rasterio.open(path) as file:
        mask = file.read_masks(index)
        values = file.read(index)
    return np.where(np.isnan(values), 0, mask) if values.dtype.kind == "f" else mask


def of_ours(folder: Path, document: dict[str, Any], band: str = "b1") -> Values:
    asset = resolved(folder, document)
    height, width = asset.grids[0].geobox.shape
    window = Window(row=0, col=0, height=height, width=width)
    with Reader() as reader:
        values, mask = ingest(asset, asset.bands, window, reader=reader)[band]
    if mask is None:
        mask = np.full(values.shape, 255, dtype=np.uint8)
    # Masked pixels hold the fill, and where it is to tell them, no other does.
    fill = asset.band(band).fill
    is_fill = np.isnan(values) if math.isnan(fill) else values == values.dtype.type(fill)
    assert is_fill[mask == 0].all()
    if asset.band(band).mask_from_level == 1:
        assert (is_fill == (mask == 0)).all()
    return mask


@settings(max_examples=examples(50, 150), deadline=None)
@given(dtype=st.sampled_from(DTYPES), text=TEXTS)
@example(dtype="float32", text=LOWEST)
@example(dtype="float32", text="-3.4e+38")
@example(dtype="float32", text="3e38")
@example(dtype="float32", text="-3.5e38")
@example(dtype="float32", text="1e-45")
@example(dtype="float64", text=LOWEST)
@example(dtype="float64", text="1.7e308")
@example(dtype="uint8", text="1.5")
@example(dtype="int64", text="9223372036854775807")
@example(dtype="uint64", text="-1")
@example(dtype="uint64", text=" ")
@example(dtype="float32", text=" ")
@example(dtype="float64", text="1e300")
@example(dtype="float64", text="-1e292")
@example(dtype="float32", text="1e31")
def test_nodata_masks_what_it_masks_for_rasterio(dtype: str, text: str) -> None:
    pixels = close(dtype, text).reshape(1, -1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_nodata(write_tiff(folder / "a.tif", [pixels]), text)
        expected = of_rasterio(folder / "a.tif")
        wide = {"float32": "DOUBLE"}.get(dtype)
        for data_type in {None, wide}:
            document = image(
                "a", "a.tif", tile=64, tileset={"data_type": data_type} if data_type else None
            )
            assert of_ours(folder, document).tolist() == expected.tolist(), pixels


@pytest.mark.parametrize("text", [LOWEST, "-3.402823e+38", "-3.4e+38"])
def test_levels_are_built_without_what_nodata_masks(tmp_path: Path, text: str) -> None:
    pixels = np.full((300, 300), np.float32(-3.4028235e38))
    pixels[:, 1::2] = 7
    write_nodata(write_tiff(tmp_path / "a.tif", [pixels]), text)
    bench = Workbench(folder=tmp_path)
    bench.apply(image("a", "a.tif"))
    assert (bench.array("zarr/a/1/b1".removeprefix("zarr/")) == 7).all()
    assert bench.fill_value("a/0/b1") == np.float32(text)
    assert (bench.array("a/0/b1")[:, ::2] == np.float32(text)).all()


@pytest.mark.parametrize("value", [-3.4e38, 0.1, -3.4028235e38, 1e-7])
@pytest.mark.parametrize("data_type", [None, "DOUBLE"])
def test_stated_values_are_rounded_as_pixels_are_and_no_further(
    tmp_path: Path, value: float, data_type: str | None
) -> None:
    here = np.float32(value)
    pixels = np.array([[here, np.nextafter(here, np.float32(0)), 0, np.nan]], dtype=np.float32)
    write_tiff(tmp_path / "a.tif", [pixels])
    tileset = {"data_type": data_type} if data_type else None
    document = image("a", "a.tif", tileset=tileset, missing_data={"values": [value]})
    assert of_ours(tmp_path, document).tolist() == [[0, 255, 255, 0]]


# --- what the spec states goes before what files state ---------------------------------------


def test_tiles_of_unlike_nodata_under_stated_values(tmp_path: Path) -> None:
    row = np.array([[1, -9999, np.nan, 5]], dtype=np.float32)
    for col, nodata in enumerate((math.nan, -9999, None, 5)):
        write_tiff(tmp_path / f"{col}.tif", [row], col=4 * col, nodata=nodata)
    uris = [f"{col}.tif" for col in range(4)]
    document = image("a", *uris, missing_data={"values": [-9999]})
    assert of_ours(tmp_path, document).tolist() == [[255, 0, 0, 255] * 4]
    document = image("a", *uris, missing_data={"values": []})
    assert of_ours(tmp_path, document).tolist() == [[255, 255, 0, 255] * 4]
    bands = [{"id": "b1", "missing_data": {"values": [5]}}]
    assert of_ours(tmp_path, image("a", *uris, bands=bands)).tolist() == [[255, 255, 0, 0] * 4]


@pytest.mark.parametrize(
    ("dtype", "text", "data_type", "masked"),
    [("uint8", "-1", "INT8", 255), ("uint8", "255", "INT8", 255), ("uint8", "-128", "INT8", 128),
     ("int8", "255", "UINT8", -1), ("int8", "-1", "UINT8", -1), ("uint8", "7", "INT8", 7)],
)  # fmt: skip
def test_bytes_of_the_other_sign_are_masked_by_a_tag_of_either(
    tmp_path: Path, dtype: str, text: str, data_type: str, masked: int
) -> None:
    pixels = np.arange(256, dtype=np.uint8).view(dtype).reshape(1, -1)
    write_nodata(write_tiff(tmp_path / "a.tif", [pixels]), text)
    found = of_ours(tmp_path, image("a", "a.tif", tile=512, tileset={"data_type": data_type}))
    assert found.tolist() == np.where(pixels == masked, 0, 255).tolist()


# --- every way of a file to mask, together -------------------------------------------------------

MASKS = [
    pytest.param(*case, id="-".join(map(str, case)))
    for case in itertools.product(
        ("uint8", "uint16", "int16", "float32"), (None, 3, 3.5, -1, 300), (None, "last", "first"),
        (False, True), (None, 1, 4, 12),
    )
    if not (case[4] and (case[0] != {1: "uint8", 4: "uint8", 12: "uint16"}[case[4]]))
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "nodata", "alpha", "internal", "bits"), MASKS)
def test_every_mask_of_a_file_is_that_of_rasterio(
    tmp_path: Path,
    *,
    dtype: str,
    nodata: float | None,
    alpha: str | None,
    internal: bool,
    bits: int | None,
) -> None:
    top = (1 << bits) - 1 if bits else {"uint8": 255, "uint16": 65535}.get(dtype, 300)
    rng = np.random.default_rng(7)
    shape = (9, 11)
    data = rng.integers(0, 6, shape).clip(0, top).astype(dtype)
    weights = rng.choice([0, 1, top // 2, top - 1, top], shape).astype(dtype)
    mask = np.where(rng.random(shape) < 0.3, 0, 255).astype(np.uint8) if internal else None
    bands = [data, weights] if alpha != "first" else [weights, data]
    path = write_tiff(
        tmp_path / "a.tif", bands, internal=mask, has_alpha=alpha == "last",
        layout={"nbits": bits} if bits else None,
    )  # fmt: skip
    if alpha == "first":
        with rasterio.open(path, "r+") as file:
            file.colorinterp = [ColorInterp.alpha, ColorInterp.undefined]
    assert [found.name for found in tmp_path.iterdir()] == ["a.tif"]
    if nodata is not None and not internal and alpha != "first":
        write_nodata(path, str(nodata))
    number = 2 if alpha == "first" else 1
    expected = of_rasterio(path, number)
    found = of_ours(tmp_path, image("a", "a.tif"), f"b{number}")
    with rasterio.open(path) as file:
        is_alpha = MaskFlags.alpha in file.mask_flag_enums[0]
    if bits and is_alpha:
        # GDAL shows the bits as they are: 1 of 255 for valid. The highest value means valid here.
        assert ((found > 0) == (expected > 0)).all()
        assert ((found == 255) == (weights == top)).all()
        return
    assert found.tolist() == expected.tolist()
