"""Pictures as PNG, written by GDAL, which is installed for sources anyway."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio import Env
from rasterio.io import MemoryFile


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return a picture as a PNG file.

    Args:
        pixels: (rows, columns, 4) red, green, blue and alpha.
    """
    height, width, count = pixels.shape
    options: dict[str, Any] = {"driver": "PNG", "dtype": "uint8", "zlevel": 6}
    # Without a folder of its own for statistics: only the picture is wanted.
    with Env(GDAL_PAM_ENABLED="NO"), MemoryFile(ext=".png") as memory:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a picture has no position on the Earth
            with memory.open(width=width, height=height, count=count, **options) as file:
                file.write(np.ascontiguousarray(np.moveaxis(pixels, 2, 0)))
        return bytes(memory.read())
