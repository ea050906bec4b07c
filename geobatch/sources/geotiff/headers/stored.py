"""How many pixels a TIFF stores: sparse files store fewer than they have."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from geobatch.sources.geotiff.headers.tiff import read_block_sizes, read_directories


def stored_pixels(path: Path) -> int | None:
    """Return `stored_pixels_of` a file; None if it cannot be read."""
    try:
        with path.open("rb") as file:
            return stored_pixels_of(file)
    except (OSError, ValueError):
        return None


def stored_pixels_of(file: BinaryIO) -> int | None:
    """Return how many pixels the distinct stored blocks of a TIFF hold; None if unknown.

    A sparse file stores no bytes for the others.

    Raises:
        ValueError: The file is not a TIFF.
    """
    sizes = read_block_sizes(file, read_directories(file)[0])
    if sizes is None:
        return None
    is_stored = (sizes.counts > 0).any(axis=0)
    # Blocks may share their bytes: a megabyte could otherwise count as a million blocks.
    distinct = int(is_stored.sum()) if sizes.offsets is None else np.unique(sizes.offsets).size
    return min(int(is_stored.sum()), distinct) * sizes.rows * sizes.cols
