"""The driver of GeoTIFFs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.sources.driver import Driver, ProbeOptions, Probes, ReaderCache
from geobatch.sources.geotiff.probes import probe_rasters

if TYPE_CHECKING:
    from geobatch.sources.geotiff.reader import Reader


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

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> Reader:  # noqa: ARG002 - of the protocol
        """Return a reader of TIFFs; see `Driver.open_reader`."""
        from geobatch.sources.geotiff.reader import Reader  # noqa: PLC0415 - imports rasterio

        return Reader(tables=cache.get_table)

    def session(self) -> AbstractContextManager[None]:
        """Return GDAL's environment; see `Driver.session`."""
        from geobatch.sources.geotiff.gdal import gdal_environment  # noqa: PLC0415 - imports rasterio

        return gdal_environment()

    def stay_in_session(self) -> None:
        """Set GDAL's options until the thread ends; see `Driver.stay_in_session`."""
        from geobatch.sources.geotiff.gdal import stay_in_environment  # noqa: PLC0415 - imports rasterio

        stay_in_environment()

    def stored_pixels(self, probe: Probe) -> int:
        """Return the pixels of the stored blocks: a sparse TIFF has fewer than it covers."""
        from geobatch.sources.geotiff.headers.tiff import stored_pixels  # noqa: PLC0415 - rare

        pixels = stored_pixels(Path(probe.header.path))
        return super().stored_pixels(probe) if pixels is None else pixels
