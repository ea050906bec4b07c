"""The driver of GeoTIFFs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.sources import geotiff
from geobatch.sources.driver import Driver, ProbeOptions, Probes, ReaderCache
from geobatch.sources.geotiff.probes import probe_rasters


class GeoTiff(Driver):
    """Local TIFFs, whose pixels are ingested."""

    name: ClassVar[str] = "geotiff"
    libraries: ClassVar[tuple[str, ...]] = ("rasterio",)
    has_sidecars: ClassVar[bool] = True
    is_portable: ClassVar[bool] = True

    def matches(self, source: DeclaredSource) -> bool:
        """Return whether a source is one local file."""
        return not source.shards and not source.is_external

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
        """Return the state of TIFFs; see `Driver.probe`."""
        found = probe_rasters(
            sources,
            cache=options.cache,
            workers=options.workers,
            rehash=options.rehash,
            meanwhile=options.meanwhile,
        )
        return Probes(
            probes=[found.sources[source.path] for source in sources],
            hashed=found.hashed,
            by_stat=found.by_stat,
        )

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> geotiff.Reader:  # noqa: ARG002 - of the protocol
        """Return a reader of TIFFs; see `Driver.open_reader`."""
        return geotiff.Reader(tables=cache.get_table)

    def session(self) -> AbstractContextManager[None]:
        """Return GDAL's environment; see `Driver.session`."""
        return geotiff.gdal_environment()

    def stay_in_session(self) -> None:
        """Set GDAL's options until the thread ends; see `Driver.stay_in_session`."""
        geotiff.stay_in_environment()

    def stored_pixels(self, probe: Probe) -> int:
        """Return the pixels of the stored blocks: a sparse TIFF has fewer than it covers."""
        pixels = geotiff.stored_pixels(Path(probe.header.path))
        return super().stored_pixels(probe) if pixels is None else pixels
