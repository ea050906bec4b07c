"""Windows of sources of every kind, behind one interface."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.window import Window
from geobatch.sources.driver import (
    ObjectReader,
    Pixels,
    ReaderCache,
    SourceReader,
    StreamedReader,
    Tabulated,
)
from geobatch.sources.registry import driver_named


class Sources:
    """Reads windows of sources, each by the reader of its driver; threads may share it."""

    def __init__(self, *, folder: Path, cache: ReaderCache) -> None:
        """Open nothing yet.

        Args:
            folder: Folder for temporary files.
            cache: What was cached of the sources.
        """
        self._folder, self._cache = folder, cache
        self._readers: dict[str, SourceReader] = {}
        self._lock = threading.Lock()
        self._is_cancelled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for reader in self._readers.values():
            reader.close()

    @property
    def bytes_read(self) -> int:
        """Stored bytes that were read."""
        return sum(reader.bytes_read for reader in list(self._readers.values()))

    def read(
        self,
        source: Source,
        window: Window,
        bands: Sequence[int],
        *,
        level: int = 0,
        with_mask: bool = False,
    ) -> Pixels:
        """Read a window of some bands; see `Reader.read`."""
        return self._reader(source).read(source, window, bands, level=level, with_mask=with_mask)

    def check(self, source: Source) -> None:
        """Check that a source is still as it was identified.

        Raises:
            SourceError: It is missing, or it changed.
        """
        self._reader(source).check(source)

    def records(self, source: Source) -> dict[Digest, bytes]:
        """Return what others must have cached to read parts; see `StreamedReader.records`."""
        reader = self._streamed(source)
        return {} if reader is None else reader.records(source)

    def confirm(self, source: Source) -> None:
        """Wait until it is sure that what was read is right; see `StreamedReader.confirm`."""
        reader = self._streamed(source)
        if reader is not None:
            reader.confirm(source)

    def finish(self, source: Source) -> None:
        """Check what no window needed, if a source must be whole, and release it.

        Raises:
            SourceError: It is not what it should be.
        """
        self._reader(source).finish(source)

    @property
    def blocks_decoded(self) -> int:
        """Blocks of objects that were read to be decoded."""
        readers = list(self._readers.values())
        return sum(one.blocks_decoded for one in readers if isinstance(one, ObjectReader))

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
        reader = self._reader(source)
        if isinstance(reader, ObjectReader):
            reader.begin(source, windows, bands, with_mask=with_mask, level=level, is_soon=is_soon)

    def tabulate(self, source: Source, before: BlockTable | None = None) -> Tabulated:
        """Return the block table of an object; see `ObjectReader.tabulate`."""
        reader = self._reader(source)
        return (
            reader.tabulate(source, before) if isinstance(reader, ObjectReader) else Tabulated(None)
        )

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Cancel reads that wait; they raise `InterruptedRunError`."""
        with self._lock:
            self._is_cancelled = True
            readers = list(self._readers.values())
        for reader in readers:
            reader.cancel()

    def _reader(self, source: Source) -> SourceReader:
        found = self._readers.get(source.driver)
        return self._opened(source.driver) if found is None else found

    def _streamed(self, source: Source) -> StreamedReader | None:
        if not driver_named(source.driver).is_streamed:
            return None
        return cast("StreamedReader", self._reader(source))

    def _opened(self, name: str) -> SourceReader:
        with self._lock:
            if name not in self._readers:
                driver = driver_named(name)
                made = driver.open_reader(folder=self._folder, cache=self._cache)
                if self._is_cancelled:
                    made.cancel()
                self._readers[name] = made
            return self._readers[name]
