"""From pixels to bytes and back, in the calling thread, with the same bytes everywhere."""

from __future__ import annotations

import zlib
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from numcodecs import blosc, zstd

from geobatch.errors import CorruptObjectError
from geobatch.format.shard import pack, unpack
from geobatch.format.zarr_codecs import BLOSC_BLOCK, unknown_codec
from geobatch.model.assets.asset import Codec
from geobatch.model.digest import Digest, digest_bytes

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
            BLOSC_BLOCK,
            pixels.dtype.itemsize,
        )
        return encoded
    if codec.name == "zstd":
        return bytes(zstd.compress(pixels, codec.level))
    if codec.name == "gzip":
        return zlib.compress(_flat(pixels), codec.level, wbits=_GZIP_WINDOW)
    if codec.name == "none":
        return pixels.tobytes()
    raise unknown_codec(codec)


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
            raise unknown_codec(codec)
    except (RuntimeError, ValueError, zlib.error) as error:
        raise CorruptObjectError(
            f"a tile cannot be decoded with `{codec.name}`: {error}"
        ) from error
    expected = tile * tile * kind.itemsize
    if len(plain) != expected:
        raise CorruptObjectError(f"a tile decodes to {len(plain)} bytes, expected {expected}")
    return np.frombuffer(plain, dtype=kind).reshape(tile, tile)


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
        raise unknown_codec(codec) from None
