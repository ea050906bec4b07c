"""Files that one driver of GDAL opens, and the headers of the rasters in them."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from msgspec.structs import replace
from rasterio.enums import ColorInterp

from geobatch.model.assets.asset import DTYPES, Number
from geobatch.model.geobox import Crs, Transform
from geobatch.model.sources.header import Header, header_of_pixels
from geobatch.sources.files import regular_file
from geobatch.sources.gdal.environment import OPENING, gdal_environment, source_errors
from geobatch.sources.geotiff.headers.header import crs_of
from geobatch.sources.naming import UnnamedError
from geobatch.sources.whole.format import RasterFormat

_IDENTITY: Transform = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def open_raster(driver: RasterFormat, path: str, variable: str = "") -> Any:
    """Open a file, or a raster of it, with one driver of GDAL; call in `gdal_environment`.

    Raises:
        rasterio.errors.RasterioError: GDAL refuses it.
        UnnamedError: The environment would change what GDAL reads.
    """
    prefix = f"GDAL_{driver.gdal_name.upper()}_"
    odd = sorted(name for name in os.environ if name.startswith(prefix))
    if odd:
        raise UnnamedError(
            f"the environment variable `{odd[0]}` changes what GDAL reads", hint=f"unset {odd[0]}"
        )
    name: Path | str = driver.raster_name(path, variable) if variable else Path(path)
    with OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return rasterio.open(name, driver=driver.gdal_name, sharing=False)


def describe_file(
    driver: RasterFormat, path: Path, read_crs: Callable[[str], Crs]
) -> Mapping[str, Header]:
    """Return the headers of all rasters of a file, without uris and paths, by name.

    Raises:
        UnnamedError: It is not of the format, GDAL cannot read it, or a raster has a type of
            pixels that is not supported.
    """
    real = regular_file(path)
    with gdal_environment(), source_errors(f"cannot be read as a {driver.word}"):
        driver.check_file(real)
        with open_raster(driver, os.fspath(real)) as dataset:
            names = driver.names(dataset)
            if list(names.values()) == [""]:
                return {name: _header(driver, dataset, read_crs) for name in names}
        headers = {}
        for name in names:
            with open_raster(driver, os.fspath(real), name) as dataset:
                if all(str(dtype) in DTYPES for dtype in dataset.dtypes):
                    headers[name] = _header(driver, dataset, read_crs)
        return headers


def _header(driver: RasterFormat, dataset: Any, read_crs: Callable[[str], Crs]) -> Header:
    dtypes = tuple(str(dtype) for dtype in dataset.dtypes)
    for band, dtype in enumerate(dtypes):
        if dtype not in DTYPES:
            message = f"band index {band}: expected one of {', '.join(DTYPES)}, got `{dtype}`"
            raise UnnamedError(message)
    if len(set(dtypes)) > 1:
        raise UnnamedError(f"bands of several pixel types: {', '.join(sorted(set(dtypes)))}")
    crs, crs_fault = None, None
    try:
        crs = crs_of(dataset.crs, read_crs)
    except ValueError as error:  # not used if a spec declares another
        crs_fault = f"the CRS cannot be read: {error}"
    transform, fault = _transform(dataset)
    kinds = dataset.colorinterp
    has_alpha = dataset.count > 1 and kinds[-1] is ColorInterp.alpha
    is_masking = has_alpha and dtypes[-1] in {"uint8", "uint16"}
    rows, cols = dataset.block_shapes[0]
    bits = int(dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 0))
    header = replace(
        header_of_pixels(
            uri="",
            path="",
            size=(dataset.height, dataset.width),
            dtypes=dtypes,
            block=(rows, cols),
            transform=transform,
            crs=crs,
        ),
        nodata=tuple(map(_nodata, dataset.nodatavals, dtypes)),
        mask="alpha" if is_masking else None,
        alpha_index=dataset.count - 1 if has_alpha else None,
        descriptions=tuple(text or None for text in dataset.descriptions),
        units=tuple(text or None for text in dataset.units),
        scales=tuple(_unless(value, 1.0) for value in dataset.scales),
        offsets=tuple(_unless(value, 0.0) for value in dataset.offsets),
        colours=tuple(kind.name for kind in kinds),
        bits=bits if bits and bits != np.dtype(dtypes[0]).itemsize * 8 else None,
        is_pixel_interleaved=False,
        crs_fault=crs_fault,
        transform_fault=fault,
    )
    return driver.complete(header, dataset)


def _transform(dataset: Any) -> tuple[Transform | None, str | None]:
    a, b, c, d, e, f = (float(value) for value in dataset.transform[:6])
    transform = (a, b, c, d, e, f)
    if transform == _IDENTITY:
        if count := len(dataset.gcps[0]):
            return None, f"has {count} ground control points and no affine transform"
        return None, None
    if not all(map(math.isfinite, transform)) or a * e - b * d == 0:
        return None, f"the transform {transform} is not valid"
    return transform, None


def _nodata(value: float | None, dtype: str) -> Number | None:
    """Return the value that means missing, in its type; None if no pixel can have it."""
    if value is None:
        return None
    if dtype.startswith("float"):
        return float(np.dtype(dtype).type(value))
    info = np.iinfo(dtype)
    is_in = math.isfinite(value) and value == int(value) and info.min <= value <= info.max
    return int(value) if is_in else None


def _unless(value: float, neutral: float) -> float | None:
    number = float(value)
    return None if number == neutral or not math.isfinite(number) else number
