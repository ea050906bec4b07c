"""Damaged, changing and exotic files: the right pixels or a SourceError, nothing else."""

from __future__ import annotations

import logging
import os
import struct
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from blake3 import blake3
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.window import Window
from geobatch.sources.geotiff import Reader, identify, read_header, stat
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.naming import Named

PLACE: dict[str, Any] = {"crs": "EPSG:32618", "transform": Affine(10, 0, 5e5, 0, -10, 4e6)}
LAYOUTS: dict[str, dict[str, Any]] = {
    "strips": {"blockysize": 8},
    "planar tiles": {"tiled": True, "interleave": "band", "compress": "deflate"},
    "pixel tiles": {"tiled": True, "interleave": "pixel", "compress": "lzw", "predictor": 2},
    "bigtiff": {"tiled": True, "bigtiff": "YES", "compress": "zstd"},
    "jpeg": {"tiled": True, "compress": "jpeg", "interleave": "pixel", "photometric": "ycbcr"},
    "mask": {"tiled": True, "compress": "packbits"},
}


def pixels_of(shape: tuple[int, int, int]) -> Any:
    return np.random.default_rng(2).integers(0, 200, shape, dtype=np.uint8)


def write(path: Path, pixels: Any, *, has_mask: bool = False, **options: Any) -> Path:
    profile = {
        "driver": "GTiff",
        "count": pixels.shape[0],
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
    } | PLACE
    if options.get("tiled"):
        profile |= {"blockxsize": 32, "blockysize": 32}
    with (
        warnings.catch_warnings(),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"),
    ):
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **profile | options) as dataset:
            dataset.write(pixels)
            if has_mask:
                dataset.write_mask(pixels[0] > 100)
    return path


def source(path: Path) -> tuple[Source, int]:
    header = read_header(path, path.name)
    identity = identify(path)
    of = Source(
        uri=path.name,
        digest=identity.digest,
        row=0,
        col=0,
        height=header.height,
        width=header.width,
        mask=header.mask,
        path=header.path,
        stat=identity.stat,
    )
    return of, header.count


def read(path: Path, most: int = 96) -> tuple[Any, Any]:
    of, count = source(path)
    window = Window(row=0, col=0, height=min(of.height, most), width=min(of.width, most))
    with Reader() as reader:
        pixels, mask = reader.read(of, window, range(min(count, 4)), with_mask=True)
        if mask is None:
            mask = np.full(window.shape, 255, np.uint8)
        return np.array(pixels), mask


@cache
def intact(layout: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        write(path, pixels_of((3, 70, 70)), has_mask=layout == "mask", **LAYOUTS[layout])
        return path.read_bytes()


@settings(max_examples=examples(50, 150), deadline=None, suppress_health_check=list(HealthCheck))
@given(layout=st.sampled_from(sorted(LAYOUTS)), place=st.integers(0, 1 << 20), near=st.booleans())
def test_cut_anywhere(
    tmp_path_factory: pytest.TempPathFactory,
    layout: str,
    place: int,
    near: bool,
) -> None:
    content = intact(layout)
    path = tmp_path_factory.mktemp("cut") / "a.tif"
    path.write_bytes(content)
    expected, whole = read(path), read_header(path, "a.tif")
    path.write_bytes(content[: place % (min(len(content), 1000) if near else len(content))])
    try:
        found = read(path)
    except SourceError as error:
        assert "`a.tif`" in str(error)  # noqa: PT017  (most cuts raise; the last bytes may be unused)
        return
    assert read_header(path, "a.tif") == whole
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


@settings(max_examples=examples(83, 250), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    layout=st.sampled_from(sorted(LAYOUTS)),
    near=st.booleans(),
    flips=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=3),
)
def test_flipped_anywhere(
    tmp_path_factory: pytest.TempPathFactory,
    layout: str,
    near: bool,
    flips: list[tuple[int, int]],
) -> None:
    content = bytearray(intact(layout))
    for place, bits in flips:  # half of them in the header, where they hurt most
        content[place % (min(len(content), 1000) if near else len(content))] ^= bits
    path = tmp_path_factory.mktemp("flip") / "a.tif"
    path.write_bytes(content)
    try:
        pixels, mask = read(path)
    except SourceError as error:
        assert "`a.tif`" in str(error)  # noqa: PT017
        return
    assert pixels.shape[1:] == mask.shape


@pytest.mark.parametrize("layout", ["planar tiles", "pixel tiles", "strips"])
def test_the_first_bad_block_is_named(
    tmp_path: Path, layout: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.tif", pixels_of((3, 100, 70)), **LAYOUTS[layout])
    content = path.read_bytes()
    places = []
    with rasterio.open(path) as dataset:
        rows, cols = dataset.block_shapes[0]
        for band in (1, 2, 3):
            for row in range(-(-100 // rows)):
                for col in range(-(-70 // cols)):
                    offset, size = (
                        int(dataset.get_tag_item(f"BLOCK_{name}_{col}_{row}", "TIFF", bidx=band))
                        for name in ("OFFSET", "SIZE")
                    )
                    places.append((band - 1, row, col, offset + size))
    for cut in (max(end for *_, end in places) - 1, len(content) // 2, len(content) // 4):
        band, row, col = next(place[:3] for place in places if place[3] > cut)
        path.write_bytes(content[:cut])
        pattern = rf"`a\.tif`: band index {band}, block \(row {row}, col {col}\) cannot be read: ."
        with pytest.raises(SourceError, match=pattern):
            read(path, most=100)
    assert capfd.readouterr() == ("", "")


def test_a_bad_mask_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels_of((1, 64, 64)), has_mask=True, compress="deflate")
    content = bytearray(path.read_bytes())
    with rasterio.open(path) as dataset:
        end = int(dataset.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    starts = [at for at in range(len(content) - 1) if content[at : at + 2] == b"\x78\x9c"]
    starts += [at for at in range(len(content) - 1) if content[at : at + 2] == b"\x78\x5e"]
    assert [at for at in starts if at != end]
    for at in starts:
        if at != end:
            content[at : at + 12] = b"\xff" * 12
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"`a\.tif`: internal mask, .* cannot be read"):
        read(path)


COMPRESSION_OPTIONS: dict[str, dict[str, Any]] = {
    "LZW": {},
    "DEFLATE": {},
    "ZSTD": {},
    "LERC": {},
    "LERC_DEFLATE": {},
    "LERC_ZSTD": {},
    "LZMA": {},
    "WEBP": {"webp_lossless": True, "interleave": "pixel"},
    "JPEG": {"jpeg_quality": 100, "interleave": "pixel"},
    "PACKBITS": {},
}


@pytest.mark.parametrize("name", COMPRESSION_OPTIONS)
@pytest.mark.parametrize("is_tiled", [True, False])
def test_every_compression_of_the_wheels_is_read(tmp_path: Path, name: str, is_tiled: bool) -> None:
    pixels = pixels_of((3, 64, 64))
    options = COMPRESSION_OPTIONS[name] | {"tiled": is_tiled}
    path = write(tmp_path / "a.tif", pixels, compress=name, **options)
    header = read_header(path, "a.tif")
    assert header.compression == name.split("_", maxsplit=1)[0]
    assert header.is_lossy is {"JPEG": True, "WEBP": False}.get(
        name, None if name.startswith("LERC") else False
    )
    found, _ = read(path)
    if name == "JPEG":
        assert np.abs(found.astype(int) - pixels).max() <= 8
    else:
        np.testing.assert_array_equal(found, pixels)


def test_jpeg_xl_is_read_or_named(tmp_path: Path) -> None:
    pixels = pixels_of((3, 64, 64))
    try:
        path = write(tmp_path / "a.tif", pixels, compress="JXL", jxl_lossless="YES")
    except (rasterio.errors.RasterioError, ValueError):
        path = write(tmp_path / "a.tif", pixels, compress="ZSTD")
        retag(path, 259, 50002)
        with pytest.raises(SourceError, match="compression `JXL` cannot be read by this GDAL"):
            read_header(path, "a.tif")
        return
    assert read_header(path, "a.tif").compression == "JXL"
    np.testing.assert_array_equal(read(path)[0], pixels)


def retag(path: Path, tag: int, value: int) -> None:
    """Patch a short value in the first directory of a little-endian classic TIFF."""
    data = bytearray(path.read_bytes())
    (offset,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, offset)
    places = [offset + 2 + 12 * index for index in range(count)]
    (at,) = [at for at in places if struct.unpack_from("<H", data, at)[0] == tag]
    struct.pack_into("<H", data, at + 8, value)
    path.write_bytes(data)


@pytest.mark.parametrize(("value", "name"), [(12345, "number 12345"), (34661, "JBIG")])
def test_a_compression_that_gdal_lacks_is_named(
    tmp_path: Path, value: int, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "a.tif", pixels_of((1, 64, 64)), compress="DEFLATE")
    retag(path, 259, value)
    with pytest.raises(SourceError, match=f"`a.tif`: compression `{name}` cannot be read") as info:
        read_header(path, "a.tif")
    assert "COMPRESS" in (info.value.hint or "")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("value", [*tiff.COMPRESSIONS, 0, 60000])
def test_any_compression_tag_over_wrong_bytes(tmp_path: Path, value: int) -> None:
    path = write(tmp_path / "a.tif", pixels_of((1, 64, 64)), compress="DEFLATE")
    retag(path, 259, value)
    try:
        pixels, _ = read(path)
    except SourceError as error:
        assert "`a.tif`" in str(error)  # noqa: PT017
        return
    assert pixels.shape == (1, 64, 64)


def change_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\1")


def change_keeping_mtime(path: Path) -> None:
    before = path.stat()
    change_in_place(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes())
    other.replace(path)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


CHANGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "in place": (change_in_place, "changed while it was being read"),
    "keeping mtime": (change_keeping_mtime, "changed while it was being read"),
    "replaced": (replace, "changed while it was being read"),
    "cut": (cut, "changed while it was being read"),
    "removed": (Path.unlink, "no such file|cannot be reached: No such file"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("is_open", [True, False])
def test_a_file_that_changes_is_noticed(tmp_path: Path, name: str, is_open: bool) -> None:
    change, message = CHANGES[name]
    path = write(tmp_path / "a.tif", pixels_of((1, 64, 64)), blockysize=8)
    of, _ = source(path)
    window = Window(row=0, col=0, height=8, width=64)
    with Reader() as reader:
        if is_open:
            reader.read(of, window, [0])
        change(path)
        with pytest.raises(SourceError, match=rf"`a\.tif`: ({message})"):
            reader.read(of, window, [0])


def test_a_touch_between_counts_as_a_change_of_stat_only(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", pixels_of((1, 8, 8)))
    before = identify(path)
    os.utime(path)
    after = identify(path)
    assert (before.digest, before.tags) == (after.digest, after.tags)
    assert before.stat != after.stat == stat(path)


@pytest.mark.parametrize("size", [1, 1000, (8 << 20) - 1, 8 << 20, (8 << 20) + 1, 65 << 20])
def test_the_digest_is_blake3_of_the_bytes(tmp_path: Path, size: int) -> None:
    content = (bytes(range(251)) * (size // 251 + 1))[:size]
    path = tmp_path / "any.bin"
    path.write_bytes(content)
    found = identify(path)
    assert found.table is None
    assert found.tags is None
    assert found.digest == blake3(content).hexdigest()
    assert found.stat.size == size


@pytest.mark.parametrize("name", ["absent.tif", ".", "empty.tif"])
def test_what_has_no_identity(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.tif").touch()
    for function in (identify, stat):
        with pytest.raises(SourceError, match=f"`{name}`: "), Named(name):
            function(tmp_path / name)


def test_errors_leave_nothing_on_stderr_nor_a_logger_changed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"II*\0\x08\0\0\0" + b"\xff" * 64)
    with pytest.raises(SourceError):
        read_header(path, "a.tif")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("rasterio").level == logging.NOTSET
