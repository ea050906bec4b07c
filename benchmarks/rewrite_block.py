"""Rewrites one block of the benchmark raster in place, with other pixels.

python benchmarks/rewrite_block.py RASTER ROW COL
"""

from __future__ import annotations

import sys

import rasterio
from rasterio.windows import Window


def main() -> int:
    """Invert the lowest bit of every pixel of the block at (row, col), nodata apart."""
    path, row, col = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with rasterio.open(path, "r+") as raster:
        side = raster.block_shapes[0][0]
        width = min(side, raster.width - col * side)
        height = min(side, raster.height - row * side)
        window = Window(col * side, row * side, width, height)
        pixels = raster.read(window=window)
        pixels[pixels > 1] ^= 1
        raster.write(pixels, window=window)
    return 0


if __name__ == "__main__":
    sys.exit(main())
