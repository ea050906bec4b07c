"""Strips that are decoded once for several windows, against plain rasterio."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, Lock
from typing import Any

import numpy as np
import pytest
import rasterio
from msgspec.structs import replace

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.window import Window
from geobatch.sources.geotiff import Reader, identify, read_header
from geobatch.sources.geotiff.decoding import strips as strips_module
from geobatch.sources.geotiff.decoding.strips import Strips

WIDTH, HEIGHT, BANDS = 2311, 700, 3


def write(path: Path, *, dtype: str = "uint16", **options: Any) -> Source:
    pixels = np.random.default_rng(1).integers(0, 200, (BANDS, HEIGHT, WIDTH)).astype(dtype)
    profile = {
        "driver": "GTiff", "count": BANDS, "height": HEIGHT, "width": WIDTH, "dtype": dtype,
        "crs": "EPSG:32618", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 4e6),
    }  # fmt: skip
    with rasterio.open(path, "w", **profile | options) as raster:
        raster.write(pixels)
    header, identity = read_header(path, path.name), identify(path)
    return Source(
        uri=path.name, digest=identity.digest, row=0, col=0, height=HEIGHT, width=WIDTH,
        mask=header.mask, block=header.block, is_pixel_interleaved=header.is_pixel_interleaved,
        path=header.path, stat=identity.stat,
    )  # fmt: skip


@pytest.mark.parametrize("interleave", ["pixel", "band"])
@pytest.mark.parametrize("rows", [1, 7, 64, 700])
@pytest.mark.parametrize("kept", [96 << 20, 3 << 20])
def test_threads_read_what_rasterio_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interleave: str, rows: int, kept: int
) -> None:
    monkeypatch.setattr(strips_module, "CACHE_BYTES", kept)
    monkeypatch.setattr(strips_module, "_PIECE_BYTES", 100_000)
    source = write(
        tmp_path / "a.tif", interleave=interleave, blockysize=rows, compress="deflate", predictor=2
    )
    draw = random.Random(rows)
    windows = []
    for _ in range(40):
        row, col = draw.randrange(HEIGHT), draw.randrange(WIDTH)
        height, width = draw.randint(1, HEIGHT - row), draw.randint(1, WIDTH - col)
        bands = draw.sample(range(BANDS), draw.randint(1, BANDS))
        windows.append((Window(row=row, col=col, height=height, width=width), bands))
    with rasterio.open(source.path) as raster:
        pixels = raster.read()
    with Reader() as reader, ThreadPoolExecutor(4) as pool:

        def read(case: tuple[Window, Sequence[int]]) -> None:
            window, bands = case
            down = slice(window.row, window.row + window.height)
            right = slice(window.col, window.col + window.width)
            found = reader.read(source, window, bands).bands
            np.testing.assert_array_equal(found, pixels[list(bands), down, right])

        list(pool.map(read, windows))


def test_each_row_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips_module, "_PIECE_BYTES", 200_000)
    strips, lock, decoded = Strips(), Lock(), Counter[int]()
    begin = Barrier(4)
    source = Source(
        uri="a", digest="0" * 64, row=0, col=0, height=HEIGHT, width=WIDTH, mask=None,
        block=(5, WIDTH), is_pixel_interleaved=True, path="a", stat=None,
    )  # fmt: skip

    def decode(window: Window) -> Any:
        with lock:
            decoded.update(range(window.row, window.row + window.height))
        rows = np.arange(window.row, window.row + window.height)
        return np.broadcast_to(rows[:, None], (1, *window.shape)).astype(np.uint16)

    def read(number: int) -> None:
        begin.wait()
        for col in (0, 500, 1000, 1500):
            window = Window(row=3, col=col, height=600, width=200 + number)
            out = np.empty((1, *window.shape), np.uint16)
            assert strips.read(source, window, [1], out, decode)
            assert (out == np.arange(3, 603)[:, None]).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(4)))
    assert decoded == Counter(range(3, 603))


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strips_module, "CACHE_BYTES", 1 << 20)
    monkeypatch.setattr(strips_module, "_PIECE_BYTES", 100_000)
    strips = Strips()
    source = Source(
        uri="a", digest="0" * 64, row=0, col=0, height=10_000, width=WIDTH, mask=None,
        block=(1, WIDTH), is_pixel_interleaved=True, path="a", stat=None,
    )  # fmt: skip
    arrays = []

    def decode(window: Window) -> Any:
        arrays.append(np.zeros((1, *window.shape), np.uint16))
        return arrays[-1]

    for row in range(0, 10_000, 100):
        out = np.empty((1, 100, 64), np.uint16)
        assert strips.read(source, Window(row=row, col=0, height=100, width=64), [1], out, decode)
    held = sum(piece.pixels.nbytes for piece in strips._pieces.values() if piece.pixels is not None)
    assert 0 < held <= 1 << 20
    # What does not fit is decoded window by window, as before.
    tall = Window(row=0, col=0, height=9_000, width=64)
    assert not strips.read(source, tall, [1], np.empty((1, 9_000, 64), np.uint16), decode)


def test_a_damaged_strip_fails_in_each_thread(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    source = write(path, blockysize=50, compress="deflate")
    with rasterio.open(path) as raster:
        offset = int(raster.get_tag_item("BLOCK_OFFSET_0_4", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = b"\xff" * 40
    path.write_bytes(data)
    identity = identify(path)
    source = replace(source, digest=identity.digest, stat=identity.stat)
    good = Window(row=0, col=10, height=200, width=100)
    bad = Window(row=190, col=10, height=100, width=100)
    with Reader() as reader, ThreadPoolExecutor(2) as pool:

        def read(window: Window) -> str:
            try:
                reader.read(source, window, [0])
            except SourceError as error:
                return str(error)
            return ""

        said = read(bad)
        assert "block (row 4, col 0)" in said
        found = list(pool.map(read, [good, bad, bad, good, bad]))
        assert found == ["", said, said, "", said]
