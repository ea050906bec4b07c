"""Codecs: how pixels become bytes."""

from __future__ import annotations

from msgspec import Struct


class Codec(Struct, frozen=True, kw_only=True):
    """How the pixels of a tile become the bytes of an object."""

    name: str = "blosc"
    """`blosc`, `zstd`, `gzip` or `none`."""
    level: int = 1
    """Compression level of the codec."""
    compressor: str = "zstd"
    """Inner compressor of blosc; empty for the others."""
    shuffle: str = "bitshuffle"
    """Blosc's shuffle: `noshuffle`, `shuffle` or `bitshuffle`; empty for the others."""
    chunk: int = 0
    """Side of the chunks that are encoded one by one in a tile that is a shard; 0 in one that is
    none."""
