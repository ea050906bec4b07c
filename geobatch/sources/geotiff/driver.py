"""The driver of GeoTIFFs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from geobatch.model.assets.asset import Source
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.sources import gdal, geotiff
from geobatch.sources.driver import Driver, ProbeOptions, Probes, ReaderCache
from geobatch.sources.geotiff.objects.kept import KeptHeaders
from geobatch.sources.geotiff.probes import probe_rasters


class GeoTiff(Driver):
    """TIFFs whose pixels are ingested: files, and objects on servers and in buckets."""

    name: ClassVar[str] = "geotiff"
    libraries: ClassVar[tuple[str, ...]] = ("rasterio",)
    has_sidecars: ClassVar[bool] = True
    is_portable: ClassVar[bool] = True
    has_late_tables: ClassVar[bool] = True

    def __init__(self) -> None:
        """Keep no header yet."""
        self._headers = KeptHeaders()

    def matches(self, source: DeclaredSource) -> bool:
        """Return whether a source is one file or object that is ingested."""
        return not source.shards and not source.is_external

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
        """Return the state of TIFFs; see `Driver.probe`."""
        found = probe_rasters(
            [source for source in sources if not source.url],
            cache=options.cache,
            workers=options.workers,
            rehash=options.rehash,
            meanwhile=options.meanwhile,
        )
        there = [source for source in sources if source.url]
        if not there:
            objects, read, unchanged = dict[str, Probe](), 0, 0
        else:
            probes = geotiff.probe_objects(there, options, self._headers)
            objects, read = dict(probes.sources), probes.read
            unchanged = len(objects) - read
        return Probes(
            probes=[
                replace(objects[one.url], header=replace(objects[one.url].header, uri=one.uri))
                if one.url
                else found.sources[one.path]
                for one in sources
            ],
            hashed=found.hashed + read,
            by_stat=found.by_stat + unchanged,
        )

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> geotiff.Reader:  # noqa: ARG002 - of the protocol
        """Return a reader of TIFFs; see `Driver.open_reader`."""
        return geotiff.Reader(
            tables=cache.get_table, keep_table=cache.put_table, headers=self._headers
        )

    def make_table(self, source: Source, cache: ReaderCache) -> BlockTable | None:  # noqa: ARG002
        """Return the block table of an object, whose blocks are all read; None of a file."""
        if source.remote is None:
            return None
        with geotiff.Reader(headers=self._headers) as reader:
            return reader.tabulate(source).table

    def session(self) -> AbstractContextManager[None]:
        """Return what keeps GDAL's options from its first use on; see `Driver.session`."""
        return gdal.gdal_session()

    def stay_in_session(self) -> None:
        """Set GDAL's options until the thread ends; see `Driver.stay_in_session`."""
        gdal.stay_in_environment()

    def stored_pixels(self, probe: Probe) -> int:
        """Return the pixels of the stored blocks: a sparse TIFF has fewer than it covers."""
        if probe.remote is None:
            pixels = geotiff.stored_pixels(Path(probe.header.path))
        else:
            pixels = geotiff.stored_pixels_of_object(probe, self._headers)
        return super().stored_pixels(probe) if pixels is None else pixels
