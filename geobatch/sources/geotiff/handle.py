"""One source file, open in one thread; and the errors of its blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import Context
from typing import Any

import numpy as np
from msgspec import Struct, field
from rasterio.windows import Window as _RasterioWindow

from geobatch.errors import SourceError
from geobatch.model.assets.asset import FileStat
from geobatch.model.window import Window
from geobatch.sources.gdal.environment import FAILURES, reason
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.objects.raster import Held, ObjectRaster
from geobatch.sources.naming import UnnamedError


class Handle(Struct, kw_only=True):
    """One file, open in one thread."""

    dataset: Any
    stat: FileStat | None
    sizes: tiff.BlockSizes | None
    mask_sizes: tiff.BlockSizes | None
    alpha_bits: int | None = None
    """Bits of a sample of the last band, after the first request."""
    failures: list[SourceError] = field(default_factory=list)
    """Errors that GDAL cannot report: of a server, or of compared blocks."""
    context: Context | None = None
    """Key of a file that rasterio opened by an opener; None for a local file."""
    raster: ObjectRaster | None = None
    """The object that it is; None for a local file."""
    held: Held = field(default_factory=dict)
    """Blocks of the object that the current read needs."""

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call what uses the dataset."""
        if self.context is None:
            return function(*args, **options)
        return self.context.run(function, *args, **options)


def alpha_bits(handle: Handle) -> int:
    """Return how many bits a sample of the last band has."""
    if handle.alpha_bits is None:
        dataset = handle.dataset
        tags = handle.run(dataset.tags, dataset.count, ns="IMAGE_STRUCTURE")
        handle.alpha_bits = int(tags.get("NBITS", np.dtype(dataset.dtypes[-1]).itemsize * 8))
    return handle.alpha_bits


def in_file(window: Window) -> _RasterioWindow:
    """Return a window as rasterio takes it."""
    return _RasterioWindow(window.col, window.row, window.width, window.height)


def _blocks(window: Window, shape: tuple[int, int]) -> Iterator[tuple[int, int, Window]]:
    """Yield (block row, block col, part of the window) for each block that a window touches."""
    for row, col in window.in_tiles(shape):
        rows, cols = shape
        block = Window(row=row * rows, col=col * cols, height=rows, width=cols)
        part = window.intersect(block)
        if part is not None:
            yield row, col, part


def bad_block(
    handle: Handle, bands: list[int], window: Window, error: BaseException
) -> UnnamedError:
    """Return the error for the first block of a window that cannot be read."""
    for band in bands:
        for block_row, block_col, part in _blocks(window, handle.dataset.block_shapes[band - 1]):
            try:
                handle.run(handle.dataset.read, band, window=in_file(part))
            except FAILURES as found:
                return UnnamedError(
                    f"band index {band - 1}, block (row {block_row}, col {block_col})"
                    f" cannot be read: {reason(found)}",
                    hint="the file is truncated or damaged; copy it again",
                )
    return UnnamedError(
        f"band indexes {[band - 1 for band in bands]}, rows {window.row} to"
        f" {window.row + window.height - 1} cannot be read: {reason(error)}"
    )


def bad_mask(window: Window, error: BaseException) -> UnnamedError:
    """Return the error for a mask that cannot be read."""
    return UnnamedError(
        f"internal mask, pixels at row {window.row}, col {window.col} and on"
        f" cannot be read: {reason(error)}",
        hint="the file is truncated or damaged; copy it again",
    )
