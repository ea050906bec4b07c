"""Blocks of sources that are too large: GDAL always decodes a whole block."""

from __future__ import annotations

import os

import numpy as np

from geobatch.errors import SourceError
from geobatch.model.sources.header import Header

LIMIT = "GEOBATCH_MAX_BLOCK_BYTES"
"""Variable of the environment that raises the limit."""
MAX_BLOCK_BYTES = 1 << 30
"""Most bytes of pixels in a block; each worker may hold one."""


def check_block(header: Header) -> None:
    """Refuse a source of blocks that take more memory than is allowed.

    Raises:
        SourceError: A block is larger than the limit, or the limit is no number.
    """
    rows, cols = header.block
    count = len(header.dtypes) if header.is_pixel_interleaved else 1
    size = rows * cols * count * np.dtype(header.dtypes[0]).itemsize
    if size <= MAX_BLOCK_BYTES:
        return
    text = os.environ.get(LIMIT, "")
    if text and not text.isdecimal():
        raise SourceError(f"`{LIMIT}` is `{text[:40]}`, expected a number of bytes")
    limit = max(int(text[:20] or 0), MAX_BLOCK_BYTES)
    if size > limit:
        raise SourceError(
            f"`{header.uri}`: a block of {rows} x {cols} pixels of {count}"
            f" band{'' if count == 1 else 's'} takes {size} bytes of memory in each worker,"
            f" expected at most {limit}",
            hint="rewrite it in smaller blocks: `gdal_translate -co TILED=YES`; or allow more:"
            f" `{LIMIT}={size}`",
        )
