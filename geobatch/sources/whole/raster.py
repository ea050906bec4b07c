"""What drivers share whose sources are local files that one driver of GDAL opens."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace

from geobatch.model.digest import Digest
from geobatch.model.geobox import Crs
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import (
    crs_from_text,
    crs_to_text,
    header_from_text,
    header_to_text,
)
from geobatch.model.sources.pin import PinnedObject
from geobatch.model.sources.probe import Probe
from geobatch.model.text.suggest import suggestion
from geobatch.sources import whole
from geobatch.sources.driver import Driver, ProbeOptions, Probes, ReaderCache
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.probe_cache import crs_reader, maker
from geobatch.sources.whole.format import RasterFormat
from geobatch.sources.whole.identity import FileState, identify_files, variable_digest

if TYPE_CHECKING:
    from geobatch.sources.whole.raster_reader import RasterReader

EPOCH = 2
"""Increased whenever equal files would get other headers than before."""


class WholeRaster(RasterFormat, Driver):
    """Local files of one format; a file holds one raster, or several that have names."""

    libraries: ClassVar[tuple[str, ...]] = ("rasterio",)
    is_portable: ClassVar[bool] = True

    def matches(self, source: DeclaredSource) -> bool:
        """Return whether a source is one such file that is ingested, by its name."""
        name = (source.url or source.uri).lower()
        return name.endswith(self.endings) and not (source.shards or source.is_external)

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
        """Return the state of files; see `Driver.probe`."""
        states, read = identify_files(
            sources,
            options,
            maker=f"{self.name} {EPOCH} {maker()}",
            text_of=partial(self._text, read_crs=crs_reader(options.cache)),
        )
        paths = {source.path for source in sources}
        return Probes(
            probes=[self._probe(source, states[source]) for source in sources],
            hashed=len({source.path for source in read}),
            by_stat=len(paths) - len({source.path for source in read}),
        )

    def band_names(self, probe: Probe) -> Sequence[str]:  # noqa: ARG002 - of the protocol
        """Return none: bands are `b1`, `b2` and so on, as those of TIFFs."""
        return ()

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> RasterReader:  # noqa: ARG002
        """Return a reader; see `Driver.open_reader`."""
        return whole.RasterReader(self)

    def _text(
        self,
        source: DeclaredSource,
        digest: Digest,  # noqa: ARG002 - of what `identify_files` calls
        pinned: PinnedObject | None,
        *,
        read_crs: Callable[[str], Crs],
    ) -> str:
        """Return the headers of all rasters of a file as JSON, by name."""
        if pinned is not None:
            raise UnnamedError(
                f"a {self.word} is read from a local disk only", hint="copy it to a local disk"
            )
        headers = whole.describe_file(self, source.path, read_crs)
        return json.dumps(
            {
                name: [header_to_text(header), crs_to_text(header.crs) if header.crs else ""]
                for name, header in headers.items()
            }
        )

    def _probe(self, source: DeclaredSource, state: FileState) -> Probe:
        found = json.loads(state.cached.header)
        with Named(source.uri):
            variable = self._chosen(source, list(found))
        text, crs = found[variable]
        path = state.path(source)
        header = header_from_text(
            text, uri=source.uri, path=path, crs=crs_from_text(crs) if crs else None
        )
        digest = state.cached.digest
        if variable:
            digest = variable_digest(digest, variable)
        return Probe(
            header=replace(header, variable=variable),
            digest=digest,
            stat=state.cached.stat,
            driver=self.name,
            is_proven=False,
        )

    def _chosen(self, source: DeclaredSource, names: Sequence[str]) -> str:
        """Return which raster of a file a source is.

        Raises:
            UnnamedError: The file has not the one that is declared, none, or several.
        """
        shown = ", ".join(f"`{name}`" for name in names[:24])
        if source.variable:
            if source.variable in names:
                return source.variable
            message = f"the {self.word} has no variable `{source.variable}`; it has {shown}"
            raise UnnamedError(message, hint=suggestion(source.variable, names))
        if len(names) != 1:
            raise UnnamedError(
                f"the {self.word} has {len(names)} variables: {shown}",
                hint="declare `variable: NAME` in the tileset",
            )
        return names[0]
