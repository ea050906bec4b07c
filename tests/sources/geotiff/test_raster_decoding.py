"""Blocks that are decoded without GDAL, against plain rasterio."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from geobatch.model.window import Window
from geobatch.sources.geotiff.decoding import blocks as blocks_module
from geobatch.sources.geotiff.decoding.blocks import Blocks, KeptBlocks
from geobatch.sources.geotiff.headers.tables import Tables, read_tables

DTYPES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float32",
    "float64",
)


def tiles(side: int) -> dict[str, Any]:
    return {"tiled": True, "blockxsize": side, "blockysize": side}


def write(path: Path, pixels: Any, **options: Any) -> Path:
    bands, height, width = pixels.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path, "w", driver="GTiff", count=bands, height=height, width=width, dtype=pixels.dtype,
            transform=Affine(10, 0, 5e5, 0, -10, 4e6), **options,
        ) as raster:  # fmt: skip
            raster.write(pixels)
    return path


def noise(shape: tuple[int, ...], dtype: str) -> Any:
    rng = np.random.default_rng(len(dtype) + shape[-1])
    if dtype.startswith("float"):
        pixels = rng.normal(size=shape).astype(dtype)
        pixels[rng.random(shape) < 0.1] = np.nan
        return pixels
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def tables_of(path: Path) -> Tables:
    with path.open("rb") as file:
        return read_tables(file)


def blocks_of(path: Path, kept: KeptBlocks | None = None) -> Blocks:
    tables = tables_of(path)
    assert tables.image is not None
    assert tables.encoding is not None
    data = path.read_bytes()
    return Blocks(
        tables.image,
        tables.encoding,
        lambda start, stop: data[start:stop],
        name=path,
        kept=kept or KeptBlocks(),
    )


def read(blocks: Blocks, window: Window, bands: Sequence[int], dtype: str) -> Any:
    """Return a window; None where GDAL is to decode it."""
    out = np.full((len(bands), *window.shape), 77, dtype)
    return out if blocks.read(window, bands, out) else None


def expected(path: Path, window: Window, bands: Sequence[int]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as raster:
            rows, cols = window.slices
            place = ((rows.start, rows.stop), (cols.start, cols.stop))
            return raster.read([band + 1 for band in bands], window=place)


@st.composite
def files(draw: st.DrawFn) -> tuple[tuple[int, int, int], str, dict[str, Any]]:
    shape = (draw(st.integers(1, 4)), draw(st.integers(1, 90)), draw(st.integers(1, 90)))
    dtype = draw(st.sampled_from(DTYPES))
    options: dict[str, Any] = {
        "compress": draw(st.sampled_from(["none", "deflate", "zstd"])),
        "interleave": draw(st.sampled_from(["pixel", "band"])),
        "bigtiff": draw(st.sampled_from(["yes", "no"])),
    }
    if options["compress"] != "none":
        options["predictor"] = draw(st.sampled_from([1, 2]))
    if draw(st.booleans()):
        options |= {
            "tiled": True,
            "blockxsize": draw(st.sampled_from([16, 32, 64])),
            "blockysize": draw(st.sampled_from([16, 48])),
        }
    else:
        options["blockysize"] = draw(st.integers(1, 100))
    if shape[0] == 3 and dtype == "uint8" and draw(st.booleans()):
        options["photometric"] = "rgb"
    return shape, dtype, options


@settings(max_examples=150)
@given(files=files(), data=st.data())
def test_windows_are_those_of_rasterio(
    tmp_path_factory: pytest.TempPathFactory,
    files: tuple[tuple[int, int, int], str, dict[str, Any]],
    data: st.DataObject,
) -> None:
    shape, dtype, options = files
    path = write(tmp_path_factory.mktemp("a") / "a.tif", noise(shape, dtype), **options)
    blocks = blocks_of(path)
    for _ in range(4):
        row, col = data.draw(st.integers(0, shape[1] - 1)), data.draw(st.integers(0, shape[2] - 1))
        height = data.draw(st.integers(1, shape[1] - row))
        width = data.draw(st.integers(1, shape[2] - col))
        window = Window(row=row, col=col, height=height, width=width)
        bands = data.draw(st.lists(st.integers(0, shape[0] - 1), min_size=1, max_size=5))
        found = read(blocks, window, bands, dtype)
        assert found is not None
        assert found.tobytes() == expected(path, window, bands).tobytes()


@pytest.mark.parametrize("run", [1, 3000, 1 << 20])
def test_strips_of_any_run_are_those_of_rasterio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    monkeypatch.setattr(blocks_module, "_RUN_BYTES", run)
    pixels = noise((3, 211, 50), "uint16")
    path = write(tmp_path / "a.tif", pixels, compress="deflate", predictor=2, blockysize=7)
    blocks = blocks_of(path)
    for row, height in ((0, 211), (0, 7), (3, 100), (5, 4), (207, 4), (203, 8), (210, 1), (14, 70)):
        window = Window(row=row, col=0, height=height, width=50)
        found = read(blocks, window, [2, 0], "uint16")
        assert np.array_equal(found, pixels[[2, 0], row : row + height])


def test_blocks_of_which_a_part_is_read_are_kept_within_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = noise((2, 128, 128), "uint16")
    path = write(tmp_path / "a.tif", pixels, compress="zstd", **tiles(32))
    block_bytes = 32 * 32 * 2 * 2
    monkeypatch.setattr(blocks_module, "KEPT_BYTES", 3 * block_bytes)
    tables, data, reads = tables_of(path), path.read_bytes(), []

    def read_bytes(start: int, stop: int) -> bytes:
        reads.append(start)
        return data[start:stop]

    assert tables.image is not None
    assert tables.encoding is not None
    kept = KeptBlocks()
    blocks = Blocks(tables.image, tables.encoding, read_bytes, name=path, kept=kept)
    other = Blocks(tables.image, tables.encoding, read_bytes, name=path, kept=kept)
    part = Window(row=1, col=1, height=30, width=30)
    for one in (blocks, other):  # another thread finds the block too
        assert np.array_equal(read(one, part, [0, 1], "uint16"), pixels[:, 1:31, 1:31])
    assert len(reads) == 1
    for col in (32, 64, 96, 0):  # the fourth block drops the first
        window = Window(row=2, col=col + 2, height=20, width=20)
        assert np.array_equal(
            read(blocks, window, [1], "uint16")[0], pixels[1, 2:22, col + 2 : col + 22]
        )
    assert len(reads) == 5


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "lzw"},
        {"compress": "deflate", "predictor": 3, "dtype": "float32"},
        {"compress": "deflate", "endianness": "big"},
        {"compress": "deflate", "nbits": 12},
        {"compress": "jpeg", "dtype": "uint8"},
        {"photometric": "miniswhite", "dtype": "uint8"},
        {"dtype": "complex64"},
    ],
)
def test_other_files_are_left_to_gdal(tmp_path: Path, options: dict[str, Any]) -> None:
    pixels = np.ones((1, 40, 40), options.pop("dtype", "uint16"))
    assert tables_of(write(tmp_path / "a.tif", pixels, **options)).encoding is None


@pytest.mark.parametrize("options", [tiles(16), {"blockysize": 16}])
def test_blocks_that_are_not_stored_are_left_to_gdal(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    pixels = np.full((1, 64, 48), 5, "uint16")
    pixels[0, :16] = 9
    path = write(
        tmp_path / "a.tif", pixels, compress="deflate", nodata=5, sparse_ok=True, **options
    )
    blocks = blocks_of(path)
    stored, absent = (Window(row=row, col=0, height=16, width=48) for row in (0, 32))
    assert np.array_equal(read(blocks, stored, [0], "uint16"), pixels[:, :16])
    assert read(blocks, absent, [0], "uint16") is None


@settings(max_examples=300)
@given(
    compress=st.sampled_from(["deflate", "zstd"]),
    place=st.floats(0, 1),
    bit=st.integers(0, 7),
    cut=st.booleans(),
)
def test_damage_is_left_to_gdal_or_is_decoded_as_gdal_does(
    tmp_path_factory: pytest.TempPathFactory, compress: str, place: float, bit: int, cut: bool
) -> None:
    pixels = np.arange(64 * 64, dtype="uint16").reshape(1, 64, 64) // 7
    path = write(
        tmp_path_factory.mktemp("a") / "a.tif",
        pixels,
        compress=compress,
        predictor=2,
        **tiles(64),
    )
    image = tables_of(path).image
    assert image is not None
    assert image.offsets is not None
    start, size = int(image.offsets[0, 0, 0]), int(image.counts[0, 0, 0])
    data = bytearray(path.read_bytes())
    at = start + int(place * (size - 1))
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    damaged = path.with_name("b.tif")
    damaged.write_bytes(bytes(data))
    window = Window(row=0, col=0, height=64, width=64)
    tables = tables_of(path)  # a cut may take the directory away
    assert tables.encoding is not None
    blocks = Blocks(
        image,
        tables.encoding,
        lambda first, stop: bytes(data[first:stop]),
        name=0,
        kept=KeptBlocks(),
    )
    found = read(blocks, window, [0], "uint16")
    if found is not None:
        assert np.array_equal(found, expected(damaged, window, [0]))


def test_threads_share_blocks(tmp_path: Path) -> None:
    pixels = noise((3, 300, 300), "uint16")
    path = write(
        tmp_path / "a.tif",
        pixels,
        compress="deflate",
        predictor=2,
        **tiles(64),
    )
    kept = KeptBlocks()

    def check(seed: int) -> bool:
        rng, blocks = np.random.default_rng(seed), blocks_of(path, kept)
        for _ in range(30):
            row, col = (int(value) for value in rng.integers(0, 250, 2))
            window = Window(row=row, col=col, height=50, width=50)
            found = read(blocks, window, [2, 1], "uint16")
            if not np.array_equal(found, pixels[[2, 1], row : row + 50, col : col + 50]):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(check, range(8)))
