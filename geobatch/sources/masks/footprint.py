"""Footprints: polygons in pixel coordinates, as masks of windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.features import rasterize

from geobatch.sources.gdal.environment import gdal_environment


def footprint_mask(
    points: Sequence[tuple[float, float]], *, row: int, col: int, height: int, width: int
) -> npt.NDArray[np.uint8]:
    """Return which pixels of a window a footprint touches.

    Args:
        points: (x, y) of the closed ring, in pixel corners of the plane.
        row: First row of the window.
        col: First column.
        height: Rows.
        width: Columns.

    Returns:
        (row, col), 255 where the pixel's square intersects the polygon (Earth Engine's
        PixelFootprint), 0 elsewhere.
    """
    # Upside down: of an identity, rasterio warns, and other threads can make that an error.
    ring = [[float(x), -float(y)] for x, y in points]
    with gdal_environment():
        mask: npt.NDArray[np.uint8] = rasterize(
            [({"type": "Polygon", "coordinates": [ring]}, 255)],
            out_shape=(height, width),
            transform=Affine(1.0, 0.0, col, 0.0, -1.0, -row),
            all_touched=True,
            dtype="uint8",
        )
    return mask
