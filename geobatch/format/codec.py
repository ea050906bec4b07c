"""From pixels to bytes and back, in the calling thread, with the same bytes everywhere."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace
from numcodecs import blosc, zstd

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.format.shard import INDEX_CODECS, pack, unpack
from geobatch.model.assets.asset import Codec
from geobatch.model.digest import Digest, Json, digest_bytes

# Blosc's own threads append blocks as they finish: with one, equal pixels give equal bytes. The
# context-free calls that `use_threads` turns off share a global lock besides.
blosc.use_threads = False
blosc.set_nthreads(1)

_SHUFFLES: dict[str, int] = {
    "noshuffle": blosc.NOSHUFFLE,
    "shuffle": blosc.SHUFFLE,
    "bitshuffle": blosc.BITSHUFFLE,
}
_BLOSC_HEADER = 16
_BLOSC_BLOCK = 1 << 20
"""Most bytes that blosc compresses at a time: a usual tile is one block, which takes 2 to 3 % less
room than blosc's own choice of 128 KiB, and decodes faster."""
_GZIP_WINDOW = 31
"""zlib's window bits for a gzip frame; its header has no time."""


def compressor_versions() -> dict[str, str]:
    """Return the versions of what compresses that equal versions of numcodecs may differ in."""
    return {"blosc": blosc.VERSION_STRING, "zlib": zlib.ZLIB_RUNTIME_VERSION}


def encode(codec: Codec, pixels: npt.NDArray[Any]) -> bytes:
    """Return the bytes of a tile.

    Args:
        codec: How to encode.
        pixels: (row, col), C-contiguous, little-endian.

    Raises:
        StoreError: There is no such codec.
    """
    if not codec.chunk:
        return _compress(codec, pixels)
    windows = _chunk_windows(codec, len(pixels))
    return pack([_compress(codec, np.ascontiguousarray(pixels[window])) for window in windows])


def _compress(codec: Codec, pixels: npt.NDArray[Any]) -> bytes:
    if codec.name == "blosc":
        encoded: bytes = blosc.compress(
            pixels,
            codec.compressor.encode(),
            codec.level,
            _shuffle(codec),
            _BLOSC_BLOCK,
            pixels.dtype.itemsize,
        )
        return encoded
    if codec.name == "zstd":
        return bytes(zstd.compress(pixels, codec.level))
    if codec.name == "gzip":
        return zlib.compress(_flat(pixels), codec.level, wbits=_GZIP_WINDOW)
    if codec.name == "none":
        return pixels.tobytes()
    raise _unknown(codec)


def decode(codec: Codec, data: bytes, dtype: str | np.dtype[Any], tile: int) -> npt.NDArray[Any]:
    """Return the (tile, tile) pixels of a tile's bytes; they may be read-only.

    Raises:
        CorruptObjectError: The bytes are not such a tile.
        StoreError: There is no such codec.
    """
    kind = np.dtype(dtype).newbyteorder("<")
    if not codec.chunk:
        return _decompress(codec, data, kind, tile)
    windows = _chunk_windows(codec, tile)
    pixels = np.empty((tile, tile), dtype=kind)
    for window, chunk in zip(windows, unpack(data, len(windows)), strict=True):
        pixels[window] = _decompress(codec, chunk, kind, codec.chunk)
    return pixels


def _decompress(
    codec: Codec, data: bytes | memoryview, kind: np.dtype[Any], tile: int
) -> npt.NDArray[Any]:
    try:
        if codec.name == "blosc":
            plain = blosc.decompress(_whole_blosc(data))
        elif codec.name == "zstd":
            plain = zstd.decompress(data)
        elif codec.name == "gzip":
            plain = zlib.decompress(data, wbits=_GZIP_WINDOW)
        elif codec.name == "none":
            plain = data
        else:
            raise _unknown(codec)
    except (RuntimeError, ValueError, zlib.error) as error:
        raise CorruptObjectError(
            f"a tile cannot be decoded with `{codec.name}`: {error}"
        ) from error
    expected = tile * tile * kind.itemsize
    if len(plain) != expected:
        raise CorruptObjectError(f"a tile decodes to {len(plain)} bytes, expected {expected}")
    return np.frombuffer(plain, dtype=kind).reshape(tile, tile)


def zarr_codecs(codec: Codec, dtype: str | np.dtype[Any]) -> Sequence[Json]:
    """Return the `codecs` of the Zarr v3 metadata of an array that is so encoded.

    Source: the Zarr v3 core specification and its codec registry.

    Raises:
        StoreError: There is no such codec.
    """
    size = np.dtype(dtype).itemsize
    # The order of one byte is no order: the specification asks for it only beyond.
    plain: Json = (
        {"name": "bytes"} if size == 1 else {"name": "bytes", "configuration": {"endian": "little"}}
    )
    if codec.chunk:
        shard: Json = {
            "chunk_shape": [codec.chunk, codec.chunk],
            "codecs": zarr_codecs(replace(codec, chunk=0), dtype),
            "index_codecs": INDEX_CODECS,
            "index_location": "end",
        }
        return [{"name": "sharding_indexed", "configuration": shard}]
    if codec.name == "blosc":
        _shuffle(codec)
        settings: Json = {
            "cname": codec.compressor,
            "clevel": codec.level,
            "shuffle": codec.shuffle,
            "typesize": size,
            "blocksize": _BLOSC_BLOCK,
        }
    elif codec.name == "zstd":
        settings = {"level": codec.level, "checksum": False}
    elif codec.name == "gzip":
        settings = {"level": codec.level}
    elif codec.name == "none":
        return [plain]
    else:
        raise _unknown(codec)
    return [plain, {"name": codec.name, "configuration": settings}]


def content_digest(pixels: npt.NDArray[Any]) -> Digest:
    """Return the BLAKE3-256 of a tile's pixels: (row, col), C-contiguous, little-endian."""
    return digest_bytes(_flat(pixels))


def _flat(pixels: npt.NDArray[Any]) -> memoryview:
    return pixels.reshape(-1).view(np.uint8).data


def _chunk_windows(codec: Codec, tile: int) -> list[tuple[slice, slice]]:
    """Return where the chunks of a sharded tile lie in it, in row-major order."""
    parts = [slice(start, start + codec.chunk) for start in range(0, tile, codec.chunk)]
    return list(product(parts, parts))


def _whole_blosc(data: bytes | memoryview) -> bytes | memoryview:
    """Refuse a cut buffer: Blosc itself trusts the lengths that the header gives."""
    if len(data) < _BLOSC_HEADER or int.from_bytes(data[12:16], "little") != len(data):
        raise ValueError(f"{len(data)} bytes are not a complete Blosc buffer")
    return data


def _shuffle(codec: Codec) -> int:
    try:
        return _SHUFFLES[codec.shuffle]
    except KeyError:
        raise _unknown(codec) from None


def _unknown(codec: Codec) -> StoreError:
    return StoreError(
        f"codec `{codec}` is unknown",
        hint="use `blosc` (noshuffle, shuffle, bitshuffle), `zstd`, `gzip` or `none`",
    )
