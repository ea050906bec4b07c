"""Small TIFFs that declare much are refused in little memory; the hint allows them."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile_tiffs import LONG8, image, values, write, zeros
from measured import run

from geobatch.errors import SourceError
from geobatch.sources.geotiff import read_header
from geobatch.sources.geotiff.headers.stored import stored_pixels

BLOCK = zeros(256)
SPEC = "id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n"


def tile(path: Path) -> None:
    write(path, image(65536, 65536, tile=(65536, 65536), block=BLOCK), block=BLOCK)


def bomb(path: Path) -> None:
    block = zeros(1 << 28)
    write(path, image(1 << 14, 1 << 14, tile=(1 << 14, 1 << 14), block=block), block=block)


def tag(path: Path) -> None:
    """A tag of 2^28 values in a sparse file."""
    write(path, image(16, 16, block=BLOCK) | {65000: values(LONG8, 1, 2)}, block=BLOCK)
    data = bytearray(path.read_bytes())
    at = data.find(struct.pack("<HHQ", 65000, LONG8, 2))
    struct.pack_into("<Q", data, at + 4, 1 << 28)
    path.write_bytes(data)
    os.truncate(path, len(data) + (1 << 31))


def shared_tags(path: Path) -> None:
    """A thousand tags that share a megabyte."""
    many = {tag: (1, 1 << 20, bytes(16)) for tag in range(40000, 41000)}
    write(path, image(16, 16, block=BLOCK) | many, block=BLOCK)
    os.truncate(path, path.stat().st_size + (1 << 20))


def table(path: Path) -> None:
    """A table of 2^27 blocks in a sparse file."""
    write(path, image(16, 16, block=BLOCK) | {324: (LONG8, 1 << 27, bytes(16))}, block=BLOCK)
    os.truncate(path, 1 << 31)


def bands(path: Path) -> None:
    write(path, image(16, 16, bands=65535, block=BLOCK), block=BLOCK)


def mask(path: Path) -> None:
    """An internal mask of one huge tile of one bit."""
    hidden = image(65536, 65536, tile=(65536, 65536), bits=1, block=BLOCK)
    hidden |= {254: values(4, 4), 262: values(3, 4)}
    write(path, image(65536, 65536, tile=(256, 256), counts=1 << 16), hidden, block=BLOCK)


def whole_strip(path: Path) -> None:
    """One strip of LERC, which is decoded as a whole; of DEFLATE it would be by rows."""
    write(path, image(1 << 14, 1 << 14, compression=34887, block=BLOCK), block=BLOCK)


KINDS: dict[Callable[[Path], None], tuple[str, int]] = {
    tile: ("BLOCK_BYTES", 1 << 32),
    bomb: ("BLOCK_BYTES", 1 << 28),
    tag: ("TAG_BYTES", 1 << 31),
    shared_tags: ("TAG_BYTES", 1000 << 20),
    table: ("BLOCKS", 1 << 26),
    bands: ("BANDS", 65535),
    mask: ("BLOCK_BYTES", 1 << 32),
    whole_strip: ("BLOCK_BYTES", 1 << 28),
}


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_it_is_refused_in_little_memory(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.tif")
    (tmp_path / "s.yaml").write_text(SPEC)
    found = run("apply", "s.yaml", "--init", "--store", "store", folder=tmp_path)
    limit, least = KINDS[make]
    assert found.code == 7, found.text
    assert "s.yaml:2: `a`: `a.tif`: " in found.text
    assert "expected at most" in found.text
    _, _, needed = found.text.partition(f"`GEOBATCH_MAX_{limit}=")
    assert int(needed.partition("`")[0]) >= least, found.text
    assert found.megabytes < 500


def test_the_hint_works_when_it_is_pasted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    block = zeros(2 * 5000 * 16)
    write(tmp_path / "a.tif", image(16, 16, bands=5000, block=block), block=block)
    with pytest.raises(SourceError, match="5,000 bands, expected at most 4,096") as one:
        read_header(tmp_path / "a.tif", "a.tif")
    assert "`GEOBATCH_MAX_BANDS=5000`" in str(one.value.hint)
    monkeypatch.setenv("GEOBATCH_MAX_BANDS", "5000")
    assert read_header(tmp_path / "a.tif", "a.tif").count == 5000


def test_blocks_that_share_their_bytes_count_once(tmp_path: Path) -> None:
    """Half a megabyte that declares 10^12 pixels: the canvas is nearly empty."""
    path = write(
        tmp_path / "a.tif", image(10**6, 10**6, tile=(4096, 4096), block=BLOCK), block=BLOCK
    )
    assert stored_pixels(path) == 4096**2
    (tmp_path / "s.yaml").write_text(SPEC)
    found = run("plan", "s.yaml", "--store", "store", folder=tmp_path)
    assert found.code == 1
    assert "must be at least 1 % full" in found.text
    assert found.megabytes < 500


@pytest.mark.parametrize("is_loop", [False, True])
def test_directories_that_loop_end(tmp_path: Path, *, is_loop: bool) -> None:
    block = zeros(256)
    tags = image(16, 16, tile=(16, 16), block=block)
    write(tmp_path / "a.tif", *[tags] * (2 if is_loop else 5000), block=block, is_loop=is_loop)
    header = read_header(tmp_path / "a.tif", "a.tif")
    assert (header.width, header.dtypes) == (16, ("uint8",))


def test_a_large_file_may_have_large_blocks(tmp_path: Path) -> None:
    """16 times its size: a tile of 81 MB in a file of 6 MB needs no variable."""
    side = 9008
    rng = np.random.default_rng(3)
    block = zeros(side * side)
    path = write(tmp_path / "a.tif", image(side, side, tile=(side, side), block=block), block=block)
    (tmp_path / "s.yaml").write_text(SPEC)
    assert run("plan", "s.yaml", "--store", "store", folder=tmp_path).code == 7
    with path.open("ab") as file:
        file.write(rng.integers(0, 256, 6 << 20, dtype=np.uint8).tobytes())
    assert run("plan", "s.yaml", "--store", "store", folder=tmp_path).code == 0


def test_a_strip_that_cannot_be_read_costs_little(tmp_path: Path) -> None:
    """Each region of it failed, and each error kept the pixels of its region: 900 MB."""
    write(tmp_path / "a.tif", image(1 << 16, 1 << 16, block=BLOCK), block=BLOCK)
    (tmp_path / "s.yaml").write_text(SPEC)
    found = run("apply", "s.yaml", "--init", "--store", "store", folder=tmp_path)
    assert found.code == 7, found.text
    assert "`a.tif`: band index 0, block (row 0, col 0) cannot be read" in found.text
    assert found.megabytes < 300
