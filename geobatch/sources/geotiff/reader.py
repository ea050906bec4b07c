"""Windows of source pixels and masks, read from many threads at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from geobatch.errors import InternalError
from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.window import Window
from geobatch.sources import gdal
from geobatch.sources.driver import Pixels, Tabulated
from geobatch.sources.files import check_unchanged
from geobatch.sources.geotiff.decoding.blocks import Blocks, KeptBlocks
from geobatch.sources.geotiff.decoding.strips import Strips
from geobatch.sources.geotiff.handle import (
    Handle,
    alpha_bits,
    bad_block,
    bad_mask,
    in_file,
    open_file,
    open_object,
)
from geobatch.sources.geotiff.headers import tiff
from geobatch.sources.geotiff.objects.kept import KeptHeaders
from geobatch.sources.geotiff.objects.raster import extents_of
from geobatch.sources.geotiff.objects.rasters import ObjectRasters
from geobatch.sources.geotiff.verified import Checked, checked
from geobatch.sources.masks.weights import weights
from geobatch.sources.naming import Named

Tables: TypeAlias = Callable[[Digest], BlockTable | None]


def _no_table(digest: Digest) -> None:
    """Return None: the block table of a source is not known."""


class Reader:
    """Reads windows of GeoTIFFs; safe to share between threads.

    GDAL's handles are not: each thread has its own per file, at most `open_files` of them, and
    closes the one that it used longest ago. `close` closes those of all threads, and must not run
    while another thread reads.
    """

    def __init__(
        self,
        *,
        open_files: int = 16,
        tables: Tables = _no_table,
        keep_table: Callable[[Digest, BlockTable], None] | None = None,
        headers: KeptHeaders | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            open_files: Files that a thread has open at most.
            tables: Returns the block table of a source by its digest, or None: with it, one that
                somebody may be writing need not be digested once more.
            keep_table: Receives the block tables of objects that were read.
            headers: Headers of objects that this process has read.
        """
        self._open_files = open_files
        self._tables = tables
        self._objects = ObjectRasters(get_table=tables, put_table=keep_table, headers=headers)
        self._checking = threading.Lock()
        self._checked: dict[tuple[str, Digest], Checked] = {}
        self._local = threading.local()
        self._lock = threading.Lock()
        self._handles: dict[int, Handle] = {}
        self._strips, self._kept = Strips(), KeptBlocks()
        self._bytes_read = 0
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def bytes_read(self) -> int:
        """Stored bytes of the blocks that the reads touched, counted once per read.

        Blocks that two reads share count twice, whether or not GDAL's cache held them.
        """
        return self._bytes_read

    def close(self) -> None:
        """Close every file, of every thread."""
        with self._lock:
            self._is_closed = True
            handles = list(self._handles.values())
            self._handles.clear()
        self._strips.clear()
        self._kept.clear()
        self._local = threading.local()
        for handle in handles:
            handle.close()
        for known in self._checked.values():
            known.close()
        self._checked.clear()
        self._objects.close()

    def read(
        self,
        source: Source,
        window: Window,
        bands: Sequence[int],
        *,
        level: int = 0,
        with_mask: bool = False,
    ) -> Pixels:
        """Read a window of some bands, and of the file's own mask; see `Reader.read` of drivers.

        The mask is the one that `source.mask` names. An alpha band of another depth than 8 bits is
        scaled; of 16 bits as GDAL does.

        Returns:
            (band, row, col) in the file's dtype; the mask is None for a file without one.

        Raises:
            SourceError: The file is missing, changed since it was identified, or a block of it
                cannot be read; names file, band and block.
        """
        _check_inside(source, window)
        is_masked = with_mask and source.mask is not None
        with Named(source.uri):
            if source.state is not None:
                self._load(source, window, bands, level, is_masked=is_masked)
            pixels = list(self._read_bands(source, window, bands, level)) if bands else []
            mask = self._read_mask(source, window, level) if is_masked else None
        return Pixels(pixels, mask)

    def _load(
        self, source: Source, window: Window, bands: Sequence[int], level: int, *, is_masked: bool
    ) -> None:
        """Hold the blocks of an object that a read needs; they are fetched together."""
        handle = self._handle(source, level)
        handle.held.clear()
        if handle.raster is not None:
            mask = source.mask if is_masked else None
            extents = extents_of(handle.tables, window, bands, mask=mask)
            handle.held.update(handle.raster.load(extents))

    def cancel(self) -> None:
        """Cancel reads that wait for a server or a bucket."""
        self._objects.cancel()

    def finish(self, source: Source) -> None:
        """Remember which blocks of an object were read; see `SourceReader.finish`."""
        self._objects.finish(source)

    @property
    def blocks_decoded(self) -> int:
        """Blocks of objects that were read to be decoded."""
        return self._objects.blocks_decoded

    def tabulate(self, source: Source, before: BlockTable | None = None) -> Tabulated:
        """Return the block table of an object; see `ObjectReader.tabulate`."""
        return self._objects.tabulate(source, before)

    def begin(
        self,
        source: Source,
        windows: Sequence[Window],
        bands: Sequence[int],
        *,
        with_mask: bool,
        level: int = 0,
        is_soon: bool = False,
    ) -> None:
        """Start to fetch what reads of an object will need; see `ObjectReader.begin`."""
        if source.state is not None and not self._is_closed:
            mask = source.mask if with_mask else None
            overview = source.pin.overviews[level - 1] if source.pin and level else 0
            self._objects.begin(
                source, windows, bands, mask=mask, overview=overview, is_soon=is_soon
            )

    def check(self, source: Source) -> None:
        """Check that a file is still as it was identified; of an object, one state is read.

        Raises:
            SourceError: It is missing, or it changed.
        """
        if source.stat is not None and source.state is None:
            with Named(source.uri):
                check_unchanged(source.path, source.stat)

    def _read_bands(
        self, source: Source, window: Window, bands: Sequence[int], level: int
    ) -> npt.NDArray[Any]:
        handle = self._handle(source, level)
        try:
            # What rasterio makes by itself is zeroed first, with Python's lock held.
            pixels: npt.NDArray[Any] = np.empty((len(bands), *window.shape), handle.dtype)
            self._decode(source, handle, window, bands, out=pixels)
        except gdal.FAILURES as error:
            self._confirm(source, handle)
            raise bad_block(handle, bands, window, error) from error
        self._confirm(source, handle)
        self._count(handle.tables.image, window, list(bands))
        return pixels

    def _decode(
        self,
        source: Source,
        handle: Handle,
        window: Window,
        bands: Sequence[int],
        *,
        out: npt.NDArray[Any],
    ) -> None:
        """Decode a window into an array; each strip of a local file once for all threads."""

        def decode(rows: Window) -> npt.NDArray[Any]:
            pixels = np.empty((len(bands), *rows.shape), out.dtype)
            handle.decode(rows, bands, pixels)
            return pixels

        if source.state is None and self._strips.read(source, window, bands, out, decode):
            return
        handle.decode(window, bands, out)

    def _read_mask(self, source: Source, window: Window, level: int) -> npt.NDArray[np.uint8]:
        handle = self._handle(source, level)
        if source.mask == "alpha":
            bits = alpha_bits(handle)
            alpha = self._read_bands(source, window, [handle.bands - 1], level)[0]
            return weights(alpha, valid_value=(1 << bits) - 1)
        try:
            mask: npt.NDArray[np.uint8] = handle.run(
                handle.dataset.read_masks, 1, window=in_file(window)
            )
        except gdal.FAILURES as error:
            self._confirm(source, handle)
            raise bad_mask(window, error) from error
        self._confirm(source, handle)
        self._count(handle.tables.mask, window, [0])
        return mask

    def _count(self, sizes: tiff.BlockSizes | None, window: Window, planes: list[int]) -> None:
        if sizes is None:
            return
        count = sizes.within(window, planes=planes)
        with self._lock:
            self._bytes_read += count

    def _handle(self, source: Source, level: int) -> Handle:
        handles: OrderedDict[tuple[str, int], Handle] | None = getattr(self._local, "handles", None)
        if handles is None:
            handles = self._local.handles = OrderedDict()
        key = (source.path, level)
        handle = handles.get(key)
        if handle is not None and (source.stat is None or handle.stat == source.stat):
            handles.move_to_end(key)
            return handle
        if handle is not None:
            self._drop(handles, key)
        handle = self._open(source, level)
        with self._lock:
            if self._is_closed:
                handle.close()
                raise InternalError("a closed Reader was asked to read")
            self._handles[id(handle)] = handle
        handles[key] = handle
        while len(handles) > self._open_files:
            self._drop(handles, next(iter(handles)))
        return handle

    def _open(self, source: Source, level: int) -> Handle:
        if level:
            raise InternalError(f"`{source.uri}`: its reduced images are not read")
        if source.state is not None:
            return self._open_object(source, 0)
        known = None if source.is_proven else self._known(source)
        return self._with_blocks(source, level, open_file(source, known))

    def _open_object(self, source: Source, overview: int) -> Handle:
        """Return an object in the state in which it was identified."""
        handle = open_object(source, self._objects.get(source), overview=overview)
        return self._with_blocks(source, overview, handle)

    def _with_blocks(self, source: Source, overview: int, handle: Handle) -> Handle:
        """Return a file whose blocks are decoded without GDAL, if it is of a usual kind."""
        image, encoding = handle.tables.image, handle.tables.encoding
        if image is not None and encoding is not None:
            name = (source.path, source.digest, overview)
            handle.blocks = Blocks(image, encoding, handle.read, name=name, kept=self._kept)
        return handle

    def _known(self, source: Source) -> Checked:
        """Return how to read a source that a process may be writing; made once for all threads."""
        with self._checking:
            key = (source.path, source.digest)
            if key not in self._checked:
                table = self._tables(source.digest)
                self._checked[key] = checked(source, table)
            return self._checked[key]

    def _confirm(self, source: Source, handle: Handle) -> None:
        """Refuse pixels of a file that changed meanwhile."""
        if handle.failures:
            # Once: of an object, the next read tries again.
            error = handle.failures[0]
            if handle.raster is not None:
                handle.failures.clear()
            raise error
        if handle.raster is None and handle.stat is not None:
            check_unchanged(source.path, handle.stat)

    def _drop(self, handles: OrderedDict[tuple[str, int], Handle], key: tuple[str, int]) -> None:
        handle = handles.pop(key)
        with self._lock:
            self._handles.pop(id(handle), None)
        handle.close()


def _check_inside(source: Source, window: Window) -> None:
    row, col, (height, width) = window.row, window.col, window.shape
    is_inside = 0 <= row < row + height <= source.height and 0 <= col < col + width <= source.width
    if not is_inside:
        raise InternalError(
            f"`{source.uri}`: the window {height} x {width} at ({row}, {col}) is not inside"
            f" {source.height} x {source.width}"
        )
