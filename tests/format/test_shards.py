"""Shards: several chunks in one object, as zarr-python writes and reads them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from msgspec.structs import replace
from zarr.core.buffer import Buffer, default_buffer_prototype
from zarr.core.metadata.v3 import ArrayV3Metadata
from zarr.storage import MemoryStore, StorePath

from geobatch.errors import CorruptObjectError
from geobatch.format.codec import decode, encode
from geobatch.format.shard import pack, unpack
from geobatch.format.zarr_codecs import zarr_codecs
from geobatch.model.assets.asset import DTYPES, Codec, Number
from geobatch.model.digest import Json
from geobatch.model.number import number_to_json
from geobatch.testing.assets import codecs, pixel_values

PLAIN = Codec(name="none", level=0, compressor="", shuffle="", chunk=16)
CHUNK_BYTES = 16 * 16 * 2


@st.composite
def sharded(draw: st.DrawFn) -> tuple[Codec, npt.NDArray[Any], Number]:
    """Return a codec, pixels of which some chunks are all fill, and the fill."""
    dtype = draw(st.sampled_from(DTYPES))
    fill = draw(pixel_values(dtype))
    count, chunk = draw(st.integers(2, 4)), draw(st.sampled_from([1, 3, 16]))
    tile = count * chunk
    seed = draw(st.integers(0, 2**32))
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).newbyteorder("<")
    noise = random.integers(0, 256, tile * tile * kind.itemsize, dtype=np.uint8)
    pixels = noise.view(kind).reshape(tile, tile).copy()
    blank = draw(arrays.arrays(np.bool_, (count, count)))
    pixels[np.kron(blank, np.ones((chunk, chunk), dtype=np.bool_))] = fill
    return replace(draw(codecs()), chunk=chunk), pixels, fill


Files = dict[str, Buffer]
"""What a Zarr store in memory holds."""


def array_of(files: Files, codec: Codec, pixels: npt.NDArray[Any], fill: Number) -> zarr.Array[Any]:
    """Return a Zarr array that is one shard."""
    shape = list(pixels.shape)
    document: dict[str, Json] = {
        "zarr_format": 3, "node_type": "array", "shape": shape, "data_type": pixels.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": number_to_json(fill), "codecs": zarr_codecs(codec, pixels.dtype),
        "attributes": {},
    }  # fmt: skip
    metadata = ArrayV3Metadata.from_dict(document)
    return zarr.Array(zarr.AsyncArray(metadata, StorePath(MemoryStore(files))))


@given(sharded())
def test_zarr_reads_our_shards_and_we_read_its_own(
    made: tuple[Codec, npt.NDArray[Any], Number],
) -> None:
    codec, pixels, fill = made
    data = encode(codec, pixels)
    assert decode(codec, data, pixels.dtype, len(pixels)).tobytes() == pixels.tobytes()
    files: Files = {"c/0/0": default_buffer_prototype().buffer.from_bytes(data)}
    with zarr.config.set({"array.write_empty_chunks": True}):
        array = array_of(files, codec, pixels, fill)
    assert np.asarray(array[...]).tobytes() == pixels.tobytes()
    half = len(pixels) // 2
    assert np.asarray(array[half:, 1:]).tobytes() == pixels[half:, 1:].tobytes()
    files.clear()
    array[...] = pixels
    again = decode(codec, files["c/0/0"].to_bytes(), pixels.dtype, len(pixels))
    assert again.tobytes() == pixels.tobytes()


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=9))
def test_chunks_come_back(chunks: list[bytes]) -> None:
    data = pack(chunks)
    assert [bytes(one) for one in unpack(data, len(chunks))] == chunks
    assert len(data) == sum(len(one) for one in chunks) + 16 * len(chunks) + 4


def sealed(body: bytes, entries: Sequence[tuple[int, int]]) -> bytes:
    """Return a shard with an index of one's own."""
    index = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    return body + index + int(google_crc32c.value(index)).to_bytes(4, "little")


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"x" * 67,
        sealed(b"x" * CHUNK_BYTES, [(0, CHUNK_BYTES)] * 4)[:-1],
        sealed(b"x" * CHUNK_BYTES, [(0, CHUNK_BYTES)] * 3 + [(1, CHUNK_BYTES)]),
        sealed(b"x" * CHUNK_BYTES, [(0, CHUNK_BYTES)] * 3 + [(2**64 - 1, 1)]),
        sealed(b"x" * CHUNK_BYTES, [(0, CHUNK_BYTES)] * 3 + [(2**64 - 1, 2**64 - 1)]),
        sealed(b"x" * CHUNK_BYTES, [(0, CHUNK_BYTES)] * 3 + [(0, CHUNK_BYTES - 1)]),
    ],
)
def test_what_is_no_shard_is_refused(damaged: bytes) -> None:
    with pytest.raises(CorruptObjectError, match=r"shard|tile"):
        decode(PLAIN, damaged, "uint16", 32)


def test_an_index_that_was_flipped_is_refused() -> None:
    data = bytearray(encode(PLAIN, np.arange(1024, dtype="<u2").reshape(32, 32)))
    for at in range(len(data) - 68, len(data)):
        data[at] ^= 1
        with pytest.raises(CorruptObjectError, match="checksum"):
            decode(PLAIN, bytes(data), "uint16", 32)
        data[at] ^= 1
