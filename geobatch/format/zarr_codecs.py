"""How tiles are encoded, in the words of Zarr; loads nothing that encodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace

from geobatch.errors import StoreError
from geobatch.model.assets.asset import Codec
from geobatch.model.digest import Json

BLOSC_BLOCK = 1 << 20
"""Most bytes that blosc compresses at a time: a usual tile is one block, which takes 2 to 3 % less
room than blosc's own choice of 128 KiB, and decodes faster."""
_INDEX_CODECS: Sequence[Json] = (
    {"name": "bytes", "configuration": {"endian": "little"}},
    {"name": "crc32c"},
)
"""How the index is encoded, in the words of Zarr."""
_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")


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
            "index_codecs": _INDEX_CODECS,
            "index_location": "end",
        }
        return [{"name": "sharding_indexed", "configuration": shard}]
    if codec.name == "blosc":
        if codec.shuffle not in _SHUFFLES:
            raise unknown_codec(codec)
        settings: Json = {
            "cname": codec.compressor,
            "clevel": codec.level,
            "shuffle": codec.shuffle,
            "typesize": size,
            "blocksize": BLOSC_BLOCK,
        }
    elif codec.name == "zstd":
        settings = {"level": codec.level, "checksum": False}
    elif codec.name == "gzip":
        settings = {"level": codec.level}
    elif codec.name == "none":
        return [plain]
    else:
        raise unknown_codec(codec)
    return [plain, {"name": codec.name, "configuration": settings}]


def unknown_codec(codec: Codec) -> StoreError:
    """Return the error of a codec that does not exist."""
    return StoreError(
        f"codec `{codec}` is unknown",
        hint="use `blosc` (noshuffle, shuffle, bitshuffle), `zstd`, `gzip` or `none`",
    )
