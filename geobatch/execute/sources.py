"""Where source pixels come from: GeoTIFFs or TFRecord shards, behind one interface."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from geobatch.model.assets.asset import Source
from geobatch.sources import geotiff
from geobatch.sources.tfrecord import reader as records
from geobatch.sources.tfrecord.stream import RecordCache


class Reader(Protocol):
    """Reads windows of sources, from any thread."""

    @property
    def bytes_read(self) -> int:
        """Stored bytes that were read."""

    def read(
        self, source: Source, *, indexes: Sequence[int], row: int, col: int, height: int, width: int
    ) -> Any:
        """Read a window of some bands; see `geobatch.sources.geotiff.Reader.read`.

        Returns:
            What gives, by its index, each band as (row, col) in its own pixel type.
        """

    def read_mask(
        self,
        source: Source,
        *,
        row: int,
        col: int,
        height: int,
        width: int,
        index: int | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Read a window of a file's own mask; see `geobatch.sources.geotiff.Reader.read_mask`."""

    def cancel(self) -> None:
        """Have reads that wait for something give up."""


class Sources:
    """Reads windows of sources of every kind."""

    def __init__(self, *, folder: Path, cache: RecordCache) -> None:
        """Open nothing yet.

        Args:
            folder: Where patches of TFRecord sources are put aside.
            cache: What is known of their shards.
        """
        self._rasters = geotiff.Reader(tables=cache.get_table)
        self._records = records.Reader(folder=folder, cache=cache)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._records.close()
        self._rasters.close()

    @property
    def bytes_read(self) -> int:
        """Stored bytes that were read."""
        return self._rasters.bytes_read + self._records.bytes_read

    def read(
        self, source: Source, *, indexes: Sequence[int], row: int, col: int, height: int, width: int
    ) -> Any:
        """Read a window of some bands, each (row, col)."""
        place = {"row": row, "col": col, "height": height, "width": width}
        if source.records is not None:
            return self._records.read(source, indexes=indexes, **place)
        return self._rasters.read(source, indexes=indexes, **place)

    def read_mask(
        self,
        source: Source,
        *,
        row: int,
        col: int,
        height: int,
        width: int,
        index: int | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Read a window of a file's own mask, which records do not have."""
        place = {"row": row, "col": col, "height": height, "width": width}
        return self._rasters.read_mask(source, index=index, **place)

    def check(self, source: Source) -> None:
        """Check that a source is still as it was identified.

        Raises:
            SourceError: It is gone, or it changed.
        """
        (self._rasters if source.records is None else self._records).check(source)

    def finish(self, source: Source) -> None:
        """Check what no window asked for, where a source must be whole, and let go of it.

        Raises:
            SourceError: It is not what it should be.
        """
        if source.records is not None:
            try:
                self._records.finish(source)
            finally:
                self._records.release(source)

    def cancel(self) -> None:
        """Have reads that wait for patches give up."""
        self._records.cancel()
