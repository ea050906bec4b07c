"""The driver of TFRecord exports: shards, and the mixer that places their patches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from geobatch.errors import InternalError
from geobatch.model.assets.asset import Source
from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.model.sources.selection import SourceSelection
from geobatch.model.sources.tfrecord import Feature, Records, channels_of
from geobatch.sources import tfrecord
from geobatch.sources.driver import AnyProbe, Driver, ProbeOptions, Probes, ReaderCache
from geobatch.sources.tfrecord.block_table import make_table
from geobatch.sources.tfrecord.export import DRIVER, ExportProbe
from geobatch.sources.tfrecord.probes import probe_exports

_RECORDS_PER_BYTE = 64
"""Most records in a byte of a shard: one takes 16 bytes, of which GZIP makes 1/1032."""


class TFRecord(Driver):
    """Exports in TFRecord files."""

    name: ClassVar[str] = DRIVER
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow",)
    is_streamed: ClassVar[bool] = True
    has_late_tables: ClassVar[bool] = True
    has_features: ClassVar[bool] = True
    has_metadata: ClassVar[bool] = False

    def matches(self, source: DeclaredSource) -> bool:
        """Return whether a source is a mixer with shards."""
        return bool(source.shards)

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
        """Return the state of exports; see `Driver.probe`."""
        return probe_exports(sources, options)

    def select(
        self,
        probe: AnyProbe,
        selection: SourceSelection,
        *,
        transform: Transform | None,
        read_crs: Callable[[str], Crs],
    ) -> Probe:
        """Return an export with the features that a spec selects; see `Driver.select`."""
        if not isinstance(probe, ExportProbe):
            raise InternalError("no export was probed")
        return tfrecord.select_from_export(probe, selection, transform=transform, read_crs=read_crs)

    def with_files(self, source: Source, probe: AnyProbe, *, features: Sequence[Feature]) -> Source:
        """Return a published export with its files; see `Driver.with_files`."""
        if not isinstance(probe, ExportProbe):
            raise InternalError("no export was probed")
        # How the values are coded is not recorded, and is the same in equal shards.
        coded = tuple(
            replace(one, kind=probe.features[one.name][0]) if one.name in probe.features else one
            for one in features
        )
        return replace(
            source,
            path=probe.mixer_file.path,
            stat=probe.mixer_file.stat,
            block=probe.mixer.patch,
            driver=self.name,
            records=Records(
                shards=probe.shards,
                mixer=probe.mixer,
                features=coded,
                has_local_mixer=probe.mixer_file.pinned is None,
            ),
        )

    def band_names(self, probe: Probe) -> Sequence[str]:
        """Return the features' names; those of several values per pixel have numbers, from 1."""
        return [
            feature.name if feature.depth == 1 else f"{feature.name}_{channel + 1}"
            for feature, channel in channels_of(probe.features)
        ]

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> tfrecord.Reader:
        """Return a reader of exports; see `Driver.open_reader`."""
        return tfrecord.Reader(folder=folder, cache=cache)

    def stored_pixels(self, probe: Probe) -> int:
        """Return the pixels of as many records as the shards can hold."""
        if probe.records is None:
            return 0
        mixer, shards = probe.records.mixer, probe.records.shards
        rows, cols = mixer.patch
        most = _RECORDS_PER_BYTE * sum(shard.stat.size for shard in shards)
        return min(mixer.total, most) * rows * cols

    def make_table(self, source: Source, cache: ReaderCache) -> BlockTable | None:
        """Return the block table of an export; shards that were not read before are read."""
        return None if source.records is None else make_table(source.records, cache)
