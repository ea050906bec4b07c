"""GDAL as geobatch uses it: one driver, a small block cache, no sidecars, no guesses."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.env import set_gdal_config
from rasterio.errors import RasterioError

from geobatch.errors import SourceError
from geobatch.sources.gdal.session import THREAD
from geobatch.sources.naming import UnnamedError

CACHE_BYTES = 64 << 20
"""GDAL's block cache for the whole process; its default, 5 % of the memory, halves the speed."""

OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",  # an .aux.xml would change nodata or CRS behind the digest's back
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GTIFF_VIRTUAL_MEM_IO": "NO",  # a mapped file that is cut short kills the process
    "GTIFF_DIRECT_IO": "NO",
    "GDAL_TIFF_INTERNAL_MASK_TO_8BIT": "YES",
    "GTIFF_POINT_GEO_IGNORE": "NO",
    "CONVERT_YCBCR_TO_RGB": "YES",
    "GDAL_NUM_THREADS": "1",  # geobatch has its own threads
    "CPL_DEBUG": "OFF",
}
"""GDAL's configuration inside `gdal_environment`; stated in full, so that no variable of the
user's environment changes pixels."""

FAILURES = (RasterioError, CPLE_BaseError, OSError, ValueError, KeyError)
"""What rasterio raises on broken files."""

# warnings.catch_warnings is not thread-safe, and rasterio warns whenever it opens a raster
# without a geotransform.
OPENING = threading.Lock()
"""Held while a file is opened."""


@contextmanager
def gdal_environment() -> Iterator[None]:
    """Set geobatch's GDAL options for the calling thread.

    rasterio keeps options per thread, so every thread enters it by itself. Entering costs some
    0.1 ms: a thread that reads much stays inside (`session`), and what it calls finds itself
    inside. The block cache is one for the process and stays.
    """
    if THREAD.is_inside:
        yield
        return
    # Not an option of the Env, which would set GDAL's default again on leaving.
    set_gdal_config("GDAL_CACHEMAX", CACHE_BYTES)
    environment = rasterio.Env(**OPTIONS)
    environment.__enter__()
    THREAD.is_inside = True
    if THREAD.stays:
        THREAD.leave = partial(_leave, environment)
        yield
        return
    try:
        yield
    finally:
        _leave(environment)


def _leave(environment: rasterio.Env) -> None:
    THREAD.is_inside = False
    environment.__exit__()


def open_dataset(
    path: Path | str, *, overview: int = 0, opener: Callable[[], Any] | None = None
) -> Any:
    """Open a file with the GTiff driver and nothing else; call in `gdal_environment`.

    Sidecars (world files, `.aux.xml`, `.msk`, `.ovr`) are not read.

    Args:
        path: A regular file; with an opener, the name of the file.
        overview: Which reduced image to show, from 1; 0 for the full one.
        opener: Returns the file, open for reading.

    Returns:
        A rasterio dataset that shares no handle with any other.

    Raises:
        rasterio.errors.RasterioError: GDAL refuses the file.
    """
    with OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # A Path, not a str: rasterio would parse a str as a uri.
        options: dict[str, Any] = {"OVERVIEW_LEVEL": overview - 1} if overview else {}
        if opener is not None:
            path = "remote.tif"
            options["opener"] = partial(_call, opener)
        return rasterio.open(
            path, driver="GTiff", sharing=False, GEOREF_SOURCES="INTERNAL", **options
        )


def _call(opener: Callable[[], Any], path: str, mode: str = "rb") -> Any:
    # rasterio asks by these names; there is one file only.
    del path, mode
    return opener()


def reason(error: BaseException) -> str:
    """Return GDAL's own words for a failure: the message of the innermost cause."""
    cause: BaseException | None = error
    text = str(error)
    while cause is not None:
        text = str(cause) or text
        cause = cause.__cause__ or cause.__context__
    return " ".join(text.split()) or type(error).__name__


@contextmanager
def source_errors(what: str) -> Iterator[None]:
    """Turn what rasterio raises into an error that starts with `what`."""
    try:
        yield
    except SourceError:
        raise
    except FAILURES as error:
        raise UnnamedError(f"{what}: {reason(error)}") from error
