"""Windows, masks, threads and the count of bytes, against plain rasterio."""

from __future__ import annotations

import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from rasterio.enums import ColorInterp
from rasterio.env import get_gdal_config
from rasterio.transform import Affine

from geobatch.errors import InternalError, SourceError
from geobatch.model.assets.asset import DTYPES, Source
from geobatch.model.window import Window
from geobatch.sources.gdal import gdal_environment
from geobatch.sources.gdal.environment import CACHE_BYTES, OPTIONS
from geobatch.sources.geotiff import Reader, identify, read_header

PLACE: dict[str, Any] = {"crs": "EPSG:32618", "transform": Affine(10, 0, 5e5, 0, -10, 4e6)}


def write(path: Path, pixels: Any, *, after: Any = None, **options: Any) -> Path:
    profile = {
        "driver": "GTiff",
        "count": pixels.shape[0],
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
    } | PLACE
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with (
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
            rasterio.open(path, "w", **profile | options) as dataset,
        ):
            if after:  # before the pixels: colours set later would go into a sidecar
                after(dataset)
            dataset.write(pixels)
    return path


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        pixels = rng.normal(size=shape).astype(dtype)
        pixels.flat[::7] = np.nan
        return pixels
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def source(path: Path) -> Source:
    header = read_header(path, path.name)
    identity = identify(path)
    return Source(
        uri=path.name,
        digest=identity.digest,
        row=0,
        col=0,
        height=header.height,
        width=header.width,
        mask=header.mask,
        block=header.block,
        is_pixel_interleaved=header.is_pixel_interleaved,
        path=header.path,
        stat=identity.stat,
    )


def whole(of: Source) -> Window:
    return Window(row=0, col=0, height=of.height, width=of.width)


def mask_of(reader: Reader, of: Source, window: Window | None = None) -> Any:
    return reader.read(of, window or whole(of), [], with_mask=True).mask


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize(
    "layout",
    [
        {"tiled": True, "blockxsize": 16, "blockysize": 32},
        {"blockysize": 7},
        {"blockysize": 50, "compress": "deflate"},
        {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "lzw", "bigtiff": "YES"},
        {"endianness": "BIG", "compress": "zstd"},
    ],
    ids=str,
)
def test_pixels_come_back_as_written(
    tmp_path: Path, dtype: str, interleave: str, layout: dict[str, Any]
) -> None:
    pixels = noise((3, 50, 41), dtype)
    path = write(tmp_path / "a.tif", pixels, interleave=interleave, **layout)
    of = source(path)
    with Reader() as reader:
        found = reader.read(of, whole(of), (0, 1, 2)).bands
        assert {band.dtype for band in found} == {np.dtype(dtype)}
        assert all(band.dtype.isnative for band in found)
        np.testing.assert_array_equal(found, pixels)
        found = reader.read(of, Window(row=13, col=5, height=31, width=20), [2, 0, 2]).bands
        np.testing.assert_array_equal(found, pixels[[2, 0, 2], 13:44, 5:25])


def test_real_files(raster: Path) -> None:
    of = source(raster)
    with Reader() as reader, rasterio.open(raster) as dataset:
        found = reader.read(of, whole(of), range(dataset.count)).bands
        np.testing.assert_array_equal(found, dataset.read())
        if of.mask is not None:
            np.testing.assert_array_equal(mask_of(reader, of), dataset.dataset_mask())
        else:
            assert mask_of(reader, of) is None


def test_every_alpha_of_16_bits_as_gdal_scales_it(tmp_path: Path) -> None:
    pixels = np.zeros((4, 256, 256), np.uint16)
    pixels[3] = np.arange(65536).reshape(256, 256)

    def alpha(dataset: Any) -> None:
        dataset.colorinterp = [*[ColorInterp.undefined] * 3, ColorInterp.alpha]

    path = write(tmp_path / "a.tif", pixels, after=alpha)
    of = source(path)
    assert of.mask == "alpha"
    with Reader() as reader, rasterio.open(path) as dataset:
        expected = dataset.read_masks(1)
        assert (expected.min(), expected.max()) == (0, 255)
        np.testing.assert_array_equal(mask_of(reader, of), expected)
        found = mask_of(reader, of, Window(row=3, col=200, height=7, width=50))
        np.testing.assert_array_equal(found, expected[3:10, 200:250])


def test_alpha_beyond_four_bands_and_beside_nodata(tmp_path: Path) -> None:
    pixels = noise((6, 30, 30), "uint8")

    def alpha(dataset: Any) -> None:
        dataset.colorinterp = [ColorInterp.undefined] * 5 + [ColorInterp.alpha]

    of = source(write(tmp_path / "a.tif", pixels, after=alpha, nodata=7, photometric="minisblack"))
    with Reader() as reader:
        np.testing.assert_array_equal(mask_of(reader, of), pixels[5])


def test_internal_mask_beside_nodata(tmp_path: Path) -> None:
    pixels = noise((3, 40, 33), "uint8")
    valid = np.random.default_rng(5).random((40, 33)) < 0.5
    path = write(
        tmp_path / "a.tif", pixels, after=lambda dataset: dataset.write_mask(valid), nodata=7
    )
    of = source(path)
    assert of.mask == "internal"
    with Reader() as reader:
        np.testing.assert_array_equal(mask_of(reader, of), np.where(valid, 255, 0))
        assert reader.bytes_read > 0


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("layout", [{"tiled": True, "blockxsize": 32, "blockysize": 16}, {}])
def test_bytes_read_are_those_of_the_blocks_touched(
    tmp_path: Path, interleave: str, layout: dict[str, Any]
) -> None:
    pixels = noise((3, 100, 90), "uint16") & 0xFF
    path = write(
        tmp_path / "a.tif",
        pixels,
        interleave=interleave,
        compress="deflate",
        **{"blockysize": 9} | layout,
    )
    of = source(path)
    window = Window(row=30, col=40, height=40, width=30)
    expected = 0
    with rasterio.open(path) as dataset:
        rows, cols = dataset.block_shapes[0]
        for band in (1, 3) if interleave == "band" else (1,):
            for row in range(-(-100 // rows)):
                for col in range(-(-90 // cols)):
                    is_touched = row * rows < 70 and (row + 1) * rows > 30
                    if is_touched and col * cols < 70 and (col + 1) * cols > 40:
                        name = f"BLOCK_SIZE_{col}_{row}"
                        expected += int(dataset.get_tag_item(name, "TIFF", bidx=band))
    with Reader() as reader:
        reader.read(of, window, [0, 2])
        assert reader.bytes_read == expected
        reader.read(of, window, [0, 2])
        assert reader.bytes_read == 2 * expected
        reader.read(of, whole(of), [0, 1, 2])
        total = reader.bytes_read - 2 * expected
    assert 0.8 * path.stat().st_size < total < path.stat().st_size


def test_bytes_of_a_sparse_file_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"width": 640, "height": 640, "count": 1, "dtype": "uint8", "tiled": True}
    with rasterio.open(path, "w", driver="GTiff", sparse_ok=True, nodata=9, **profile, **PLACE):
        pass
    of = source(path)
    with Reader() as reader:
        assert (reader.read(of, whole(of), [0]).bands[0] == 9).all()
        assert reader.bytes_read == 0


def count_descriptors() -> int:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("descriptors can only be counted under /proc")
    return len(list(folder.iterdir()))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Source, Any]]:
    folder = tmp_path_factory.mktemp("several")
    found = []
    for number in range(5):
        pixels = noise((2, 200 + number, 150), "uint16", seed=number)
        options: dict[str, Any] = {"tiled": True, "blockxsize": 64, "blockysize": 64}
        path = write(folder / f"{number}.tif", pixels, compress="deflate", **options)
        found.append((source(path), pixels))
    return found


@pytest.mark.parametrize("open_files", [1, 2, 16])
def test_eight_threads_read_what_was_written(
    several: list[tuple[Source, Any]], open_files: int
) -> None:
    errors: list[str] = []
    started = threading.Barrier(8)

    def work(seed: int) -> None:
        rng = random.Random(seed)
        started.wait()
        for _ in range(40):
            of, pixels = rng.choice(several)
            row, col = rng.randrange(of.height), rng.randrange(of.width)
            height = rng.randint(1, of.height - row)
            width = rng.randint(1, of.width - col)
            found = reader.read(
                of, Window(row=row, col=col, height=height, width=width), [1, 0]
            ).bands
            expected = pixels[::-1, row : row + height, col : col + width]
            if not np.array_equal(found, expected):
                errors.append(f"{of.uri} {row} {col} {height} {width}")

    descriptors = count_descriptors()
    with Reader(open_files=open_files) as reader, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
        opened = count_descriptors() - descriptors
        assert 0 < opened <= 8 * min(open_files, len(several))
    assert errors == []
    assert count_descriptors() == descriptors  # also those of the other threads


def test_options_hold_in_every_thread() -> None:
    def options() -> dict[str, Any]:
        with gdal_environment():
            return {name: get_gdal_config(name, normalize=False) for name in OPTIONS}

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(options).result() == options() == OPTIONS
    assert get_gdal_config("GDAL_PAM_ENABLED") is None
    with gdal_environment():
        assert get_gdal_config("GDAL_CACHEMAX") == CACHE_BYTES


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_outside_are_our_bug(several: list[tuple[Source, Any]], data: Any) -> None:
    of, pixels = several[0]
    number = st.integers(-3, 210)
    row, col, height, width = (data.draw(number) for _ in range(4))
    rows, cols = range(row, row + height), range(col, col + width)
    is_inside = (
        height > 0
        and width > 0
        and {rows[0], rows[-1]} <= set(range(of.height))
        and {cols[0], cols[-1]} <= set(range(of.width))
    )
    with Reader() as reader:
        if is_inside:
            found = reader.read(of, Window(row=row, col=col, height=height, width=width), [0]).bands
            expected = pixels[:1, row : row + height, col : col + width]
            np.testing.assert_array_equal(found, expected)
        else:
            with pytest.raises(InternalError, match="is not inside"):
                reader.read(of, Window(row=row, col=col, height=height, width=width), [0])


def test_a_closed_reader_reads_no_more(several: list[tuple[Source, Any]]) -> None:
    of, _ = several[0]
    reader = Reader()
    reader.read(of, whole(of), [0])
    reader.close()
    reader.close()
    with pytest.raises(InternalError, match="closed"):
        reader.read(of, whole(of), [0])


def test_without_a_stat_the_file_is_watched_from_its_opening(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise((1, 8, 8), "uint8"))
    of = replace(source(path), stat=None)
    with Reader() as reader:
        reader.read(of, whole(of), [0])
        write(path, noise((1, 8, 8), "uint8", seed=1))
        with pytest.raises(SourceError, match="changed while it was being read"):
            reader.read(of, whole(of), [0])


def test_no_descriptor_is_leaked_by_failures(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise((1, 8, 8), "uint8"))
    of = source(path)
    before, taller = count_descriptors(), replace(of, height=9)
    with Reader() as reader:
        for _ in range(5):
            with pytest.raises(SourceError, match="expected 9 x 8 pixels, got 8 x 8"):
                reader.read(taller, whole(taller), [0])
    assert count_descriptors() == before


def test_a_raster_without_place_reads_without_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", noise((1, 8, 8), "uint8"), crs=None, transform=None)
    of = source(path)
    with Reader() as reader, ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(reader.read, of, whole(of), [0]) for _ in range(20)]:
            assert future.result().bands[0].shape == (8, 8)
