"""Small GeoTIFFs for tests, written without GDAL."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

PIXEL = 10.0
"""Side of a pixel in metres."""
_CORNER = (500_000.0, 5_000_000.0)
_HEADER = b"II*\0" + bytes(4)
_SHORT, _LONG, _DOUBLE, _ASCII = 3, 4, 12, 2
# UTM zone 32, whose pixels are areas.
_KEYS = struct.pack("<16H", 1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)


def write_raster(
    path: Path, pixels: npt.NDArray[np.uint8], *, col: int = 0, is_damaged: bool = False
) -> None:
    """Write a band of bytes, of which 0 is nodata, as one strip that is compressed by deflate.

    Args:
        path: The file.
        pixels: (row, column).
        col: How many pixels east of a fixed corner it begins.
        is_damaged: Whether the pixels cannot be decoded, though the header can be read.
    """
    height, width = pixels.shape
    strip = zlib.compress(pixels.tobytes())
    if is_damaged:
        strip = bytes(len(strip))
    corner = (0.0, 0.0, 0.0, _CORNER[0] + PIXEL * col, _CORNER[1], 0.0)
    # What does not fit into an entry of the directory lies before it, the strip first.
    before = _HEADER + strip + bytes(len(strip) % 2)
    scale, tie, keys = struct.pack("<3d", PIXEL, PIXEL, 0), struct.pack("<6d", *corner), _KEYS
    tags = (
        (256, _LONG, 1, width), (257, _LONG, 1, height), (258, _SHORT, 1, 8),
        (259, _SHORT, 1, 8), (262, _SHORT, 1, 1), (273, _LONG, 1, len(_HEADER)),
        (277, _SHORT, 1, 1), (278, _LONG, 1, height), (279, _LONG, 1, len(strip)),
        (33550, _DOUBLE, 3, len(before)), (33922, _DOUBLE, 6, len(before) + len(scale)),
        (34735, _SHORT, len(keys) // 2, len(before) + len(scale) + len(tie)),
        (42113, _ASCII, 2, ord("0")),
    )  # fmt: skip
    before += scale + tie + keys
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    start = struct.pack("<I", len(before))
    path.write_bytes(
        before[:4] + start + before[8:] + struct.pack("<H", len(tags)) + directory + bytes(4)
    )
