"""Windows of rasters in files that all of their bytes identify, read from many threads at once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window as _RasterioWindow

from geobatch.errors import InternalError, InterruptedRunError
from geobatch.model.assets.asset import Source
from geobatch.model.window import Window
from geobatch.sources.driver import Pixels
from geobatch.sources.files import changed, check_unchanged, identify_file
from geobatch.sources.gdal.environment import FAILURES, gdal_environment, reason
from geobatch.sources.masks.weights import weights
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.whole.dataset import open_raster
from geobatch.sources.whole.format import RasterFormat
from geobatch.sources.whole.identity import variable_digest

_OPEN = 8
"""Rasters that a thread has open at most."""
_Handles: TypeAlias = "OrderedDict[tuple[str, str], Any]"


class RasterReader:
    """Reads windows of the files of one driver; each thread has its own handles."""

    def __init__(self, driver: RasterFormat) -> None:
        """Open nothing yet."""
        self._driver = driver
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: dict[int, Any] = {}
        self._used: set[tuple[str, str]] = set()
        self._is_cancelled = False
        self.bytes_read = 0
        """Bytes of the pixels that were read."""

    def read(
        self,
        source: Source,
        window: Window,
        bands: Sequence[int],
        *,
        level: int = 0,
        with_mask: bool = False,
    ) -> Pixels:
        """Read a window of some bands, and of the alpha band; see `Reader.read` of drivers."""
        if level:
            raise InternalError(f"`{source.uri}`: its reduced images are not read")
        if self._is_cancelled:
            raise InterruptedRunError("reading was cancelled")
        with Named(source.uri), gdal_environment():
            self._check(source)
            dataset = self._dataset(source)
            pixels = list(self._read(dataset, bands, window)) if bands else []
            mask = None
            if with_mask and source.mask is not None:
                bits = dataset.tags(dataset.count, ns="IMAGE_STRUCTURE").get("NBITS")
                highest = (1 << int(bits or np.dtype(dataset.dtypes[-1]).itemsize * 8)) - 1
                alpha = self._read(dataset, [dataset.count - 1], window)[0]
                mask = weights(alpha, valid_value=highest)
            self._check(source)
        return Pixels(pixels, mask)

    def _read(self, dataset: Any, bands: Sequence[int], window: Window) -> npt.NDArray[Any]:
        pixels: npt.NDArray[Any] = np.empty((len(bands), *window.shape), dataset.dtypes[0])
        inside = _RasterioWindow(window.col, window.row, window.width, window.height)
        try:
            dataset.read([band + 1 for band in bands], out=pixels, window=inside)
        except FAILURES as error:
            raise UnnamedError(
                f"band indexes {list(bands)}, rows {window.row} to"
                f" {window.row + window.height - 1} cannot be read: {reason(error)}",
                hint="the file is truncated or damaged; copy it again",
            ) from error
        with self._lock:
            self.bytes_read += pixels.nbytes
        return pixels

    def _dataset(self, source: Source) -> Any:
        handles: _Handles | None = getattr(self._local, "handles", None)
        if handles is None:
            handles = self._local.handles = OrderedDict()
        key = (source.path, source.variable)
        if key not in handles:
            try:
                dataset = open_raster(self._driver, source.path, source.variable)
            except FAILURES as error:
                self._check(source)
                message = f"cannot be read as a {self._driver.word}: {reason(error)}"
                raise UnnamedError(message) from error
            if (dataset.height, dataset.width) != (source.height, source.width):
                dataset.close()
                raise changed()
            with self._lock:
                self._open[id(dataset)] = dataset
                self._used.add(key)
            handles[key] = dataset
        handles.move_to_end(key)
        while len(handles) > _OPEN:
            _, oldest = handles.popitem(last=False)
            with self._lock:
                del self._open[id(oldest)]
            oldest.close()
        return handles[key]

    @staticmethod
    def _check(source: Source) -> None:
        if source.stat is not None:
            check_unchanged(source.path, source.stat)

    def check(self, source: Source) -> None:
        """Check that the file is unchanged; see `SourceReader.check`."""
        with Named(source.uri):
            self._check(source)

    def finish(self, source: Source) -> None:
        """Check that the pixels that were read are of the bytes that were digested.

        A stat may not tell of every writer, so the whole file is digested again.
        """
        with self._lock:
            if (key := (source.path, source.variable)) not in self._used:
                return
            self._used.discard(key)
        with Named(source.uri):
            digest, _ = identify_file(Path(source.path))
            if source.variable:
                digest = variable_digest(digest, source.variable)
            if digest != source.digest:
                raise changed()

    def cancel(self) -> None:
        """Refuse all reads that follow."""
        self._is_cancelled = True

    def close(self) -> None:
        """Close all files, of every thread."""
        with self._lock, gdal_environment():
            for dataset in self._open.values():
                dataset.close()
            self._open.clear()
        self._local = threading.local()
