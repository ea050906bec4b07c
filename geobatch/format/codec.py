"""From pixels to bytes and back, in the calling thread, with the same bytes everywhere."""

from __future__ import annotations

import zlib
from itertools import product
from typing import Any, Literal, cast

import imagecodecs
import numpy as np
import numpy.typing as npt
from imagecodecs import blosc_decode, blosc_encode, zstd_decode, zstd_encode

from geobatch.errors import CorruptObjectError
from geobatch.format.shard import pack, unpack
from geobatch.format.zarr_codecs import BLOSC_BLOCK, unknown_codec
from geobatch.model.assets.asset import Codec
from geobatch.model.digest import Digest, digest_bytes

_Compressor = Literal["blosclz", "lz4", "lz4hc", "zlib", "zstd"]
_Shuffle = Literal["noshuffle", "shuffle", "bitshuffle"]
_COMPRESSORS = ("blosclz", "lz4", "lz4hc", "zlib", "zstd")
_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")
_BLOSC_HEADER = 16
_GZIP_WINDOW = 31
"""zlib's window bits for a gzip frame; its header has no time."""


def compressor_versions() -> dict[str, str]:
    """Return the versions of what compresses that equal versions of imagecodecs may differ in."""
    return {
        "blosc": imagecodecs.blosc_version(),
        "zstd": imagecodecs.zstd_version(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
    }


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
    data: Any = pixels  # imagecodecs takes any buffer; its stubs name few
    if codec.name == "blosc":
        if codec.compressor not in _COMPRESSORS or codec.shuffle not in _SHUFFLES:
            raise unknown_codec(codec)
        return bytes(
            blosc_encode(
                data,
                codec.level,
                compressor=cast("_Compressor", codec.compressor),
                shuffle=cast("_Shuffle", codec.shuffle),
                typesize=pixels.dtype.itemsize,
                blocksize=BLOSC_BLOCK,
                # Blosc's own threads append blocks as they finish: with one, equal pixels give
                # equal bytes.
                numthreads=1,
            )
        )
    if codec.name == "zstd":
        return bytes(zstd_encode(data, codec.level))
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
    expected = tile * tile * kind.itemsize
    plain: Any
    try:
        if codec.name == "blosc":
            plain = blosc_decode(_whole_blosc(data), numthreads=1, out=_room(expected))
        elif codec.name == "zstd":
            plain = zstd_decode(cast("Any", data), out=_room(expected))
        elif codec.name == "gzip":
            plain = zlib.decompress(data, wbits=_GZIP_WINDOW)
        elif codec.name == "none":
            plain = data
        else:
            raise unknown_codec(codec)
    except (RuntimeError, ValueError, zlib.error) as error:
        raise CorruptObjectError(
            f"a tile cannot be decoded with `{codec.name}` to {expected} bytes: {error}"
        ) from error
    if len(plain) != expected:
        raise CorruptObjectError(f"a tile decodes to {len(plain)} bytes, expected {expected}")
    return np.frombuffer(plain, dtype=kind).reshape(tile, tile)


def _room(size: int) -> Any:
    """Return memory to decode a tile into: no header decides how much is taken.

    The stubs of imagecodecs name memory views; it takes arrays of bytes as well.
    """
    return np.empty(size, dtype=np.uint8)


def content_digest(pixels: npt.NDArray[Any]) -> Digest:
    """Return the BLAKE3-256 of a tile's pixels: (row, col), C-contiguous, little-endian."""
    return digest_bytes(_flat(pixels))


def _flat(pixels: npt.NDArray[Any]) -> memoryview:
    return pixels.reshape(-1).view(np.uint8).data


def _chunk_windows(codec: Codec, tile: int) -> list[tuple[slice, slice]]:
    """Return where the chunks of a sharded tile lie in it, in row-major order."""
    parts = [slice(start, start + codec.chunk) for start in range(0, tile, codec.chunk)]
    return list(product(parts, parts))


def _whole_blosc(data: bytes | memoryview) -> Any:
    """Refuse a cut buffer: Blosc itself trusts the lengths that the header gives."""
    if len(data) < _BLOSC_HEADER or int.from_bytes(data[12:16], "little") != len(data):
        raise ValueError(f"{len(data)} bytes are not a complete Blosc buffer")
    return data
