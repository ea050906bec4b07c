"""Sets of tiles of one level, and how they map to the level above."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct

_PART = 1 << 20
"""Tiles, or bytes, of a large set that are unpacked at a time."""


def parents_of(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which tiles of the next level are built from the True ones of a level."""
    rows, cols = mask.shape
    padded = np.zeros((rows + rows % 2, cols + cols % 2), dtype=np.bool_)
    padded[:rows, :cols] = mask
    pairs = padded[0::2] | padded[1::2]
    parents: npt.NDArray[np.bool_] = pairs[:, 0::2] | pairs[:, 1::2]
    return parents


class TileSet(Struct, frozen=True):
    """A set of tiles of one level: a frozen bitmap, so that it compares, hashes and pickles."""

    shape: tuple[int, int]
    """(rows, columns) of the level's tile plane."""
    bits: bytes
    """Row-major bitmap, packed most significant bit first."""

    @classmethod
    def from_mask(cls, mask: npt.NDArray[np.bool_]) -> TileSet:
        """Return the set of the True elements of a (rows, columns) boolean array."""
        rows, cols = mask.shape
        return cls((rows, cols), np.packbits(mask).tobytes())

    @classmethod
    def full(cls, shape: tuple[int, int]) -> TileSet:
        """Return the set of all tiles of a plane."""
        whole, left = divmod(shape[0] * shape[1], 8)
        return cls(shape, b"\xff" * whole + bytes([0xFF00 >> left & 0xFF] if left else ()))

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> TileSet:
        """Return the empty set over a plane."""
        return cls(shape, bytes(-(-shape[0] * shape[1] // 8)))

    @classmethod
    def below(cls, shape: tuple[int, int], tiles: Iterable[tuple[int, int, int]]) -> TileSet:
        """Return the level-0 tiles of a plane from which some (level, row, column) are built."""
        mask = np.zeros(shape, dtype=np.bool_)
        for level, row, col in tiles:
            mask[row << level : (row + 1) << level, col << level : (col + 1) << level] = True
        return cls.from_mask(mask)

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """The set as a (rows, columns) boolean array."""
        count = self.shape[0] * self.shape[1]
        flat = np.unpackbits(np.frombuffer(self.bits, dtype=np.uint8), count=count)
        return flat.astype(np.bool_).reshape(self.shape)

    def rows(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Return some rows of `mask`: those from `start` to before `stop`, or to the last."""
        stop = min(stop, self.shape[0])
        first, last = start * self.shape[1], stop * self.shape[1]
        packed = np.frombuffer(self.bits, dtype=np.uint8)[first // 8 : -(-last // 8)]
        flat = np.unpackbits(packed)[first % 8 :][: last - first]
        return flat.view(np.bool_).reshape(stop - start, self.shape[1])

    @property
    def count(self) -> int:
        """How many tiles the set holds."""
        bits = np.frombuffer(self.bits, dtype=np.uint8)
        parts = range(0, len(bits), _PART)
        return sum(int(np.bitwise_count(bits[start : start + _PART]).sum()) for start in parts)

    def __bool__(self) -> bool:
        return any(self.bits)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for row, col in np.argwhere(self.mask):
            yield int(row), int(col)

    def __or__(self, other: TileSet) -> TileSet:
        if self.shape != other.shape:
            raise ValueError(f"tile planes differ: {self.shape} and {other.shape}")
        return TileSet.from_mask(self.mask | other.mask)

    def parents(self) -> TileSet:
        """Return the tiles of the next level that are built from these."""
        shape = ((self.shape[0] + 1) // 2, (self.shape[1] + 1) // 2)
        # By 16 rows, which are whole bytes of both sets; of a large plane by many times that.
        step = max(1, _PART // max(1, self.shape[1]) // 16) * 16
        if step >= self.shape[0]:
            return TileSet.from_mask(parents_of(self.mask))
        parts = (parents_of(self.rows(row, row + step)) for row in range(0, self.shape[0], step))
        return TileSet(shape, b"".join(np.packbits(part).tobytes() for part in parts))

    def children(self, shape: tuple[int, int]) -> TileSet:
        """Return the tiles of the level below, a plane of `shape`, that these are built from."""
        spread = np.repeat(np.repeat(self.mask, 2, axis=0), 2, axis=1)
        return TileSet.from_mask(spread[: shape[0], : shape[1]])
