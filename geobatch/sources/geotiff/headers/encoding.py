"""How the blocks of an image are encoded, where libraries decode them just as GDAL does."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from geobatch.sources.geotiff.headers import tiff

FILL_ORDER, ORIENTATION, PREDICTOR, SAMPLE_FORMAT = 266, 274, 317, 339
BLOCK_BYTES = 32 << 20
"""Most bytes of a decoded block; of larger ones, GDAL decodes strips row by row."""

_COMPRESSIONS = frozenset({"NONE", "DEFLATE", "ZSTD"})
_COLOURS = frozenset({1, 2, 3})
"""Values of the Photometric tag: grey where 0 is black, RGB, palette."""
_KINDS = {1: "u", 2: "i", 3: "f"}
"""Kinds of numpy's dtypes by value of the SampleFormat tag."""
_DTYPES = frozenset({"u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"})


class Encoding(Struct, frozen=True, kw_only=True):
    """How the blocks of an image are encoded."""

    height: int
    """Rows of the image."""
    width: int
    """Columns of the image."""
    bands: int
    """Bands of the image."""
    dtype: str
    """Type of a pixel, as numpy calls it; little-endian."""
    compression: str
    """`NONE`, `DEFLATE` or `ZSTD`."""
    has_differences: bool
    """Whether each pixel is stored as its difference from the one before it in the row."""
    is_tiled: bool
    """Whether blocks are tiles, which are whole at the edges of the image, too."""


def read_encoding(
    file: BinaryIO, directory: tiff.Directory, sizes: tiff.BlockSizes
) -> Encoding | None:
    """Return how the blocks of an image are encoded; None where only GDAL decodes them.

    Args:
        file: The TIFF.
        directory: That of the image.
        sizes: Its blocks.

    Source: TIFF 6.0; its technical note 3 for the predictor.
    """

    def number(tag: int, default: int) -> int:
        return tiff.read_number(file, directory, tag, default)

    dtype = _dtype(
        tiff.read_values(file, directory, tiff.BITS),
        tiff.read_values(file, directory, SAMPLE_FORMAT),
    )
    compression = tiff.COMPRESSIONS.get(number(tiff.COMPRESSION, 1))
    predictor = number(PREDICTOR, 1)
    bands = number(tiff.BANDS, 1)
    if (
        directory.order != "<"
        or not directory.is_plain
        or tiff.SUB_DIRECTORIES in directory.fields
        or dtype is None
        or compression not in _COMPRESSIONS
        or predictor not in {1, 2}
        or number(tiff.PHOTOMETRIC, 1) not in _COLOURS
        or number(FILL_ORDER, 1) != 1
        or number(ORIENTATION, 1) != 1
        or sizes.offsets is None
    ):
        return None
    samples = bands if len(sizes.counts) == 1 else 1
    if sizes.rows * sizes.cols * samples * np.dtype(dtype).itemsize > BLOCK_BYTES:
        return None
    return Encoding(
        height=number(tiff.HEIGHT, 0),
        width=number(tiff.WIDTH, 0),
        bands=bands,
        dtype=dtype,
        compression=compression,
        has_differences=predictor == 2 and compression != "NONE",
        is_tiled=tiff.TILE_WIDTH in directory.fields,
    )


def _dtype(bits: npt.NDArray[Any], formats: npt.NDArray[Any]) -> str | None:
    """Return the type of a pixel; None where bands differ, or where it is no whole number type."""
    if not bits.size or np.any(bits != bits[0]) or (formats.size and np.any(formats != formats[0])):
        return None
    kind = _KINDS.get(int(formats[0]) if formats.size else 1, "")
    name = f"{kind}{int(bits[0]) // 8}"
    return f"<{name}" if name in _DTYPES and bits[0] % 8 == 0 else None
