"""Blocks of sources that are too large: GDAL always decodes a whole block."""

from __future__ import annotations

import numpy as np

from geobatch.errors import SourceError
from geobatch.model.limits import BLOCK_BYTES
from geobatch.model.sources.header import Header


def check_block(header: Header) -> None:
    """Refuse a source of blocks that take more memory than is allowed.

    Raises:
        SourceError: A block is larger than the limit.
    """
    rows, cols = header.block
    count = len(header.dtypes) if header.is_pixel_interleaved else 1
    size = rows * cols * count * np.dtype(header.dtypes[0]).itemsize
    limit = BLOCK_BYTES.value
    if size > limit:
        raise SourceError(
            f"`{header.uri}`: a block of {rows} x {cols} pixels of {count}"
            f" band{'' if count == 1 else 's'} takes {size} bytes of memory in each worker,"
            f" expected at most {limit}",
            hint="rewrite it in smaller blocks: `gdal_translate -co TILED=YES`; or,"
            f" {BLOCK_BYTES.hint(size)}",
        )
