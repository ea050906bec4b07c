"""What headers are read from: equal hashes mean equal headers, and any edit of a tag is seen."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp
from rasterio.shutil import copy as copy_raster
from rasterio.transform import Affine
from rasterio.windows import Window

from geobatch.errors import SourceError
from geobatch.model.digest import Digest
from geobatch.sources.geotiff import identify, read_header

PLACE: dict[str, Any] = {"crs": "EPSG:32618", "transform": Affine(10, 0, 5e5, 0, -10, 4e6)}
SIZE: dict[str, Any] = {"height": 40, "width": 36, "count": 2, "dtype": "uint8"}
TILED: dict[str, Any] = {"tiled": True, "blockxsize": 16, "blockysize": 16}


@contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore")
        yield


def write(path: Path, *, has_mask: bool = False, has_overviews: bool = False, **more: Any) -> Path:
    options = PLACE | SIZE | more
    shape = options["count"], options["height"], options["width"]
    pixels = np.random.default_rng(0).integers(0, 100, shape).astype(options["dtype"])
    with quietly():
        with rasterio.open(path, "w", driver="GTiff", **options) as dataset:
            dataset.write(pixels)
            if has_mask:
                dataset.write_mask(pixels[0] > 50)
        if has_overviews:
            with rasterio.open(path, "r+") as dataset:
                dataset.build_overviews([2, 4])
    return path


@contextmanager
def editing(path: Path) -> Iterator[Any]:
    with quietly(), rasterio.open(path, "r+") as dataset:
        yield dataset


def tags_of(path: Path) -> Digest | None:
    return identify(path).tags


def header_of(path: Path) -> str:
    return repr(read_header(path, path.name))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_rewritten_pixels_keep_the_hash_and_the_header(tmp_path: Path, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["uint8", "int16", "float64"]))
    options: dict[str, Any] = {
        "dtype": dtype,
        "count": data.draw(st.integers(1, 3)),
        "interleave": data.draw(st.sampled_from(["pixel", "band"])),
        "bigtiff": data.draw(st.sampled_from(["yes", "no"])),
        "endianness": data.draw(st.sampled_from(["little", "big"])),
        "nodata": data.draw(st.sampled_from([None, 0, 7])),
    }
    options |= data.draw(st.sampled_from([TILED, {"blockysize": 7}, {"blockysize": 40}]))
    compression = data.draw(st.sampled_from([None, "deflate", "lzw", "zstd", "packbits", "lzma"]))
    if compression:
        options["compress"] = compression
    more = {"has_mask": data.draw(st.booleans()), "has_overviews": data.draw(st.booleans())}
    path = write(tmp_path / "a.tif", **options, **more)
    before, header = identify(path), header_of(path)
    assert before.tags is not None
    row, col = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 30))
    with editing(path) as dataset:
        window = Window(col, row, 36 - col, 40 - row)
        dataset.write(dataset.read(window=window) + np.array(101).astype(dtype), window=window)
    after = identify(path)
    assert after.digest != before.digest
    # What is not compressed may grow only by the blocks of a mask that is: then it is read again.
    if after.stat.size == before.stat.size or (compression and not more["has_mask"]):
        assert after.tags == before.tags
    assert after.tags != before.tags or header_of(path) == header


FUZZED: tuple[dict[str, Any], ...] = (
    TILED | {"compress": "deflate", "has_mask": True, "has_overviews": True},
    {"blockysize": 9, "endianness": "big", "compress": "lzw", "predictor": 2, "nodata": 1},
    TILED | {"count": 1, "dtype": "float32", "bigtiff": "yes", "compress": "zstd"},
    {"count": 1, "dtype": "uint16", "blockysize": 20},
    TILED | {"count": 4, "interleave": "band", "photometric": "rgb", "alpha": "yes"},
)


@pytest.mark.parametrize("options", FUZZED, ids=str)
def test_any_damage_that_keeps_the_hash_keeps_the_header(
    tmp_path: Path, options: dict[str, Any], is_long: bool
) -> None:
    """Every byte of the directories, and what lies between them, is changed, one at a time.

    The short form changes a fifth of them.
    """
    path = write(tmp_path / "a.tif", height=20, width=18, **options)
    known, header, content = tags_of(path), header_of(path), path.read_bytes()
    assert known is not None
    inside: set[int] = set()
    with rasterio.open(path) as dataset:
        for band, (rows, cols) in enumerate(dataset.block_shapes, start=1):
            for row, col in np.ndindex(-(-dataset.height // rows), -(-dataset.width // cols)):
                offset, size = (
                    int(dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band))
                    for what in ("OFFSET", "SIZE")
                )
                inside.update(range(offset, offset + size))
    same = 0
    for place in sorted(set(range(len(content))) - inside)[:: 1 if is_long else 5]:
        damaged = bytearray(content)
        damaged[place] ^= (0x01, 0x90, 0xFF)[place % 3]
        path.write_bytes(damaged)
        try:
            is_same = tags_of(path) == known
        except SourceError:
            continue  # refused, not wrong
        if is_same:
            same += 1
            assert header_of(path) == header, place
    assert same > (3 if is_long else 1)


def describe(dataset: Any) -> None:
    dataset.descriptions = ("water", None)


def colour(dataset: Any) -> None:
    dataset.colorinterp = (ColorInterp.gray, ColorInterp.alpha)


EDITS: dict[str, Callable[[Any], object]] = {
    "nodata": lambda dataset: setattr(dataset, "nodata", 3),
    "transform": lambda dataset: setattr(dataset, "transform", Affine(10, 0, 5e5, 0, -10, 5e6)),
    "CRS": lambda dataset: setattr(dataset, "crs", "EPSG:32619"),
    "description": describe,
    "unit": lambda dataset: dataset.set_band_unit(2, "m"),
    "scale": lambda dataset: setattr(dataset, "scales", (1.0, 0.5)),
    "offset": lambda dataset: setattr(dataset, "offsets", (1.0, 0.0)),
    "statistics": lambda dataset: dataset.update_tags(1, STATISTICS_MEAN="3"),
    "colour": colour,
    "mask": lambda dataset: dataset.write_mask(dataset.read(1) > 9),
    "overviews": lambda dataset: dataset.build_overviews([2]),
    "text": lambda dataset: dataset.update_tags(TIFFTAG_SOFTWARE="an editor"),
}


@pytest.mark.parametrize("compress", ["none", "zstd"])
@pytest.mark.parametrize("edit", EDITS)
def test_any_edit_of_the_tags_is_seen(tmp_path: Path, edit: str, compress: str) -> None:
    path = write(tmp_path / "a.tif", compress=compress)
    before = tags_of(path)
    with editing(path) as dataset:
        EDITS[edit](dataset)
    after = tags_of(path)
    assert before is not None
    assert after is not None
    assert after != before


def test_one_more_directory_is_seen(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", compress="zstd")
    before = tags_of(path)
    with (
        quietly(),
        rasterio.open(path, "w", driver="GTiff", **PLACE | SIZE, append_subdataset=True) as dataset,
    ):
        dataset.write(np.zeros((2, 40, 36), np.uint8))
    assert tags_of(path) not in {None, before}


@pytest.mark.parametrize("change", [b"BAND", b"TILE"])
def test_what_gdal_says_in_front_of_all_tags_is_seen(tmp_path: Path, change: bytes) -> None:
    """Of the layout of a COG, and its length is stated."""
    path = tmp_path / "a.tif"
    plain = write(tmp_path / "plain.tif", height=600, width=600)
    with quietly():
        copy_raster(plain, path, driver="COG", compress="DEFLATE", blocksize=128)
    before, content = tags_of(path), path.read_bytes()
    assert before is not None
    stated = b"LAYOUT=IFDS_BEFORE_DATA"
    assert stated in content
    path.write_bytes(content.replace(stated, stated[:-4] + change))
    assert tags_of(path) not in {None, before}


@pytest.mark.parametrize("compress", ["jpeg", "webp", "lerc"])
def test_where_gdal_looks_into_blocks_there_is_no_hash(tmp_path: Path, compress: str) -> None:
    path = write(tmp_path / "a.tif", count=3, compress=compress, photometric="rgb", **TILED)
    assert identify(path).table is not None
    assert tags_of(path) is None


def test_without_a_block_table_there_is_no_hash(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", compress="zstd")
    content = path.read_bytes()
    path.write_bytes(content[:-300] if len(content) > 600 else b"")
    assert identify(path).table is None
    assert tags_of(path) is None


def test_sidecars_say_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", compress="zstd")
    before, header = tags_of(path), header_of(path)
    (tmp_path / "a.tfw").write_text("1\n0\n0\n-1\n7\n8\n")
    (tmp_path / "a.prj").write_text('LOCAL_CS["nowhere"]')
    (tmp_path / "a.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:4326</SRS><PAMRasterBand band='1'><NoDataValue>9</NoDataValue>"
        "<Description>d</Description></PAMRasterBand></PAMDataset>"
    )
    for name in ("a.tif.ovr", "a.tif.msk"):
        shutil.copyfile(path, tmp_path / name)
    assert (tags_of(path), header_of(path)) == (before, header)


def test_real_files_keep_their_hash_where_they_are_copied(raster: Path, tmp_path: Path) -> None:
    copied = tmp_path / raster.name
    shutil.copyfile(raster, copied)
    assert tags_of(copied) == tags_of(raster)
