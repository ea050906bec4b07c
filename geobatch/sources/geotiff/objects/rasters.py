"""The objects that one reader reads: each is opened once for all threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Lock

from geobatch.buckets.pool import requests_pool
from geobatch.errors import InternalError, SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.digest import Digest
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.pin import Remote
from geobatch.model.window import Window
from geobatch.sources.driver import Tabulated
from geobatch.sources.geotiff.objects.kept import KeptHeaders
from geobatch.sources.geotiff.objects.raster import ObjectRaster, extents_of
from geobatch.sources.geotiff.objects.tables import (
    filled,
    layouts_in,
    table_of,
    tabulate,
    unknown_block,
)
from geobatch.sources.naming import Named
from geobatch.sources.remote.memory import Memory

GetTable = Callable[[Digest], BlockTable | None]
PutTable = Callable[[Digest, BlockTable], None]


class ObjectRasters:
    """Objects by url and state; threads share them."""

    def __init__(
        self, *, get_table: GetTable, put_table: PutTable | None, headers: KeptHeaders | None
    ) -> None:
        """Open nothing yet.

        Args:
            get_table: Returns the block table of a source, or None.
            put_table: Receives block tables; None if they are not wanted.
            headers: Headers that this process has read.
        """
        self._get_table, self._put_table = get_table, put_table
        self._headers = KeptHeaders() if headers is None else headers
        self._memory = Memory()
        self._rasters: dict[tuple[str, Remote], ObjectRaster] = {}
        self._decoded = 0
        self._opening = Lock()

    @property
    def blocks_decoded(self) -> int:
        """Blocks that were read to be decoded."""
        return self._decoded + sum(len(one.decoded) for one in list(self._rasters.values()))

    def get(self, source: Source) -> ObjectRaster:
        """Return the object that a source is.

        Raises:
            UnnamedError: It may not be read.
        """
        if source.state is None:
            raise InternalError(f"`{source.uri}`: no state of it is known")
        with self._opening:
            key = (source.path, source.state)
            if key not in self._rasters:
                self._rasters[key] = ObjectRaster(
                    source.path,
                    remote=source.state,
                    memory=self._memory,
                    servers=source.servers,
                    parts=self._headers.get(source.path, source.digest),
                    is_digested=source.pin is None,
                )
            return self._rasters[key]

    def begin(
        self,
        source: Source,
        windows: Sequence[Window],
        bands: Sequence[int],
        *,
        mask: str | None,
        overview: int,
        is_soon: bool,
    ) -> None:
        """Start to fetch what reads of an image will need; errors are left to the reads."""

        def fetch() -> None:
            with suppress(SourceError):
                raster = self.get(source)
                tables = raster.tables(overview)
                found = {
                    extent
                    for window in windows
                    for extent in extents_of(tables, window, bands, mask=mask)
                }
                raster.begin(sorted(found))

        if is_soon:
            requests_pool().submit(fetch)
        else:
            fetch()

    def tabulate(self, source: Source, before: BlockTable | None) -> Tabulated:
        """Return the block table of an object; see `ObjectReader.tabulate`."""
        with Named(source.uri):
            return tabulate(self.get(source), before)

    def finish(self, source: Source) -> None:
        """Remember the block table of an object, as far as its blocks were read, and release it.

        Raises:
            SourceError: The object changed, or cannot be read.
        """
        with self._opening:
            found = None if source.state is None else (source.path, source.state)
            raster = None if found is None else self._rasters.pop(found, None)
            if raster is None:
                return
            self._decoded += len(raster.decoded)
        try:
            if self._put_table is not None and raster.digests:
                with Named(source.uri):
                    layouts = layouts_in(raster)
                if layouts is not None:
                    unknown = unknown_block(source.digest)
                    made = table_of(layouts, raster, unknown=unknown)
                    earlier = self._get_table(source.digest)
                    self._put_table(source.digest, filled(made, earlier, unknown=unknown))
        finally:
            raster.close()

    def cancel(self) -> None:
        """Drop what is being fetched; reads that wait for it raise `InterruptedRunError`."""
        self._memory.cancel()

    def close(self) -> None:
        """Close connections; must not run while another thread reads."""
        self._memory.cancel()
        self._decoded = self.blocks_decoded
        for raster in self._rasters.values():
            raster.close()
        self._rasters.clear()
