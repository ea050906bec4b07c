"""Windows of COGs of external images: of the pinned state, or an error."""

from __future__ import annotations

import threading
import weakref
from collections.abc import MutableMapping
from contextvars import copy_context
from pathlib import Path
from typing import Any

from geobatch.errors import InternalError, SourceError
from geobatch.model.assets.asset import FileStat, Source
from geobatch.model.sources.pin import Pin
from geobatch.sources.files import check_unchanged, regular_file
from geobatch.sources.geotiff.gdal import FAILURES, gdal_environment, open_dataset, reason
from geobatch.sources.geotiff.reader import Handle, Reader
from geobatch.sources.naming import LostStateError, UnnamedError
from geobatch.sources.remote.file import RangeFile
from geobatch.sources.remote.ranges import RemoteObject

_HEADERS_KEPT = 256


class PinnedReader(Reader):
    """Reads windows of the full and the reduced images of COGs.

    A local file must have the stat that it had when its digest was found to be the pinned one, a
    remote object the version or tag that was pinned, before and after each read.
    """

    def __init__(self, *, open_files: int = 16) -> None:
        super().__init__(open_files=open_files)
        self._headers: dict[tuple[str, FileStat], bytes] = {}
        self._fetching = threading.Lock()
        # A dataset left open would search for its file in the wrong location.
        weakref.finalize(self, _close, self._handles)

    def check(self, source: Source) -> None:
        """Check a local file; the state of a remote object is pinned. See `SourceReader.check`."""
        if source.pin is None or source.pin.remote is None:
            super().check(source)

    def _open(self, source: Source, level: int) -> Handle:
        pin, expected = source.pin, source.stat
        if pin is None or expected is None:
            raise InternalError(f"`{source.uri}`: no state of it was pinned")
        overview = pin.overviews[level - 1] if level else 0
        handle = Handle(dataset=None, stat=expected, sizes=None, mask_sizes=None)
        try:
            if pin.remote is None:
                self._check_file(source, expected)
                handle.dataset = self._open_file(source, pin, overview)
            else:
                handle.context = copy_context()
                handle.dataset = self._open_object(source, pin, overview, handle)
        except FAILURES as error:
            self._confirm(source, handle)
            raise UnnamedError(f"cannot be opened as a GeoTIFF: {reason(error)}") from error
        if (handle.dataset.height, handle.dataset.width) != (source.height, source.width):
            handle.run(handle.dataset.close)
            raise LostStateError(pin.generation)
        return handle

    def _confirm(self, source: Source, handle: Handle) -> None:
        if handle.failures:
            # Once: the next read tries again.
            error = handle.failures[-1]
            handle.failures.clear()
            raise error
        self._check_file(source, handle.stat)

    def _check_file(self, source: Source, expected: FileStat) -> None:
        pin = source.pin
        if pin is None or pin.remote is not None:
            return
        try:
            check_unchanged(source.path, expected)
        except SourceError as error:
            raise LostStateError(pin.generation) from error

    def _open_file(self, source: Source, pin: Pin, overview: int) -> Any:
        try:
            real = regular_file(Path(source.path))
        except SourceError as error:
            raise LostStateError(pin.generation) from error
        return open_dataset(real, overview=overview)

    def _open_object(self, source: Source, pin: Pin, overview: int, handle: Handle) -> Any:
        remote = RemoteObject(source.path, remote=pin.remote)
        start, failures = self._header(source, pin, handle.stat), handle.failures
        return handle.run(
            open_dataset,
            source.path,
            overview=overview,
            opener=lambda: RangeFile(remote, start=start, failures=failures),
        )

    def _header(self, source: Source, pin: Pin, state: FileStat) -> bytes:
        """Return the header of an object, which is fetched once for all threads and levels."""
        with self._fetching:
            found = self._headers.get((source.path, state))
            if found is None:
                remote = RemoteObject(source.path, remote=pin.remote)
                try:
                    found = remote.fetch(0, pin.header_bytes)
                finally:
                    remote.close()
                self._headers[source.path, state] = found
                while len(self._headers) > _HEADERS_KEPT:
                    self._headers.pop(next(iter(self._headers)))
        return found


def _close(handles: MutableMapping[int, Handle]) -> None:
    with gdal_environment():
        while handles:
            handle = handles.popitem()[1]
            handle.run(handle.dataset.close)
