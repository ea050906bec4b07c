"""The plain tree is read by other people's software, unaided and without a warning."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.crs
from rasterio.transform import Affine
from workbench import CRS, PIXEL, X0, Y0, Workbench, image, write_tiff

READ = """
import json, sys
import numpy, rioxarray, xarray, zarr

found = {}
for path in sys.argv[1:]:
    data = xarray.open_zarr(path)
    data.load()
    group = zarr.open_group(path, mode="r")
    found[path] = {
        "crs": data.rio.crs.to_wkt(),
        "transform": list(data.rio.transform())[:6],
        "bands": {
            name: {
                "nodata": float(band.rio.nodata),
                "encoded_nodata": float(
                    numpy.nan if band.rio.encoded_nodata is None else band.rio.encoded_nodata
                ),
                "crs": band.rio.crs.to_wkt(),
                "transform": list(band.rio.transform())[:6],
                "shape": list(band.shape),
                "valid": int(band.notnull().sum()),
                "sum": float(band.sum()),
                "dims": list(band.dims),
                "zarr_dtype": str(group[name].dtype),
                "zarr_sum": float(group[name][...].astype("float64").sum()),
            }
            for name, band in data.data_vars.items()
        },
        "coords": sorted(data.coords),
    }
assert not [name for name in sys.modules if name.split(".")[0] == "geobatch"]
json.dump(found, sys.stdout)
"""

SHAPE = (263, 301)

QUIET = "ignore:Use `@` matmul:PendingDeprecationWarning"
"""What affine says to rioxarray about rioxarray's own code."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("readers"))
    rng = np.random.default_rng(3)
    whole = rng.integers(1, 200, SHAPE).astype(np.int16)
    whole[:70, :90] = -7
    real = rng.uniform(1, 2, SHAPE).astype(np.float32)
    holes = real.copy()
    holes[5:9] = np.nan
    sentinel = real.copy()
    sentinel[5:9] = -9999
    write_tiff(bench.folder / "whole.tif", [whole, whole + 1], nodata=-7)
    write_tiff(bench.folder / "holes.tif", [holes], nodata=float("nan"))
    write_tiff(bench.folder / "sentinel.tif", [sentinel], nodata=-9999)
    write_tiff(
        bench.folder / "no_code.tif", [whole], nodata=-7, crs="+proj=laea +lat_0=52 +lon_0=9"
    )
    bench.apply(
        *(
            image(f"some/{name}", f"{name}.tif")
            for name in ("whole", "holes", "sentinel", "no_code")
        ),
    )
    return bench


@pytest.fixture(scope="module")
def read(bench: Workbench) -> dict[str, Any]:
    """Read everything in a process that has never heard of geobatch and takes no warning."""
    names = ("whole", "holes", "sentinel", "no_code")
    paths = [bench.tree / "some" / name / level for name in names for level in ("0", "1")]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", QUIET, "-c", READ, *map(str, paths)],
        capture_output=True, text=True, check=False, cwd=bench.folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    found = json.loads(done.stdout)
    return {str(Path(path).relative_to(bench.tree / "some")): found[path] for path in found}


def test_crs_and_transform_of_every_level(read: dict[str, Any]) -> None:
    for path, found in read.items():
        size = PIXEL * 2 ** int(path[-1])
        crs = "+proj=laea +lat_0=52 +lon_0=9" if path.startswith("no_code") else CRS
        for place in (found, *found["bands"].values()):
            assert rasterio.crs.CRS.from_wkt(place["crs"]) == rasterio.crs.CRS.from_string(crs), (
                path
            )
            assert place["transform"] == pytest.approx([size, 0, X0, 0, -size, Y0]), path
        assert found["coords"] == ["spatial_ref", "x", "y"]


def test_masked_pixels_are_missing(bench: Workbench, read: dict[str, Any]) -> None:
    pixels = SHAPE[0] * SHAPE[1]
    whole = read["whole/0"]["bands"]["b1"]
    assert whole["valid"] == pixels - 70 * 90
    assert whole["encoded_nodata"] == -7
    assert whole["zarr_dtype"] == "int16"
    assert whole["dims"] == ["y", "x"]
    # Only the first band holds the nodata itself: in the second those pixels are -6, and valid.
    assert read["whole/0"]["bands"]["b2"]["valid"] == pixels
    for name in ("holes", "sentinel"):
        assert read[f"{name}/0"]["bands"]["b1"]["valid"] == pixels - 4 * SHAPE[1]
        assert read[f"{name}/1"]["bands"]["b1"]["valid"] < 132 * 151
    assert math.isnan(read["holes/0"]["bands"]["b1"]["nodata"])
    assert read["sentinel/0"]["bands"]["b1"]["encoded_nodata"] == -9999
    for path, found in read.items():
        for band in found["bands"].values():
            assert band["shape"] == ([263, 301] if path.endswith("0") else [132, 151])
    values = bench.array("some/whole/0/b1")
    assert whole["sum"] == float(values[values != -7].sum(dtype=np.float64))
    assert whole["zarr_sum"] == float(values.sum(dtype=np.float64))


def gdal_version() -> tuple[int, ...]:
    return tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2])


@pytest.mark.skipif(
    gdal_version() < (3, 12),
    reason=f"GDAL reads Zarr v3 from 3.12 on, this is {rasterio.__gdal_version__}",
)
@pytest.mark.parametrize(
    ("name", "nodata"), [("whole", -7), ("holes", np.nan), ("sentinel", -9999)]
)
def test_gdal_opens_an_array(bench: Workbench, name: str, nodata: float) -> None:
    for level in (0, 1):
        with rasterio.open(f'ZARR:"{bench.tree / "some" / name}":/{level}/b1') as file:
            assert file.crs == rasterio.crs.CRS.from_string(CRS)
            size = PIXEL * 2**level
            assert file.transform.almost_equals(Affine(size, 0, X0, 0, -size, Y0))
            assert np.array_equal(file.nodata, nodata, equal_nan=True)
            expected = bench.array(f"some/{name}/{level}/b1")
            assert np.array_equal(file.read(1), expected, equal_nan=expected.dtype.kind == "f")
