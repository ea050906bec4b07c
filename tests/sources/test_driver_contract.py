"""Every raster driver keeps the contract of `geobatch/testing/driver.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import rasterio
from npy_driver import Npy
from whole_rasters import write_jp2, write_netcdf
from workbench import write_tiff

from geobatch.sources.driver import Driver
from geobatch.sources.geotiff.driver import GeoTiff
from geobatch.sources.jpeg2000.driver import Jpeg2000
from geobatch.sources.netcdf.driver import NetCdf
from geobatch.sources.registry import registered
from geobatch.testing.driver import DriverContract, Sample

SHAPE = (3, 150, 170)


def pixels(dtype: str = "uint16") -> Any:
    return np.random.default_rng(1).integers(0, 4000, SHAPE).astype(dtype)


class TestGeoTiff(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return GeoTiff()

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        return Sample(write_tiff(tmp_path / "a.tif", list(pixels())), pixels())


class TestNpy(DriverContract):
    @pytest.fixture
    def driver(self) -> Iterator[Driver]:
        with registered(driver := Npy()):
            yield driver

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        np.save(tmp_path / "a.npy", pixels())
        return Sample(tmp_path / "a.npy", pixels())

    @pytest.mark.skip(reason="it caches nothing")
    def test_an_unchanged_file_is_not_read(self, driver: Driver, sample: Sample) -> None: ...


class TestJpeg2000(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return Jpeg2000()

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        path = write_jp2(tmp_path / "a.jp2", pixels())
        with rasterio.open(path) as file:
            return Sample(path, file.read())


class TestNetCdf4(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return NetCdf()

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        path = write_netcdf(tmp_path / "a.nc", {"t": pixels("int16"), "u": pixels("float32")})
        with netCDF4.Dataset(path) as file:
            file.set_auto_maskandscale(False)
            return Sample(path, file["t"][:], "t")


class TestNetCdf3(DriverContract):
    @pytest.fixture
    def driver(self) -> Driver:
        return NetCdf()

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Sample:
        path = write_netcdf(tmp_path / "a.nc", {"t": pixels("float32")}, kind="NETCDF3_CLASSIC")
        return Sample(path, pixels("float32"))
