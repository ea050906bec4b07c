"""A driver of `.npy` rasters: (row, col) or (band, row, col)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from geobatch.errors import InterruptedRunError, SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.header import header_of_pixels
from geobatch.model.sources.probe import Probe
from geobatch.model.window import Window
from geobatch.sources.driver import Driver, Pixels, ProbeOptions, Probes, ReaderCache
from geobatch.sources.files import check_unchanged, identify_file
from geobatch.sources.naming import Named


class Npy(Driver):
    """Arrays that numpy saved; a spec gives their CRS and transform."""

    name: ClassVar[str] = "npy"
    libraries: ClassVar[tuple[str, ...]] = ("numpy",)

    def matches(self, source: DeclaredSource) -> bool:
        """Return whether a source is one local `.npy` file."""
        return source.path.suffix == ".npy" and not source.is_external

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> Probes:
        """Digest each file, and read its shape."""
        return Probes(probes=[_probe(one) for one in sources], hashed=len(sources), by_stat=0)

    def open_reader(self, *, folder: Path, cache: ReaderCache) -> NpyReader:
        """Return a reader."""
        return NpyReader()


class NpyReader:
    """Reads windows of arrays."""

    def __init__(self) -> None:
        self.bytes_read = 0
        self.is_cancelled = False

    def read(
        self,
        source: Source,
        window: Window,
        bands: Sequence[int],
        *,
        level: int = 0,
        with_mask: bool = False,
    ) -> Pixels:
        """Read a window of some bands; an array has no mask."""
        if self.is_cancelled:
            raise InterruptedRunError("cancelled")
        self.check(source)
        pixels = _bands(source.path)[(list(bands), *window.slices)]
        self.check(source)
        self.bytes_read += pixels.nbytes
        return Pixels(list(pixels))

    def check(self, source: Source) -> None:
        """Check that the file is unchanged."""
        assert source.stat is not None
        with Named(source.uri):
            check_unchanged(source.path, source.stat)

    def finish(self, source: Source) -> None:
        """Check nothing more."""

    def cancel(self) -> None:
        """Cancel all reads that follow."""
        self.is_cancelled = True

    def close(self) -> None:
        """Close nothing: no file stays open."""


def _bands(path: str) -> npt.NDArray[Any]:
    pixels: npt.NDArray[Any] = np.load(path, mmap_mode="r")
    return pixels if pixels.ndim == 3 else pixels[np.newaxis]


def _probe(source: DeclaredSource) -> Probe:
    with Named(source.uri):
        digest, before = identify_file(source.path)
    try:
        count, rows, cols = _bands(str(source.path)).shape
        dtype = str(_bands(str(source.path)).dtype)
    except ValueError as error:
        raise SourceError(f"`{source.uri}`: cannot be read as `.npy`: {error}") from error
    with Named(source.uri):
        check_unchanged(str(source.path), before)
    header = header_of_pixels(
        uri=source.uri,
        path=str(source.path),
        size=(rows, cols),
        dtypes=(dtype,) * count,
        block=(1, cols),
    )
    return Probe(header=header, digest=digest, stat=before, driver=Npy.name)
