"""Tiles come back as they were, in the same bytes everywhere, and zarr-python reads them."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import zarr
from blake3 import blake3
from depth import examples
from hypothesis import given
from hypothesis import strategies as st
from numcodecs import Blosc, Zstd

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.format.codec import content_digest, decode, encode
from geobatch.format.zarr_codecs import zarr_codecs
from geobatch.model.assets.asset import DTYPES, Codec
from geobatch.testing.assets import codecs

SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
CODECS = [
    Codec(),
    Codec(shuffle="shuffle", compressor="lz4", level=5),
    Codec(shuffle="noshuffle", compressor="zlib", level=1),
    Codec(name="zstd", compressor="", shuffle="", level=3),
    Codec(name="gzip", compressor="", shuffle="", level=6),
    Codec(name="none", compressor="", shuffle="", level=0),
]


def pixels_of(dtype: str, tile: int, seed: int) -> npt.NDArray[Any]:
    """Return any bit patterns at all, smooth on the left so that codecs find something."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).newbyteorder("<")
    noise = random.integers(0, 256, tile * tile * kind.itemsize, dtype=np.uint8)
    pixels = noise.view(kind).reshape(tile, tile).copy()
    pixels[:, : tile // 2] = 7
    return pixels


@given(
    codecs(),
    st.sampled_from(DTYPES),
    st.sampled_from([1, 3, 16, 64]),
    st.integers(0, 2**32),
)
def test_pixels_come_back_bit_for_bit(codec: Codec, dtype: str, tile: int, seed: int) -> None:
    pixels = pixels_of(dtype, tile, seed)
    data = encode(codec, pixels)
    again = decode(codec, data, dtype, tile)
    assert again.dtype == pixels.dtype
    assert again.shape == (tile, tile)
    assert again.tobytes() == pixels.tobytes()
    assert content_digest(pixels) == content_digest(again) == blake3(pixels.tobytes()).hexdigest()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.name}-{codec.compressor}")
def test_zarr_reads_what_is_encoded(tmp_path: Path, codec: Codec, dtype: str) -> None:
    tile = 32
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [tile, 2 * tile],
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [tile, tile]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": zarr_codecs(codec, dtype),
        "attributes": {},
    }
    (tmp_path / "c" / "0").mkdir(parents=True)
    (tmp_path / "zarr.json").write_text(json.dumps(metadata))
    tiles = [pixels_of(dtype, tile, seed) for seed in (1, 2)]
    for at, pixels in enumerate(tiles):
        (tmp_path / "c" / "0" / str(at)).write_bytes(encode(codec, pixels))
    array = zarr.open_array(tmp_path, mode="r")
    read = np.asarray(array[:])
    assert read.dtype == np.dtype(dtype)
    assert read.tobytes() == np.concatenate(tiles, axis=1).tobytes()


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: f"{codec.name}-{codec.compressor}")
def test_equal_pixels_give_equal_bytes_in_any_thread(codec: Codec) -> None:
    pixels = pixels_of("uint16", 512, 3)
    expected = encode(codec, pixels)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: encode(codec, pixels), range(16))) == {expected}


@pytest.mark.parametrize("compressor", ["blosclz", "lz4", "lz4hc", "zlib", "zstd"])
@pytest.mark.parametrize("shuffle", ["noshuffle", "shuffle", "bitshuffle"])
def test_numcodecs_and_geobatch_read_each_other(compressor: str, shuffle: str) -> None:
    # Stores of earlier versions were written by numcodecs.
    for dtype, level, tile in product(DTYPES, (0, 1, 5, 9), (1, 3, 64, 100)):
        codec = Codec(compressor=compressor, shuffle=shuffle, level=level)
        pixels = pixels_of(dtype, tile, level)
        data = encode(codec, pixels)
        assert Blosc().decode(data) == pixels.tobytes()
        other = Blosc(compressor, level, SHUFFLES.index(shuffle), typesize=pixels.itemsize)
        assert decode(codec, other.encode(pixels), dtype, tile).tobytes() == pixels.tobytes()


def test_numcodecs_and_geobatch_read_each_others_zstd() -> None:
    for level in (1, 3, 22):
        codec = Codec(name="zstd", compressor="", shuffle="", level=level)
        pixels = pixels_of("uint16", 64, level)
        assert Zstd().decode(encode(codec, pixels)) == pixels.tobytes()
        assert np.array_equal(decode(codec, Zstd(level).encode(pixels), "uint16", 64), pixels)


def threads() -> set[str]:
    """Return the threads of this process, those of libraries too."""
    return {path.name for path in Path("/proc/self/task").iterdir()}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows threads as files")
def test_blosc_takes_no_more_threads() -> None:
    pixels = pixels_of("uint16", 1024, 1)
    before = threads()
    assert np.array_equal(decode(Codec(), encode(Codec(), pixels), "uint16", 1024), pixels)
    assert threads() == before


def test_gzip_has_no_time_and_no_name() -> None:
    data = encode(Codec(name="gzip", compressor="", shuffle=""), pixels_of("uint8", 16, 1))
    assert data[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("codec", CODECS[:1] + CODECS[3:], ids=lambda codec: codec.name)
def test_what_is_no_tile_is_refused(codec: Codec) -> None:
    good = encode(codec, pixels_of("uint16", 16, 1))
    for damaged in (b"", b"x", good[:-1], encode(codec, pixels_of("uint16", 8, 1))):
        with pytest.raises(CorruptObjectError, match="tile"):
            decode(codec, damaged, "uint16", 16)


_FUZZ = """
import sys
import numpy as np
from geobatch.errors import CorruptObjectError
from geobatch.format.codec import decode, encode
from geobatch.model.assets.asset import Codec
random = np.random.default_rng(int(sys.argv[1]))
pixels = random.integers(0, 9, (64, 64)).cumsum().astype("<u2").reshape(64, 64)
codecs = [
    Codec(compressor=one, shuffle=shuffle, level=level)
    for one in ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
    for shuffle in ("noshuffle", "bitshuffle")
    for level in (0, 5)
]
codecs += [Codec(name=name, compressor="", shuffle="", level=3) for name in ("zstd", "gzip")]
refused = 0
for codec in codecs:
    good = encode(codec, pixels)
    for number in range(int(sys.argv[2])):
        data = bytearray(good)
        # Headers are what decoders trust, so half of all damage is there.
        reach = 32 if number % 2 else len(data)
        for at in random.integers(0, min(reach, len(data)), 1 + number % 3):
            data[at] ^= 1 << int(random.integers(8))
        if number % 5 == 0:
            data = data[: int(random.integers(len(data)))]
            if codec.name == "blosc" and len(data) >= 16:
                data[12:16] = len(data).to_bytes(4, "little")
        try:
            assert decode(codec, bytes(data), "uint16", 64).shape == (64, 64)
        except CorruptObjectError:
            refused += 1
print(refused > 0)
"""


def test_no_damage_ends_in_a_crash() -> None:
    command = [sys.executable, "-c", _FUZZ, "1", str(examples(200, 20_000))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_header_decides_no_memory() -> None:
    pixels = pixels_of("uint16", 64, 1)
    for codec in (Codec(), CODECS[3]):
        large = encode(codec, np.zeros((4096, 4096), dtype="<u2"))
        tracemalloc.start()
        with pytest.raises(CorruptObjectError, match=f"{pixels.nbytes} bytes"):
            decode(codec, large, "uint16", 64)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
        tracemalloc.stop()


def test_an_unknown_codec_is_named() -> None:
    pixels = pixels_of("uint8", 8, 1)
    for codec in (Codec(name="lzma"), Codec(shuffle="sideways")):
        with pytest.raises(StoreError, match=f"{codec.name}.*{codec.shuffle}"):
            encode(codec, pixels)
        with pytest.raises(StoreError, match=codec.shuffle):
            zarr_codecs(codec, "uint8")
    with pytest.raises(StoreError, match="lzma"):
        decode(Codec(name="lzma"), zlib.compress(b""), "uint8", 8)
