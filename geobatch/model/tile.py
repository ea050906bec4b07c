"""A tile's key, its position in a pyramid, and what the store has of it."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct

from geobatch.model.published import ArrayKey


class TileKey(NamedTuple):
    """One tile of an asset."""

    array: ArrayKey
    """Its array."""
    row: int
    """Tile row."""
    col: int
    """Tile column."""

    def __str__(self) -> str:
        key = self.array
        return f"level {key.level}, {key.words}, tile {self.row}/{self.col}"


class TilePosition(Struct, frozen=True, kw_only=True):
    """Where a tile lies in a pyramid, whatever its band."""

    level: int
    """Level."""
    row: int
    """Tile row."""
    col: int
    """Tile column."""

    def __str__(self) -> str:
        return f"{self.level}/{self.row}/{self.col}"


class StoredTile(NamedTuple):
    """A tile that is stored: the fields of `TILE_ENTRY`, as plain values."""

    row: int
    """Tile row."""
    col: int
    """Tile column."""
    content: bytes
    """Digest of its pixels."""
    stored: bytes
    """Digest of its object."""
    size: int
    """Length of its object in bytes."""
