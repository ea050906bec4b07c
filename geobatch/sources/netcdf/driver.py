"""The driver of NetCDF files, versions 3 and 4."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from msgspec.structs import replace

from geobatch.model.sources.header import Header
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
            found = {dataset.tags(1)["NETCDF_VARNAME"]: ""}
        if not found:
            raise UnnamedError("the NetCDF file has no variable with two dimensions")
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
        return replace(
            header,
            nodata=nodata,
            descriptions=tuple(_described(one, dataset.tags()) for one in tags),
            transform_fault=header.transform_fault or _unplaced(header),
            notes=tuple(_notes(header, tags[0])),
        )


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


def _notes(header: Header, tags: Mapping[str, str]) -> list[tuple[str, str]]:
    notes = []
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
