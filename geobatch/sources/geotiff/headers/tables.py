"""Where the blocks of an image and of its mask are in a TIFF, and how they are encoded."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.headers.encoding import Encoding, read_encoding


class Tables(NamedTuple):
    """The blocks of an image."""

    image: tiff.BlockSizes | None
    """Where they are; None where the file does not say."""
    mask: tiff.BlockSizes | None
    """Where those of the internal mask are; None without one, or where the file does not say."""
    encoding: Encoding | None
    """How they are encoded; None where only GDAL decodes them."""


def read_tables(file: BinaryIO, *, overview: int = 0) -> Tables:
    """Return the blocks of an image of a TIFF, and those of its mask.

    Args:
        file: The TIFF.
        overview: Which reduced image, from 1, in the order of the file; 0 for the full image.

    Raises:
        ValueError: The file is not a TIFF, is damaged, or has no such image.
    """
    first, *others = tiff.read_directories(file)
    kinds = [(one, tiff.read_number(file, one, tiff.SUBFILE_TYPE, 0)) for one in others]
    reduced = [one for one, kind in kinds if kind & tiff.REDUCED and not kind & tiff.MASK]
    if overview > len(reduced):
        raise ValueError(f"it has {len(reduced)} reduced images, expected {overview}")
    image = reduced[overview - 1] if overview else first
    size = _size(file, image)
    masks = (one for one, kind in kinds if kind & tiff.MASK and _size(file, one) == size)
    mask = next(masks, None)
    blocks = tiff.read_block_sizes(file, image)
    return Tables(
        image=blocks,
        mask=None if mask is None else tiff.read_block_sizes(file, mask),
        encoding=None if blocks is None else read_encoding(file, image, blocks),
    )


def _size(file: BinaryIO, directory: tiff.Directory) -> tuple[int, int]:
    return (
        tiff.read_number(file, directory, tiff.HEIGHT, 0),
        tiff.read_number(file, directory, tiff.WIDTH, 0),
    )
