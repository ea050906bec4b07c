"""Windows of COGs of external images: of the pinned state, or an error."""

from __future__ import annotations

import weakref
from collections.abc import MutableMapping

from geobatch.errors import InternalError, SourceError
from geobatch.model.assets.asset import FileStat, Source
from geobatch.sources.files import check_unchanged
from geobatch.sources.geotiff.handle import Handle, open_file
from geobatch.sources.geotiff.reader import Reader
from geobatch.sources.naming import LostStateError, UnnamedError


class PinnedReader(Reader):
    """Reads windows of the full and the reduced images of COGs.

    A local file must have the stat that it had when its digest was found to be the pinned one, a
    remote object the version or tag that was pinned, before and after each read.
    """

    def __init__(self, *, open_files: int = 16) -> None:
        super().__init__(open_files=open_files)
        # A dataset left open would search for its file in the wrong location.
        weakref.finalize(self, _close, self._handles)

    def _open(self, source: Source, level: int) -> Handle:
        pin, expected = source.pin, source.stat
        if pin is None or expected is None:
            raise InternalError(f"`{source.uri}`: no state of it was pinned")
        overview = pin.overviews[level - 1] if level else 0
        if pin.remote is not None:
            return self._open_object(source, overview)
        self._check_file(source, expected)
        try:
            handle = open_file(source, None, overview=overview)
        except UnnamedError:
            self._check_file(source, expected)
            raise
        return self._with_blocks(source, overview, handle)

    def _confirm(self, source: Source, handle: Handle) -> None:
        if handle.raster is not None:
            super()._confirm(source, handle)
        elif handle.stat is not None:
            self._check_file(source, handle.stat)

    def _check_file(self, source: Source, expected: FileStat) -> None:
        pin = source.pin
        if pin is None:
            return
        try:
            check_unchanged(source.path, expected)
        except SourceError as error:
            raise LostStateError(pin.generation) from error


def _close(handles: MutableMapping[int, Handle]) -> None:
    while handles:
        handles.popitem()[1].close()
