"""The driver of COGs whose pixels stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.probe import Probe
from geobatch.sources import cog
from geobatch.sources.cog.probes import DRIVER, probe_cogs
from geobatch.sources.cog.rules import CogRules
from geobatch.sources.driver import Driver, InPlace, ProbeOptions, Probes, ReaderCache


class Cog(Driver):
    """COGs of external images, on a disk or on a server."""

    name: ClassVar[str] = DRIVER
    libraries: ClassVar[tuple[str, ...]] = ("rasterio",)
    has_sidecars: ClassVar[bool] = True
    keeps_band_names: ClassVar[bool] = True
    in_place: ClassVar[InPlace | None] = CogRules()

    def matches(self, source: DeclaredSource) -> bool:
        """Return whether the pixels of a source stay where they are."""
        return source.is_external

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
        """Return the state of COGs; see `Driver.probe`."""
        return probe_cogs(sources, options)

    def band_names(self, probe: Probe) -> Sequence[str]:
        """Return the descriptions of the bands."""
        return [name or "" for name in probe.header.descriptions]

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> cog.PinnedReader:  # noqa: ARG002 - of the protocol
        """Return a reader of pinned states; see `Driver.open_reader`."""
        return cog.PinnedReader()
