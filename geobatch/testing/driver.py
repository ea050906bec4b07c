"""The contract of raster drivers: subclass it in a test, with fixtures `driver` and `sample`."""
# ruff: noqa: S101 -- a contract is made of assertions

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Source
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.file_stat import MARGIN_NS
from geobatch.model.sources.probe import Probe
from geobatch.model.window import Window
from geobatch.sources.driver import Driver, ProbeOptions, SourceReader
from geobatch.sources.registry import driver_of
from geobatch.store.caches.cache import SourceCache


class Sample(NamedTuple):
    """A file, and what its driver must find."""

    path: Path
    """The file."""
    pixels: npt.NDArray[Any]
    """(band, row, col), as another library reads them."""
    variable: str = ""
    """Name of the raster within the file."""


class DriverContract:
    """What every driver of local files does."""

    @pytest.fixture
    def probe(self, driver: Driver, sample: Sample) -> Probe:
        """Return the state of the sample."""
        return _probe(driver, _declared(sample))

    @pytest.fixture
    def source(self, driver: Driver, sample: Sample, probe: Probe) -> Source:
        """Return the sample as a source."""
        return _source(driver, sample, probe)

    @pytest.fixture
    def reader(self, driver: Driver, tmp_path: Path) -> SourceReader:
        """Return a reader of the driver."""
        return driver.open_reader(folder=tmp_path / "work", cache=SourceCache.memory())

    def test_the_driver_is_chosen(self, driver: Driver, sample: Sample) -> None:
        """It matches its own files, and none that stay where they are."""
        assert driver_of(_declared(sample)).name == driver.name
        assert not driver.matches(_declared(sample, is_external=True))

    def test_the_header_is_that_of_the_pixels(self, probe: Probe, sample: Sample) -> None:
        """Size, types and the name of the driver are right; the path is absolute."""
        header = probe.header
        assert (header.count, header.height, header.width) == sample.pixels.shape
        assert {np.dtype(dtype) for dtype in header.dtypes} == {sample.pixels.dtype}
        assert header.path == os.path.realpath(sample.path)
        assert header.block > (0, 0)

    def test_equal_bytes_are_equal(self, driver: Driver, sample: Sample, probe: Probe) -> None:
        """The identity is of the content: not of the time, the name or the folder."""
        os.utime(sample.path, ns=(1, 1))
        assert _probe(driver, _declared(sample)).digest == probe.digest
        moved = sample.path.with_name(f"moved-{sample.path.name}")
        moved.write_bytes(sample.path.read_bytes())
        assert _probe(driver, _declared(sample._replace(path=moved))).digest == probe.digest

    def test_an_unchanged_file_is_not_read(self, driver: Driver, sample: Sample) -> None:
        """A second probe with the cache of the first reads nothing, and finds the same."""
        time.sleep(1.5e-9 * MARGIN_NS)  # what was just written may be written again
        options = ProbeOptions(cache=SourceCache.memory())
        first, second = (driver.probe([_declared(sample)], options) for _ in range(2))
        assert (first.hashed, second.hashed, second.by_stat) == (1, 0, 1)
        assert second.probes[0].digest == first.probes[0].digest
        assert isinstance(first.probes[0], Probe)
        assert isinstance(second.probes[0], Probe)
        assert second.probes[0].header == first.probes[0].header

    def test_windows_are_of_the_pixels(
        self, reader: SourceReader, source: Source, sample: Sample
    ) -> None:
        """Any window of any bands, in any order, from several threads at once."""
        count, height, width = sample.pixels.shape
        rng = np.random.default_rng(0)

        def read(_: int) -> None:
            row, col = int(rng.integers(height)), int(rng.integers(width))
            size = 1 + int(rng.integers(height - row)), 1 + int(rng.integers(width - col))
            window = Window(row=row, col=col, height=size[0], width=size[1])
            bands = [int(band) for band in rng.permutation(count)[: 1 + int(rng.integers(count))]]
            found = reader.read(source, window, bands).bands
            for band, pixels in zip(bands, found, strict=True):
                assert np.array_equal(
                    pixels, sample.pixels[(band, *window.slices)], equal_nan=_is_float(pixels)
                )

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(read, range(40)))
        assert reader.bytes_read
        reader.check(source)
        reader.finish(source)
        reader.close()

    def test_a_changed_file_is_not_read(
        self, reader: SourceReader, source: Source, sample: Sample
    ) -> None:
        """Neither before a read, nor between reads and the last check."""
        window = Window(row=0, col=0, height=1, width=1)
        reader.read(source, window, [0])
        data = sample.path.read_bytes()
        sample.path.write_bytes(data + b"\0")
        for ask in (lambda: reader.check(source), lambda: reader.read(source, window, [0])):
            with pytest.raises(SourceError, match=f"`{re.escape(source.uri)}`: changed"):
                ask()
        reader.close()

    def test_a_file_of_another_format_is_named(
        self, driver: Driver, sample: Sample, tmp_path: Path
    ) -> None:
        """An empty file, one of another format and a truncated one are errors that name it."""
        data = sample.path.read_bytes()
        for wrong in (b"", b"no raster", data[: len(data) // 3]):
            sample.path.write_bytes(wrong)
            with pytest.raises(SourceError, match=f"`{re.escape(sample.path.name)}`"):
                _read_all(driver, sample, tmp_path / "work")


def _is_float(pixels: npt.NDArray[Any]) -> bool:
    return pixels.dtype.kind == "f"


def _declared(sample: Sample, *, is_external: bool = False) -> DeclaredSource:
    return DeclaredSource(
        uri=sample.path.name,
        path=sample.path,
        source=0,
        variable=sample.variable,
        is_external=is_external,
    )


def _probe(driver: Driver, source: DeclaredSource) -> Probe:
    (found,) = driver.probe([source], ProbeOptions()).probes
    assert isinstance(found, Probe)
    return found


def _source(driver: Driver, sample: Sample, probe: Probe) -> Source:
    _, rows, cols = sample.pixels.shape
    recorded = Source(
        uri=sample.path.name,
        digest=probe.digest,
        row=0,
        col=0,
        height=rows,
        width=cols,
        variable=probe.header.variable,
        mask=probe.header.mask,
    )
    return driver.with_files(recorded, probe, features=())


def _read_all(driver: Driver, sample: Sample, folder: Path) -> None:
    probe = _probe(driver, _declared(sample))
    reader = driver.open_reader(folder=folder, cache=SourceCache.memory())
    count, height, width = sample.pixels.shape
    window = Window(row=0, col=0, height=height, width=width)
    try:
        reader.read(_source(driver, sample, probe), window, range(count))
    finally:
        reader.close()
