"""Headers that follow from another file's: equal to what GDAL reads, or not found."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from geobatch.sources.geotiff.headers.alike import AlikeHeaders
from geobatch.sources.geotiff.headers.header import read_header
from geobatch.sources.geotiff.identity.identity import identify

KINDS: dict[str, dict[str, Any]] = {
    "raw": {},
    "deflate": {"compress": "DEFLATE"},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 16},
    "big": {"BIGTIFF": "YES"},
    "swapped": {"ENDIANNESS": "BIG"},
    "nodata": {"nodata": 7},
    "bands": {"count": 3, "interleave": "band"},
    "alpha": {"count": 4, "photometric": "RGB", "alpha": "YES"},
    "degrees": {"crs": "EPSG:4326"},
    "vertical": {"crs": "EPSG:32632+5773"},
    "local": {"crs": 'LOCAL_CS["here",UNIT["metre",1]]'},
    "none": {"crs": None},
}
NUMBER = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e17, max_value=1e17)


def write(
    path: Path, transform: Affine, *, tags: dict[str, str] | None = None, **options: Any
) -> Path:
    """Write a small raster."""
    profile = {
        "driver": "GTiff", "width": 20, "height": 18, "count": 1, "dtype": "uint8",
        "crs": "EPSG:32632", "transform": transform,
    } | options  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(np.ones((profile["count"], 18, 20), profile["dtype"]))
        raster.update_tags(**(tags or {}))
    return path


def found(known: AlikeHeaders, path: Path) -> object:
    """Return what follows from the headers that are known."""
    return known.find(identify(path).frame, path, "it")


def taught(path: Path) -> AlikeHeaders:
    """Return what knows the header of one file."""
    known = AlikeHeaders()
    known.add(identify(path).frame, read_header(path, "first"))
    return known


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(x=NUMBER, y=NUMBER, step=st.sampled_from([10.0, 0.1, 1.0, 1 / 3]))
def test_a_header_that_follows_is_what_gdal_reads(
    tmp_path_factory: pytest.TempPathFactory, kind: str, x: float, y: float, step: float
) -> None:
    folder = tmp_path_factory.mktemp("alike")
    first = write(folder / "a.tif", Affine(step, 0, 600000, 0, -step, 5e6), **KINDS[kind])
    second = write(folder / "b.tif", Affine(step, 0, x, 0, -step, y), **KINDS[kind])
    header = found(taught(first), second)
    if x or y:  # GDAL may write a corner at zero in another way
        assert header == read_header(second, "it")
    else:
        assert header in (None, read_header(second, "it"))


@pytest.mark.parametrize(
    "options",
    [
        {"tags": {"AREA_OR_POINT": "Point"}},
        {"nodata": 3},
        {"dtype": "int16"},
        {"width": 21},
        {"crs": "EPSG:32633"},
        {"tags": {"owner": "somebody"}},
        {"compress": "LZW"},
        {"count": 2},
        {"transform": Affine(10, 0, 1, 0, -10.5, 2)},
        {"transform": Affine(10, 1, 1, 1, -10, 2)},
        {"transform": Affine(10, 0, 1, 0, 10, 2)},
        {"transform": None, "gcps": [GroundControlPoint(0, 0, 1, 2, 0)] * 3},
    ],
)
def test_a_file_that_differs_in_anything_else_is_read(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    known = taught(write(tmp_path / "a.tif", Affine(10, 0, 600000, 0, -10, 5e6)))
    options = {"transform": Affine(10, 0, 1, 0, -10, 2)} | options
    assert found(known, write(tmp_path / "b.tif", **options)) is None


@pytest.mark.parametrize("corner", [600000.0, 1e17])
def test_pixels_that_are_points_follow_from_no_corner(tmp_path: Path, corner: float) -> None:
    transform = Affine(10, 0, corner, 0, -10, 5e6)
    points = {"AREA_OR_POINT": "Point"}
    first = write(tmp_path / "a.tif", transform, tags=points)
    second = write(tmp_path / "b.tif", Affine(10, 0, 5, 0, -10, 7), tags=points)
    assert found(taught(first), second) in (None, read_header(second, "it"))


def test_the_height_of_a_tie_point_is_no_place(tmp_path: Path) -> None:
    # With a vertical CRS, GDAL makes it an offset of the values.
    path = write(tmp_path / "a.tif", Affine(10, 0, 600000, 0, -10, 5e6), crs="EPSG:32632+5773")
    known = taught(path)
    data = path.read_bytes()
    tie = struct.pack("<6d", 0, 0, 0, 600000, 5e6, 0)
    assert tie in data
    path.write_bytes(data.replace(tie, struct.pack("<6d", 0, 0, 0, 600000, 5e6, 12)))
    assert found(known, path) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_corner_that_is_no_number_is_gdals(tmp_path: Path, value: float) -> None:
    path = write(tmp_path / "a.tif", Affine(10, 0, 600000, 0, -10, 5e6))
    known = taught(path)
    tie = struct.pack("<6d", 0, 0, 0, 600000, 5e6, 0)
    data = path.read_bytes().replace(tie, struct.pack("<6d", 0, 0, 0, value, 5e6, 0))
    path.write_bytes(data)
    assert found(known, path) is None
