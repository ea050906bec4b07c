"""One source file, open in one thread; and the errors of its blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import Context, copy_context
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from geobatch.errors import SourceError
from geobatch.model.assets.asset import FileStat, Source
from geobatch.model.sources.file_stat import file_stat
from geobatch.model.window import Window
from geobatch.sources import gdal
from geobatch.sources.files import changed, check_unchanged, regular_file, stat
from geobatch.sources.geotiff.decoding.blocks import Blocks
from geobatch.sources.geotiff.file_like import FileLike
from geobatch.sources.geotiff.headers.tables import Tables, read_tables
from geobatch.sources.geotiff.objects.raster import Held, ObjectRaster
from geobatch.sources.geotiff.verified import Checked, CheckedFile
from geobatch.sources.naming import LostStateError, UnnamedError


class Handle(Struct, kw_only=True):
    """One file, open in one thread."""

    open: Callable[[], Any]
    """Returns its dataset; called once, when GDAL is needed."""
    stat: FileStat | None
    tables: Tables
    file: FileIO | FileLike
    """What `blocks` reads, in most cases."""
    blocks: Blocks | None = None
    """Its blocks; None if only GDAL decodes them."""
    alpha_bits: int | None = None
    """Bits of a sample of the last band, after the first request."""
    failures: list[SourceError] = field(default_factory=list)
    """Errors that GDAL cannot report: of a server, or of compared blocks."""
    context: Context = field(default_factory=copy_context)
    """Key of a file that rasterio opened by an opener."""
    raster: ObjectRaster | None = None
    """The object that it is; None for a local file."""
    held: Held = field(default_factory=dict)
    """Blocks of the object that the current read needs."""
    opened: Any = None
    """The dataset, once it is open."""

    @property
    def dataset(self) -> Any:
        """The file as GDAL has it."""
        if self.opened is None:
            self.opened = self.run(self.open)
        return self.opened

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        encoding = self.tables.encoding
        if encoding is None:
            return (self.dataset.height, self.dataset.width)
        return (encoding.height, encoding.width)

    @property
    def dtype(self) -> str:
        """Type of its pixels; all bands of a TIFF have the same."""
        encoding = self.tables.encoding
        return self.dataset.dtypes[0] if encoding is None else encoding.dtype

    @property
    def bands(self) -> int:
        """How many bands it has."""
        encoding = self.tables.encoding
        return self.dataset.count if encoding is None else encoding.bands

    def decode(self, window: Window, bands: Sequence[int], out: npt.NDArray[Any]) -> None:
        """Decode a window of some bands (zero-based) into an array: (band, row, col)."""
        if self.blocks is None or not self.blocks.read(window, bands, out):
            indexes = [band + 1 for band in bands]
            self.run(self.dataset.read, indexes, out=out, window=in_file(window))

    def read(self, start: int, stop: int) -> bytes:
        """Return the bytes of the file from one position to another, or fewer at its end.

        Raises:
            OSError, SourceError: They cannot be read.
        """
        if isinstance(self.file, FileLike):
            return self.file.read_between(start, stop)
        return os.pread(self.file.fileno(), stop - start, start)

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call what uses GDAL."""
        with gdal.gdal_environment():
            return self.context.run(function, *args, **options)

    def close(self) -> None:
        """Close the file."""
        if self.opened is not None:
            self.run(self.opened.close)
        self.file.close()


def open_file(source: Source, known: Checked | None, *, overview: int = 0) -> Handle:
    """Return a local file in the state in which it was identified.

    Args:
        source: The file.
        known: How its blocks are compared as they are read; None if no process may be writing it.
        overview: Which reduced image, from 1; 0 for the full one.

    Raises:
        UnnamedError: It is missing, changed, or is no TIFF that can be read.
    """
    path = Path(source.path)
    expected = source.stat or stat(path)
    real = regular_file(path)
    failures: list[SourceError] = []
    try:
        with real.open("rb") as header:
            if file_stat(os.fstat(header.fileno())) != expected:
                raise changed()
            tables = read_tables(header, overview=overview)
            file = (
                FileIO(os.dup(header.fileno())) if known is None else CheckedFile(known, failures)
            )
    except gdal.FAILURES as error:
        check_unchanged(source.path, expected)
        raise _unopened(error) from error

    def opened() -> Any:
        opener = None if known is None else lambda: CheckedFile(known, failures)
        try:
            dataset = gdal.open_dataset(real, overview=overview, opener=opener)
        except gdal.FAILURES as error:
            if failures:
                raise failures[0] from None
            check_unchanged(source.path, expected)
            raise _unopened(error) from error
        return dataset

    handle = Handle(open=opened, stat=expected, tables=tables, file=file, failures=failures)
    found = handle.shape
    if found != (source.height, source.width):
        handle.close()
        raise UnnamedError(
            f"expected {source.height} x {source.width} pixels, got {found[0]} x {found[1]}"
        )
    return handle


def open_object(source: Source, raster: ObjectRaster, *, overview: int) -> Handle:
    """Return an object in the state in which it was identified.

    Args:
        source: The object.
        raster: What is known of it.
        overview: Which reduced image, from 1; 0 for the full one.

    Raises:
        UnnamedError: It changed, or is no TIFF that can be read.
    """
    failures: list[SourceError] = []
    held: Held = {}

    def opened() -> Any:
        try:
            return gdal.open_dataset(
                source.path, overview=overview, opener=lambda: raster.opened(held, failures)
            )
        except gdal.FAILURES as error:
            if failures:
                raise failures.pop(0) from None
            raise _unopened(error) from error

    handle = Handle(
        open=opened,
        stat=source.stat,
        tables=raster.tables(overview),
        file=raster.opened(held, failures),
        failures=failures,
        raster=raster,
        held=held,
    )
    if handle.shape != (source.height, source.width):
        handle.close()
        raise LostStateError(raster.generation)
    return handle


def _unopened(error: BaseException) -> UnnamedError:
    return UnnamedError(f"cannot be opened as a GeoTIFF: {gdal.reason(error)}")


def alpha_bits(handle: Handle) -> int:
    """Return how many bits a sample of the last band has."""
    encoding = handle.tables.encoding
    if encoding is not None:
        return np.dtype(encoding.dtype).itemsize * 8
    if handle.alpha_bits is None:
        dataset = handle.dataset
        tags = handle.run(dataset.tags, dataset.count, ns="IMAGE_STRUCTURE")
        handle.alpha_bits = int(tags.get("NBITS", np.dtype(dataset.dtypes[-1]).itemsize * 8))
    return handle.alpha_bits


def in_file(window: Window) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return a window as rasterio takes it: (first, stop) of rows, and of columns."""
    rows, cols = window.slices
    return (rows.start, rows.stop), (cols.start, cols.stop)


def _blocks(window: Window, shape: tuple[int, int]) -> Iterator[tuple[int, int, Window]]:
    """Yield (block row, block col, part of the window) for each block that a window touches."""
    for row, col in window.in_tiles(shape):
        rows, cols = shape
        block = Window(row=row * rows, col=col * cols, height=rows, width=cols)
        part = window.intersect(block)
        if part is not None:
            yield row, col, part


def bad_block(
    handle: Handle, bands: Sequence[int], window: Window, error: BaseException
) -> UnnamedError:
    """Return the error for the first block of a window that cannot be read."""
    for band in bands:
        for block_row, block_col, part in _blocks(window, handle.dataset.block_shapes[band]):
            try:
                handle.run(handle.dataset.read, band + 1, window=in_file(part))
            except gdal.FAILURES as found:
                return UnnamedError(
                    f"band index {band}, block (row {block_row}, col {block_col})"
                    f" cannot be read: {gdal.reason(found)}",
                    hint="the file is truncated or damaged; copy it again",
                )
    return UnnamedError(
        f"band indexes {list(bands)}, rows {window.row} to"
        f" {window.row + window.height - 1} cannot be read: {gdal.reason(error)}"
    )


def bad_mask(window: Window, error: BaseException) -> UnnamedError:
    """Return the error for a mask that cannot be read."""
    return UnnamedError(
        f"internal mask, pixels at row {window.row}, col {window.col} and on"
        f" cannot be read: {gdal.reason(error)}",
        hint="the file is truncated or damaged; copy it again",
    )
