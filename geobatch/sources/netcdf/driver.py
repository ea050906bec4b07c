"""The driver of NetCDF files, versions 3 and 4."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from msgspec.structs import replace

from geobatch.model.sources.header import Header
from geobatch.sources import netcdf
from geobatch.sources.naming import UnnamedError
from geobatch.sources.netcdf.classic import check_length
from geobatch.sources.whole.raster import WholeRaster

ENDINGS = (".nc", ".nc4", ".cdf", ".netcdf")
_FULL = 360.0
_UNREAD = ("valid_range", "valid_min", "valid_max")


class NetCdf(WholeRaster):
    """Variables with two dimensions of space; each slice along others is a band."""

    name: ClassVar[str] = "netcdf"
    has_variables: ClassVar[bool] = True
    gdal_name: ClassVar[str] = "netCDF"
    word: ClassVar[str] = "NetCDF file"
    endings: ClassVar[tuple[str, ...]] = ENDINGS
    starts: ClassVar[tuple[bytes, ...]] = (b"CDF\1", b"CDF\2", b"CDF\5", b"\x89HDF\r\n\x1a\n")

    def names(self, dataset: Any) -> Mapping[str, str]:
        """Return the variables with two dimensions or more; see `WholeRaster.names`."""
        if '"' in dataset.name:
            raise UnnamedError('a `"` in the path of a NetCDF file', hint="rename the file")
        found = {name.rpartition(":")[2]: name for name in dataset.subdatasets}
        if not found and dataset.count:
            found = {_full_name(dataset): ""}
        if not found:
            raise UnnamedError("the NetCDF file has no variable with two dimensions and pixels")
        return found

    def check_file(self, path: Path) -> None:
        """Refuse another file, and one that is cut short; see `WholeRaster.check_file`."""
        super().check_file(path)
        with path.open("rb") as file:
            check_length(file, os.fstat(file.fileno()).st_size)

    def raster_name(self, path: str, variable: str) -> str:
        """Return GDAL's name of a variable."""
        return f'NETCDF:"{path}":{variable}'

    def complete(self, header: Header, dataset: Any) -> Header:
        """Return the header with exact missing values, the slices, and what must be said once."""
        tags = [dataset.tags(band) for band in range(1, dataset.count + 1)]
        nodata = header.nodata
        if header.dtypes[0] in {"int64", "uint64"}:
            # GDAL's are doubles, which do not hold every integer.
            nodata = tuple(
                int(text) if re.fullmatch("-?[0-9]+", text := one.get("_FillValue", "")) else value
                for one, value in zip(tags, nodata, strict=True)
            )
        fault = header.transform_fault or _unplaced(header)
        if (name := netcdf.last_latitude(self, header, dataset)) is not None:
            fault = (
                f"its last dimension, `{name}`, is latitude: expected latitude before longitude, as"
                " `ncpdq` of NCO arranges them"
            )
        return replace(
            header,
            nodata=nodata,
            descriptions=tuple(_described(one, dataset.tags()) for one in tags),
            transform=None if fault else header.transform,
            transform_fault=fault,
            notes=tuple(_notes(header, tags[0], dataset.tags(ns="GEOLOCATION2"))),
        )


def _full_name(dataset: Any) -> str:
    """Return the name of the only variable of a file, with its group."""
    name: str = dataset.tags(1)["NETCDF_VARNAME"]
    keys = (key.rpartition("#")[0] for key in dataset.tags())
    return next((key for key in keys if key.rpartition("/")[2] == name), name)


def _described(tags: Mapping[str, str], shared: Mapping[str, str]) -> str | None:
    """Return what a band is: its name, and its place along each dimension that is not of space."""
    name = tags.get("long_name") or tags.get("NETCDF_VARNAME", "")
    places = [
        f"{key.removeprefix('NETCDF_DIM_')} = {value}"
        + (f" {unit}" if (unit := shared.get(f"{key.removeprefix('NETCDF_DIM_')}#units")) else "")
        for key, value in tags.items()
        if key.startswith("NETCDF_DIM_")
    ]
    return ", ".join([name, *places]) or None


def _unplaced(header: Header) -> str | None:
    if header.transform is not None:
        return None
    return (
        "the coordinates of its two last dimensions are missing, or not evenly spaced: it is on no"
        " regular grid"
    )


def _notes(
    header: Header, tags: Mapping[str, str], uneven: Mapping[str, str]
) -> list[tuple[str, str]]:
    notes = []
    if header.transform is not None and (values := uneven.get("Y_VALUES")):
        message = (
            "its rows are not evenly spaced, as those of a Gaussian grid; they are placed evenly,"
            f" by up to {netcdf.greatest_move(header, values):.3g} degrees"
        )
        hint = f"`cdo remapbil,r{header.width}x{header.height} IN OUT` makes a regular grid"
        notes.append((message, hint))
    fill, missing = tags.get("_FillValue"), tags.get("missing_value")
    if fill is not None and missing is not None and fill != missing:
        message = f"`missing_value` is {missing}, `_FillValue` {fill}: only the latter is masked"
        notes.append((message, f"declare both: `missing_data: {{values: [{fill}, {missing}]}}`"))
    if unread := [name for name in _UNREAD if name in tags]:
        message = f"its `{unread[0]}` is not applied: no pixel is masked by it"
        notes.append((message, "mask what lies outside of it before, or check it by `checks`"))
    if header.transform is not None and (header.crs is None or "PROJCRS" not in header.crs.wkt):
        left = header.transform[2]
        right = left + header.transform[0] * header.width
        if left >= -_FULL / 2 and right > _FULL / 2 + header.transform[0]:
            message = (
                f"its columns are from {left:g} to {right:g} degrees of longitude, and stay there"
            )
            hint = "`cdo sellonlatbox,-180,180,-90,90 IN OUT` makes them -180 to 180"
            notes.append((message, hint))
    return notes
