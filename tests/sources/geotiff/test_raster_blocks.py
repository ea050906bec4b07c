"""Block tables: the very blocks that changed, no other tags, and equal means equal pixels."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from blake3 import blake3
from depth import examples
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from rasterio.enums import MaskFlags
from rasterio.transform import Affine
from rasterio.windows import Window

from geobatch.errors import SourceError
from geobatch.model.sources.blocks import BlockTable, compare
from geobatch.sources.gdal import gdal_environment
from geobatch.sources.gdal.environment import FAILURES, open_dataset
from geobatch.sources.geotiff import identify, read_header
from geobatch.sources.geotiff.identity import hashing

PLACE: dict[str, Any] = {"crs": "EPSG:32618", "transform": Affine(10, 0, 5e5, 0, -10, 4e6)}
FEW = settings(
    max_examples=examples(15, 150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, Any]:
    """Options of rasterio that lay out a TIFF."""
    dtype = draw(st.sampled_from(["uint8", "int16", "uint32", "float32", "float64"]))
    options: dict[str, Any] = {
        "count": draw(st.integers(1, 3)),
        "height": draw(st.integers(1, 70)),
        "width": draw(st.integers(1, 70)),
        "dtype": dtype,
        "interleave": draw(st.sampled_from(["pixel", "band"])),
        "bigtiff": draw(st.sampled_from(["yes", "no"])),
        "endianness": draw(st.sampled_from(["little", "big"])),
    }
    if draw(st.booleans()):
        options |= {
            "tiled": True,
            "blockxsize": draw(st.sampled_from([16, 32])),
            "blockysize": draw(st.sampled_from([16, 48])),
        }
    else:
        options["blockysize"] = draw(st.integers(1, 30))
    compressions = [None, "deflate", "lzw", "zstd", "packbits", "lerc", "lzma"]
    if dtype == "uint8" and "tiled" in options:
        compressions.append("jpeg")
    if compression := draw(st.sampled_from(compressions)):
        options["compress"] = compression
    if compression in {"deflate", "lzw", "zstd"} and draw(st.booleans()):
        options["predictor"] = 3 if dtype.startswith("float") else 2
    return options


def pixels_of(options: dict[str, Any], seed: int = 0) -> Any:
    shape = (options["count"], options["height"], options["width"])
    return np.random.default_rng(seed).integers(0, 120, shape).astype(options["dtype"])


@contextmanager
def quietly() -> Iterator[None]:
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore")
        yield


def write(path: Path, options: dict[str, Any], *, has_mask: bool = False, **more: Any) -> Path:
    with quietly(), rasterio.open(path, "w", driver="GTiff", **PLACE | options | more) as dataset:
        dataset.write(pixels_of(options))
        if has_mask:
            dataset.write_mask(pixels_of(options | {"dtype": "uint8"}, seed=1)[0] > 60)
    return path


def table_of(path: Path) -> BlockTable:
    identity = identify(path)
    table = identity.table
    assert table is not None
    assert table.identity == identity.digest
    assert BlockTable.from_bytes(table.to_bytes()) == table
    return table


def places(path: Path) -> dict[tuple[int, int, int], tuple[int, int]]:
    """Return GDAL's own word on (offset, size) of each stored block: (band, block row, column)."""
    found = {}
    with rasterio.open(path) as dataset:
        for band, (rows, cols) in enumerate(dataset.block_shapes):
            for row in range(-(-dataset.height // rows)):
                for col in range(-(-dataset.width // cols)):
                    offset, size = (
                        dataset.get_tag_item(f"BLOCK_{what}_{col}_{row}", "TIFF", bidx=band + 1)
                        for what in ("OFFSET", "SIZE")
                    )
                    if offset:
                        found[band, row, col] = int(offset), int(size)
    return found


def decoded(path: Path) -> tuple[Any, Any]:
    """Return pixels and internal mask as geobatch reads them."""
    with gdal_environment():
        dataset = open_dataset(path)
        try:
            has_mask = MaskFlags.per_dataset in dataset.mask_flag_enums[0]
            return dataset.read(), dataset.read_masks(1) if has_mask else None
        finally:
            dataset.close()


@FEW
@given(options=layouts(), has_mask=st.booleans())
def test_the_digests_are_of_the_bytes_that_gdal_points_at(
    options: dict[str, Any], has_mask: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tif", options, has_mask=has_mask)
        table, data = table_of(path), path.read_bytes()
        assert (table.height, table.width) == (options["height"], options["width"])
        assert (table.mask is not None) == has_mask
        is_planar = options["interleave"] == "band" and options["count"] > 1
        assert table.planes == (options["count"] if is_planar else 1)
        with rasterio.open(path) as dataset:
            assert table.block == dataset.block_shapes[0]
        stored = places(path)
        assert len(stored) == table.shape[0] * table.shape[1] * options["count"]
        for (band, row, col), (offset, size) in stored.items():
            expected = blake3(data[offset : offset + size]).digest()
            assert table.array[band if is_planar else 0, row, col].tobytes() == expected


@FEW
@given(options=layouts(), has_mask=st.booleans(), data=st.data())
def test_one_block_written_by_gdal_is_the_one_that_differs(
    options: dict[str, Any], has_mask: bool, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tif", options, has_mask=has_mask)
        before = table_of(path)
        band = data.draw(st.integers(1, options["count"]))
        row = data.draw(st.integers(0, before.shape[0] - 1))
        col = data.draw(st.integers(0, before.shape[1] - 1))
        top, left = row * before.block[0], col * before.block[1]
        window = Window(
            left,
            top,
            min(before.block[1], before.width - left),
            min(before.block[0], before.height - top),
        )
        with quietly(), rasterio.open(path, "r+") as dataset:
            values = dataset.read(band, window=window)
            dataset.write(
                255 - values if values.dtype == np.uint8 else values + 7, band, window=window
            )
        changes = compare(before, table_of(path))
        assert changes is not None
        assert changes.mask is None or not changes.mask
        plane = band - 1 if before.planes > 1 else 0
        assert [list(found) for found in changes.planes] == [
            [(row, col)] if number == plane else [] for number in range(before.planes)
        ]
        assert changes.count == 1
        assert changes.total == before.total + (before.mask.total if before.mask else 0)


@FEW
@given(options=layouts(), data=st.data())
def test_one_byte_of_a_block_is_that_block(options: dict[str, Any], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tif", options)
        before = table_of(path)
        (band, row, col), (offset, size) = data.draw(st.sampled_from(sorted(places(path).items())))
        content = bytearray(path.read_bytes())
        content[offset + data.draw(st.integers(0, size - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        changes = compare(before, table_of(path))
        assert changes is not None
        plane = band if before.planes > 1 else 0
        assert list(changes.planes[plane]) == [(row, col)]
        assert changes.count == 1


def test_one_block_of_the_mask_is_that_block(tmp_path: Path) -> None:
    options = {"count": 2, "height": 100, "width": 90, "dtype": "int16", "tiled": True}
    options |= {"blockxsize": 32, "blockysize": 32, "interleave": "band", "compress": "deflate"}
    path = write(tmp_path / "a.tif", options, has_mask=True)
    before = table_of(path)
    with quietly(), rasterio.open(path, "r+") as dataset:
        mask = dataset.read_masks(1)
        mask[40:50, 70:80] ^= 255
        dataset.write_mask(mask)
    changes = compare(before, table_of(path))
    assert changes is not None
    assert not any(changes.planes)
    assert changes.mask is not None
    assert changes.mask_block is not None
    rows, cols = changes.mask_block
    assert set(changes.mask) == {
        (row, col)
        for row in range(40 // rows, 49 // rows + 1)
        for col in range(70 // cols, 79 // cols + 1)
    }
    assert changes.mask.count < changes.mask.shape[0] * changes.mask.shape[1]


EDITS: dict[str, Callable[[Any], None]] = {
    "tags": lambda dataset: dataset.update_tags(AREA="north", TIFFTAG_SOFTWARE="gimp"),
    "date": lambda dataset: dataset.update_tags(TIFFTAG_DATETIME="2025:01:01 00:00:00"),
    "document": lambda dataset: dataset.update_tags(
        TIFFTAG_IMAGEDESCRIPTION="a b c", TIFFTAG_ARTIST="me", TIFFTAG_COPYRIGHT="all",
        TIFFTAG_XRESOLUTION="72", TIFFTAG_HOSTCOMPUTER="here", TIFFTAG_DOCUMENTNAME="n",
    ),
    "band": lambda dataset: dataset.set_band_description(1, "red"),
    "nodata": lambda dataset: setattr(dataset, "nodata", 7),
    "place": lambda dataset: setattr(dataset, "transform", Affine(20, 0, 1, 0, -20, 2)),
    "crs": lambda dataset: setattr(dataset, "crs", "EPSG:4326"),
    "scale": lambda dataset: setattr(dataset, "scales", [2.0] * dataset.count),
    "overview": lambda dataset: dataset.build_overviews([2], rasterio.enums.Resampling.average),
}  # fmt: skip


@FEW
@given(
    options=layouts(),
    has_mask=st.booleans(),
    names=st.lists(st.sampled_from(sorted(EDITS)), min_size=1, max_size=4),
)
def test_an_edit_of_what_is_no_pixel_changes_nothing(
    options: dict[str, Any], has_mask: bool, names: list[str]
) -> None:
    # Absent pixels of LERC may be filled with nodata: there it counts.
    assume(options.get("compress") != "lerc" or "nodata" not in names)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "a.tif", options, has_mask=has_mask)
        before, data = table_of(path), path.read_bytes()
        for name in names:
            with quietly(), rasterio.open(path, "r+") as dataset:
                EDITS[name](dataset)
        assert path.read_bytes() != data
        assert table_of(path) == before


def test_other_colours_of_the_same_values_change_nothing(tmp_path: Path) -> None:
    options = {"count": 1, "height": 40, "width": 40, "dtype": "uint8", "photometric": "palette"}
    path = write(tmp_path / "a.tif", options)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {value: (value, 0, 0, 255) for value in range(256)})
    before = table_of(path)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {value: (0, value, 9, 255) for value in range(256)})
    assert read_header(path, "a.tif").palettes[0] is not None
    assert table_of(path) == before


@pytest.mark.parametrize(
    "other",
    [{"compress": "zstd"}, {"compress": "deflate", "predictor": 2}, {"blockxsize": 16},
     {"interleave": "pixel"}, {"dtype": "uint16"}, {"endianness": "big"}, {"width": 61}],
    ids=str,
)  # fmt: skip
def test_another_structure_cannot_be_compared(tmp_path: Path, other: dict[str, Any]) -> None:
    options = {"count": 2, "height": 60, "width": 60, "dtype": "int16", "interleave": "band"}
    options |= {"compress": "deflate", "tiled": True, "blockxsize": 32, "blockysize": 32}
    one = table_of(write(tmp_path / "a.tif", options))
    two = table_of(write(tmp_path / "b.tif", options | other))
    assert one.identity != two.identity
    assert compare(one, two) is None
    masked = table_of(write(tmp_path / "c.tif", options, has_mask=True))
    assert one.digests == masked.digests
    assert one.identity != masked.identity
    assert compare(one, masked) is None


def test_nodata_counts_for_the_blocks_that_are_not_there(tmp_path: Path) -> None:
    options = {"count": 1, "height": 64, "width": 64, "dtype": "int16", "tiled": True}
    options |= {"blockxsize": 32, "blockysize": 32, "sparse_ok": True, "nodata": 3}
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", **PLACE | options) as dataset:
        dataset.write(np.ones((32, 32), np.int16), 1, window=Window(32, 0, 32, 32))
    assert len(places(path)) == 1
    before, pixels = table_of(path), decoded(path)[0]
    with rasterio.open(path, "r+") as dataset:
        dataset.nodata = 4
    assert np.any(decoded(path)[0] != pixels)
    changes = compare(before, table_of(path))
    assert changes is not None
    assert list(changes.planes[0]) == [(0, 0), (1, 0), (1, 1)]
    with rasterio.open(path, "r+") as dataset:
        dataset.nodata = 3
    assert table_of(path) == before


def test_a_file_with_blocks_in_another_order_is_the_same_source(tmp_path: Path) -> None:
    options = {"count": 1, "height": 96, "width": 64, "dtype": "int16", "tiled": True}
    options |= {"blockxsize": 32, "blockysize": 32, "compress": "zstd"}
    one = write(tmp_path / "a.tif", options)
    values, other = pixels_of(options)[0], tmp_path / "b.tif"
    with rasterio.open(other, "w", driver="GTiff", **PLACE | options) as dataset:
        for row, col in [(64, 32), (0, 0), (32, 32), (64, 0), (0, 32), (32, 0)]:
            window = Window(col, row, 32, 32)
            dataset.write(values[row : row + 32, col : col + 32], 1, window=window)
    assert one.read_bytes() != other.read_bytes()
    assert places(one) != places(other)
    assert table_of(one) == table_of(other)


FUZZED: tuple[dict[str, Any], ...] = (
    {"count": 2, "dtype": "uint8", "interleave": "band", "tiled": True, "compress": "deflate"},
    {"count": 3, "dtype": "uint8", "blockysize": 16, "compress": "jpeg", "photometric": "ycbcr"},
    {"count": 1, "dtype": "int16", "blockysize": 9, "endianness": "big", "predictor": 2,
     "compress": "lzw", "nodata": 1},
    {"count": 1, "dtype": "float32", "tiled": True, "bigtiff": "yes", "nbits": 16},
    {"count": 2, "dtype": "uint16", "blockysize": 5, "alpha": "unspecified"},
)  # fmt: skip


@pytest.mark.parametrize("options", FUZZED, ids=str)
def test_any_damage_that_keeps_the_identity_keeps_the_pixels(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    """Every byte outside of the blocks is changed, one at a time."""
    has_mask = options["dtype"] != "uint16"
    sides = {"blockxsize": 16, "blockysize": 16} if options.get("tiled") else {}
    options = {"height": 20, "width": 18} | options | sides
    path = write(tmp_path / "a.tif", options, has_mask=has_mask)
    known, (pixels, mask), content = identify(path), decoded(path), path.read_bytes()
    assert known.table is not None
    inside = {
        byte for offset, size in places(path).values() for byte in range(offset, offset + size)
    }
    same = 0
    for place in range(len(content)):
        if place in inside:
            continue
        damaged = bytearray(content)
        damaged[place] ^= (0x01, 0x90, 0xFF)[place % 3]
        path.write_bytes(damaged)
        try:
            if identify(path).digest != known.digest:
                continue
            found = decoded(path)
        except (SourceError, *FAILURES):
            continue  # refused, not wrong
        same += 1
        assert np.array_equal(found[0], pixels, equal_nan=pixels.dtype.kind == "f"), place
        assert (found[1] is None) == (mask is None), place
        assert mask is None or np.array_equal(found[1], mask), place
    assert same > 50


def test_real_files_are_tabled(raster: Path, tmp_path: Path) -> None:
    path = tmp_path / raster.name
    shutil.copyfile(raster, path)
    table, data = table_of(path), path.read_bytes()
    planes = set()
    for (band, row, col), (offset, size) in places(path).items():
        plane = band if table.planes > 1 else 0
        planes.add(plane)
        expected = blake3(data[offset : offset + size]).digest()
        assert table.array[plane, row, col].tobytes() == expected
    assert planes == set(range(table.planes))


@pytest.mark.parametrize("size", [40 << 20, 35_000_001])
def test_large_files_are_hashed_by_other_processes_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    side = int((size / 2) ** 0.5)
    options = {"count": 1, "height": side, "width": side, "dtype": "int16", "blockysize": 3}
    path = write(tmp_path / "a.tif", options)
    monkeypatch.setattr(hashing, "_APART_FROM", 32 << 20)
    assert path.stat().st_size > 32 << 20
    table, data = table_of(path), path.read_bytes()
    for (_, row, _), (offset, length) in places(path).items():
        expected = blake3(data[offset : offset + length]).digest()
        assert table.array[0, row, 0].tobytes() == expected
    monkeypatch.setattr(hashing, "_APART_FROM", 1 << 60)
    assert table_of(path) == table


@pytest.mark.parametrize("rows", [1, 7, 2000])
def test_blocks_of_any_length_are_read_whole(tmp_path: Path, rows: int) -> None:
    options = {"count": 1, "height": 2000, "width": 900, "dtype": "float64", "blockysize": rows}
    path = write(tmp_path / "a.tif", options)
    table, data = table_of(path), path.read_bytes()
    # GDAL reads a single long strip as several, and says nothing of the whole.
    offset = min(offset for offset, _ in places(path).values())
    start = 0
    for row in range(table.shape[0]):
        size = min(rows, 2000 - row * rows) * 900 * 8
        assert table.array[0, row, 0].tobytes() == (
            blake3(data[offset + start : offset + start + size]).digest()
        )
        start += size


def test_what_cannot_be_tabled_is_identified_by_all_its_bytes(tmp_path: Path) -> None:
    options = {"count": 1, "height": 30, "width": 30, "dtype": "uint8", "blockysize": 10}
    path = write(tmp_path / "a.tif", options)
    content = path.read_bytes()
    offset = min(offset for offset, _ in places(path).values())
    cut = {
        "no TIFF": b"GIF89a" + content,
        "a block beyond the end": content[: offset + 50] if offset + 50 < len(content) else b"",
        "directory beyond the end": content[:4] + b"\xff\xff\xff\x7f" + content[8:],
    }
    for what, damaged in cut.items():
        if damaged:
            path.write_bytes(damaged)
            found = identify(path)
            assert found.table is None, what
            assert found.digest == blake3(damaged).hexdigest()


def test_counts_that_hold_too_little_give_no_table(tmp_path: Path) -> None:
    """libtiff would read past them: bytes that are in no block decide pixels."""
    options = {"count": 1, "height": 30, "width": 30, "dtype": "uint8", "blockysize": 10}
    path = write(tmp_path / "a.tif", options)
    content = path.read_bytes()
    sizes = (300).to_bytes(2, "little") * 3
    assert content.count(sizes) == 1
    path.write_bytes(content.replace(sizes, (200).to_bytes(2, "little") * 3))
    found = identify(path)
    assert found.table is None
    assert found.digest == blake3(path.read_bytes()).hexdigest()
