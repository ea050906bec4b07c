"""Blocks compared with their digests: the same pixels or an error, whatever is written."""

from __future__ import annotations

import fcntl
import mmap
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from msgspec.structs import replace
from rasterio.enums import MaskFlags
from rasterio.shutil import copy as copy_raster

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.window import Window
from geobatch.sources.files import is_written
from geobatch.sources.geotiff import Reader, identify

SIDE = 192
LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "strips": {},
    "one strip": {"blockysize": SIDE, "compress": "deflate"},
    "tiles": {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "lzw"},
    "planar": {"interleave": "band", "tiled": True, "blockxsize": 32, "blockysize": 64},
    "big": {"endianness": "big", "bigtiff": "yes", "compress": "zstd", "blockysize": 5},
    "jpeg": {"compress": "jpeg", "photometric": "ycbcr", "tiled": True, "blockxsize": 64,
             "blockysize": 64},
    "sparse": {"sparse_ok": True, "tiled": True, "blockxsize": 64, "blockysize": 64},
    "cog": {},
}  # fmt: skip


def write(path: Path, layout: str, *, has_mask: bool = True) -> Source:
    rng = np.random.default_rng(3)
    pixels = rng.integers(0, 255, (3, SIDE, SIDE), dtype=np.uint8)
    pixels[:, :70, :70] = 0
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6)}
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path, "w", driver="GTiff", height=SIDE, width=SIDE, count=3, dtype="uint8", **place,
            **LAYOUTS[layout],
        ) as file,
    ):  # fmt: skip
        if layout == "sparse":
            file.write(pixels[:, 64:, 64:], window=((64, SIDE), (64, SIDE)))
        else:
            file.write(pixels)
        if has_mask:
            file.write_mask(rng.random((SIDE, SIDE)) > 0.3)
    if layout == "cog":
        other = path.with_suffix(".cog.tif")
        copy_raster(path, other, driver="COG", blocksize=128, overview_count=1)
        other.replace(path)
    identity = identify(path)
    with rasterio.open(path) as file:
        is_masked = MaskFlags.per_dataset in file.mask_flag_enums[0]
    return Source(
        uri=path.name, digest=identity.digest, row=0, col=0, height=SIDE, width=SIDE,
        mask="internal" if is_masked else None, path=str(path), stat=identity.stat,
        is_proven=False,
    )  # fmt: skip


def read(source: Source, tables: dict[str, BlockTable | None] | None = None) -> list[Any]:
    parts: list[Any] = []
    with Reader(tables=(tables or {}).get) as reader:
        for row, col, height, width in ((0, 0, SIDE, SIDE), (60, 50, 70, 20), (190, 0, 2, 192)):
            window = Window(row=row, col=col, height=height, width=width)
            parts += reader.read(source, window, [0, 2], with_mask=True)
    return parts


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("has_mask", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_pixels_are_those_of_the_file(
    tmp_path: Path, layout: str, has_mask: bool, is_known: bool
) -> None:
    source = write(tmp_path / "a.tif", layout, has_mask=has_mask)
    tables = {source.digest: identify(tmp_path / "a.tif").table} if is_known else None
    found, plain = read(source, tables), read(replace(source, is_proven=True))
    with rasterio.open(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(found[0], file.read([1, 3]))
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_without_a_table_is_read_from_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write(path, "strips", has_mask=False)
    data = bytearray(path.read_bytes())
    # A tag that appears twice: nothing is said of such a file block by block.
    (start,) = np.frombuffer(data[4:8], "<u4").tolist()
    count = int(np.frombuffer(data[start : start + 2], "<u2")[0])
    entries = bytes(data[start + 2 : start + 2 + 12 * count])
    place = len(data)
    data += (count + 1).to_bytes(2, "little") + entries + entries[-12:] + bytes(4)
    data[4:8] = place.to_bytes(4, "little")
    path.write_bytes(data)
    identity = identify(path)
    assert identity.table is None
    source = Source(
        uri="a.tif", digest=identity.digest, row=0, col=0, height=SIDE, width=SIDE, path=str(path),
        stat=identity.stat, is_proven=False,
    )  # fmt: skip
    np.testing.assert_array_equal(read(source)[0], read(replace(source, is_proven=True))[0])
    with pytest.raises(SourceError, match=r"`a\.tif`: changed while it was being read"):
        read(replace(source, digest="0" * 64))


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file so that what is written leaves no trace in its stat: its pages are dirty."""
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as pages:
        for at in range(0, len(pages), mmap.PAGESIZE):
            pages[at] = pages[at]
        yield pages


@pytest.mark.parametrize("is_known", [False, True])
@pytest.mark.parametrize("layout", sorted(set(LAYOUTS) - {"sparse"}))
def test_no_byte_of_a_block_or_a_mask_can_be_another(
    tmp_path: Path, layout: str, is_known: bool
) -> None:
    path = tmp_path / "a.tif"
    write(path, layout)
    rng = np.random.default_rng(1)
    with mapped(path) as pages:
        identity = identify(path)
        assert not identity.is_still
        source = Source(
            uri="a.tif", digest=identity.digest, row=0, col=0, height=SIDE, width=SIDE,
            mask="internal", path=str(path), stat=identity.stat, is_proven=False,
        )  # fmt: skip
        tables = {source.digest: identity.table} if is_known else None
        before = read(source, tables)
        for at in rng.integers(0, len(pages), 40).tolist():
            pages[at] ^= 0xFF
            try:
                found = read(source, tables)
            except SourceError as error:
                assert "`a.tif`" in error.message  # noqa: PT017 - or the pixels are the same
            else:
                for one, other in zip(found, before, strict=True):
                    np.testing.assert_array_equal(one, other)
            pages[at] ^= 0xFF


def test_who_writes_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    with path.open("rb") as file:
        if is_written(file.fileno()):
            pytest.skip("this file system does not tell")
        with path.open("r+b") as other:
            assert is_written(file.fileno())
            pages = mmap.mmap(other.fileno(), 0)
        assert is_written(file.fileno()), "a mapping is enough"
        pages.close()
        assert not is_written(file.fileno())
        with path.open("rb") as same, mmap.mmap(same.fileno(), 0, access=mmap.ACCESS_READ):
            assert not is_written(file.fileno()), "who reads is none"


OPENER = "import sys\nwhile True:\n with open(sys.argv[1], 'r+b'): pass"


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")
def test_a_broken_lease_kills_nobody(tmp_path: Path) -> None:
    """Somebody opens the file for writing all the time: the signal comes, and is ignored."""
    path = tmp_path / "a"
    path.write_bytes(bytes(100))
    assert signal.getsignal(signal.SIGIO) is signal.SIG_DFL
    with subprocess.Popen([sys.executable, "-c", OPENER, str(path)]) as process:
        with path.open("rb") as file:
            end, found = time.monotonic() + 0.7, set()
            while time.monotonic() < end:
                found.add(is_written(file.fileno()))
            assert fcntl.fcntl(file.fileno(), fcntl.F_GETLEASE) == fcntl.F_UNLCK
        process.kill()
    assert True in found
