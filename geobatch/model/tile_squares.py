"""Sets of tiles of very large planes: by squares, of which equal ones are kept once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geobatch.model.tiles import TileSet, parents_of

SIDE = 64
"""Tiles on a side of a square."""

_NONE = bytes(SIDE * SIDE // 8)


class TileSquares:
    """A set of tiles of one plane; it is read as a (rows, columns) boolean array is, by slices.

    A set of all tiles, or of few, takes four bytes per square, and no set takes much more than one
    bit per tile.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        """Hold no tile.

        Args:
            shape: (rows, columns) of the plane.
        """
        self.shape = shape
        """(rows, columns) of the plane."""
        self._numbers = np.zeros([-(-size // SIDE) for size in shape], dtype=np.uint32)
        """Which bitmap each square has."""
        self._bitmaps = [_NONE]
        self._known = {_NONE: 0}

    @classmethod
    def of(cls, tiles: TileSet) -> TileSquares:
        """Return a set that was packed row by row."""
        made = cls(tiles.shape)
        for row in range(len(made._numbers)):
            made._set_rows(row, tiles.rows(row * SIDE, (row + 1) * SIDE))
        return made

    def __getitem__(self, area: tuple[slice, slice]) -> npt.NDArray[np.bool_]:
        """Return the boolean array of a part of the plane; the slices have no step."""
        (top, bottom, _), (left, right, _) = (
            one.indices(size) for one, size in zip(area, self.shape, strict=True)
        )
        first = (top // SIDE, left // SIDE)
        numbers = self._numbers[first[0] : -(-bottom // SIDE), first[1] : -(-right // SIDE)]
        found, at = np.unique(numbers, return_inverse=True)
        squares = self._unpacked([self._bitmaps[one] for one in found.tolist()])
        whole = squares[at.reshape(numbers.shape)].transpose(0, 2, 1, 3)
        joined = whole.reshape(numbers.shape[0] * SIDE, numbers.shape[1] * SIDE)
        row, col = top - first[0] * SIDE, left - first[1] * SIDE
        return joined[row : row + max(0, bottom - top), col : col + max(0, right - left)]

    def occupied(self) -> npt.NDArray[np.intp]:
        """Return the (row, column) of each square that holds a tile, in row-major order."""
        return np.argwhere(self._numbers)

    def parents(self) -> TileSquares:
        """Return the tiles of the next level that are built from these."""
        made = TileSquares(((self.shape[0] + 1) // 2, (self.shape[1] + 1) // 2))
        rows, cols = made._numbers.shape
        padded = np.zeros((2 * rows, 2 * cols), dtype=np.uint32)
        padded[: self._numbers.shape[0], : self._numbers.shape[1]] = self._numbers
        fours = padded.reshape(rows, 2, cols, 2).transpose(0, 2, 1, 3).reshape(-1, 4)
        combinations, at = np.unique(fours, axis=0, return_inverse=True)
        numbers = np.empty(len(combinations), dtype=np.uint32)
        for number, four in enumerate(combinations.tolist()):
            squares = self._unpacked([self._bitmaps[one] for one in four])
            joined = squares.reshape(2, 2, SIDE, SIDE).transpose(0, 2, 1, 3)
            above = parents_of(joined.reshape(2 * SIDE, 2 * SIDE))
            numbers[number] = made._number(np.packbits(above).tobytes())
        made._numbers[:] = numbers[at.reshape(-1)].reshape(rows, cols)
        return made

    def intersect(self, other: npt.NDArray[np.bool_] | TileSquares) -> TileSquares:
        """Return the tiles that are also in another set over the plane."""
        made = TileSquares(self.shape)
        for row in range(len(made._numbers)):
            area = (slice(row * SIDE, (row + 1) * SIDE), slice(None))
            made._set_rows(row, self[area] & other[area])
        return made

    @property
    def count(self) -> int:
        """How many tiles the set holds."""
        found, times = np.unique(self._numbers, return_counts=True)
        return sum(
            int.from_bytes(self._bitmaps[one]).bit_count() * many
            for one, many in zip(found.tolist(), times.tolist(), strict=True)
        )

    def _set_rows(self, row: int, tiles: npt.NDArray[np.bool_]) -> None:
        """Take in the tiles of one row of squares."""
        cols = self._numbers.shape[1]
        padded = np.zeros((SIDE, cols * SIDE), dtype=np.bool_)
        padded[: tiles.shape[0], : tiles.shape[1]] = tiles
        packed = np.packbits(padded, axis=1).reshape(SIDE, cols, SIDE // 8).transpose(1, 0, 2)
        data = packed.tobytes()
        for col in range(cols):
            bitmap = data[col * len(_NONE) : (col + 1) * len(_NONE)]
            self._numbers[row, col] = self._number(bitmap)

    def _number(self, bitmap: bytes) -> int:
        number = self._known.setdefault(bitmap, len(self._bitmaps))
        if number == len(self._bitmaps):
            self._bitmaps.append(bitmap)
        return number

    @staticmethod
    def _unpacked(bitmaps: list[bytes]) -> npt.NDArray[np.bool_]:
        """Return some squares: (n, side, side)."""
        flat = np.unpackbits(np.frombuffer(b"".join(bitmaps), dtype=np.uint8))
        return flat.view(np.bool_).reshape(-1, SIDE, SIDE)
