"""JPEG 2000 and NetCDF files, as other libraries write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import numpy.typing as npt
import rasterio
from rasterio import Affine

Pixels = npt.NDArray[Any]


def write_jp2(path: Path, pixels: Pixels, **options: Any) -> Path:
    """Write (band, row, col) without loss, at 10 m in UTM zone 32."""
    count, height, width = pixels.shape
    settings = {"QUALITY": "100", "REVERSIBLE": "YES", "YCBCR420": "NO", **options}
    with rasterio.open(
        path, "w", driver="JP2OpenJPEG", count=count, height=height, width=width,
        dtype=pixels.dtype.name, crs="EPSG:32632",
        transform=Affine(10, 0, 500000, 0, -10, 5200000), **settings,
    ) as file:  # fmt: skip
        file.write(pixels)
    return path


def write_netcdf(
    path: Path,
    variables: Mapping[str, Pixels],
    *,
    kind: Any = "NETCDF4",
    lats: Pixels | None = None,
    lons: Pixels | None = None,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write variables of (time, lat, lon) or (lat, lon); by default half a degree, north first."""
    height, width = next(iter(variables.values())).shape[-2:]
    lats = 60 - 0.5 * np.arange(height) if lats is None else lats
    lons = 5 + 0.5 * np.arange(width) if lons is None else lons
    with netCDF4.Dataset(path, "w", format=kind) as file:
        for name, values, unit in (
            ("latitude", lats, "degrees_north"),
            ("longitude", lons, "degrees_east"),
        ):
            file.createDimension(name, len(values))
            one = file.createVariable(name, "f8", (name,))
            one.units, one.standard_name = unit, name
            one[:] = values
        for name, values in variables.items():
            dimensions: tuple[str, ...] = ("latitude", "longitude")
            if values.ndim == 3:
                if "time" not in file.dimensions:
                    file.createDimension("time", len(values))
                    time = file.createVariable("time", "f8", ("time",))
                    time.units = "days since 2020-01-01"
                    time[:] = np.arange(len(values))
                dimensions = ("time", *dimensions)
            stated = dict((attributes or {}).get(name, {}))
            fill = stated.pop("_FillValue", None)
            made = file.createVariable(name, values.dtype, dimensions, fill_value=fill)
            made.set_auto_maskandscale(False)
            made.setncatts(stated)
            made[:] = values
    return path
