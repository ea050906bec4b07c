"""Other people's software reads the tree: xarray, rioxarray, zarr-python, zarr-cm, GDAL."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import rioxarray  # noqa: F401  (gives xarray its `rio`)
import xarray as xr
import zarr
import zarr_cm
import zarr_workbench as bench
from zarr_workbench import Pixels, sync

from geobatch.model.assets.asset import DTYPES, AnyImage, Band, Masking, MaskSource, Number, Policy
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.published import ArrayKey, AssetRecord
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.metadata import documents

GDAL = tuple(int(part) for part in rasterio.__gdal_version__.split(".")[:2])
# rioxarray multiplies transforms in a way that newer releases of affine frown on.
RIOXARRAY = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")

CONVENTIONS: Any = zarr_cm

FULL = Masking(source=MaskSource.VALUES, values=(1,), is_fill_free=True)
CROWDED = Masking(source=MaskSource.BAND, tileset="m", is_partial=True)
NONE = Masking(source=MaskSource.NONE)


def publish(place: Path, made: AnyImage) -> Pixels:
    store = TileStore.create(place)
    planes = bench.pixels(made)
    bench.publish(store, {made.id: (made, planes)})
    sync(store)
    store.close()
    return planes


def document(made: AnyImage, path: str) -> dict[str, Any]:
    arrays = tuple((key, None) for key in bench.keys(made))
    record = AssetRecord(asset=made, arrays=arrays, fingerprints=())
    found: dict[str, Any] = json.loads(documents(record)[path])
    return found


def all_documents(made: AnyImage) -> dict[str, dict[str, Any]]:
    arrays = tuple((key, None) for key in bench.keys(made))
    record = AssetRecord(asset=made, arrays=arrays, fingerprints=())
    return {
        path.removesuffix("zarr.json").rstrip("/"): json.loads(text)
        for path, text in documents(record).items()
        if path.endswith("zarr.json")
    }


ODD = bench.geobox((301, 523))
GRIDS = {"fine": ODD, "coarse": bench.geobox((151, 262), transform=(20.0, 0, 5e5, 0, -20.0, 5e6))}
SAMPLES: dict[str, AnyImage] = {
    "one grid": bench.asset(
        "a",
        bench.band("i", fill=-9999, scale=0.5, offset=2.0, unit="m", description="height"),
        bench.band("u", dtype="uint8", fill=0, masking=CROWDED, policy=Policy.MODE),
        bench.band("bare", dtype="uint16", fill=0, masking=NONE),
        bench.band("f", dtype="float32", fill=math.nan, policy=Policy.MAX),
        bench.band("f9", dtype="float64", fill=-9999.5, policy=Policy.SAMPLE),
        grids={"main": ODD},
        properties=(("k", 1.5), ("system:title", "Insel \N{LATIN SMALL LETTER U WITH DIAERESIS}")),
        start_time="2025-01-01T00:00:00Z",
        end_time="2026-01-01T00:00:00Z",
    ),
    "two grids": bench.asset(
        "a", bench.band("b1", grid="fine"), bench.band("b2", grid="coarse"), grids=GRIDS
    ),
    "apart": bench.asset(
        "a",
        bench.band("b1", grid="here"),
        bench.band("b2", dtype="uint8", fill=0, grid="there", masking=CROWDED),
        grids={
            "here": ODD,
            "there": bench.geobox((300, 260), transform=(20.0, 0, 510000, 0, -20.0, 5000000.0)),
        },
    ),
    "sheared": bench.asset("a", grids={"main": bench.geobox((30, 20), transform=bench.SHEARED)}),
    "degrees": bench.asset(
        "a",
        grids={"main": bench.geobox((30, 20), transform=(0.5, 0, 7, 0, -0.25, 50), of="EPSG:4326")},
    ),
    "no code": bench.asset(
        "a", grids={"main": bench.geobox((30, 20), of="+proj=laea +lat_0=10 +lon_0=20 +units=m")}
    ),
    "no cf": bench.asset(
        "a",
        grids={
            "main": GeoBox(
                crs=Crs(code="EPSG:32633", wkt=bench.crs("EPSG:32633").wkt),
                transform=bench.UTM,
                height=30,
                width=20,
            )
        },
    ),
    "one pixel": bench.asset("a", grids={"main": bench.geobox((1, 1))}),
}


@pytest.fixture(params=sorted(SAMPLES))
def sample(request: pytest.FixtureRequest) -> AnyImage:
    return SAMPLES[request.param]


def top(grid: str) -> str:
    """Return the multiscale group that has a grid of the samples."""
    return grid if grid in ("here", "there") else ""


def path_of(grid: str, level: int) -> str:
    """Return the group that has a level of a grid of the samples."""
    # The pixels of the coarse grid are those of the second level of the fine one.
    return f"{top(grid)}/{level + (grid == 'coarse')}".lstrip("/")


def array_of(made: AnyImage, key: ArrayKey) -> str:
    """Return the path of an array of a sample."""
    grid = made.band(key.band).grid
    above, _, level = path_of(grid, key.level).rpartition("/")
    return "/".join(filter(None, [above, "masks" if key.is_mask else "", level, key.band]))


def groups(made: AnyImage) -> dict[str, GeoBox]:
    """Return the placement of every level group of values, by path."""
    return {
        path_of(grid.name, level): grid.geobox.level(level)
        for grid in made.grids
        for level in range(grid.geobox.level_count)
    }


def test_zarr_cm_validates_every_node(sample: AnyImage) -> None:
    found = all_documents(sample)
    levels = groups(sample)
    masks = {array_of(sample, key).rpartition("/")[0] for key in bench.keys(sample) if key.is_mask}
    tops = {path.rpartition("/")[0] for path in levels.keys() | masks}
    for path in tops:
        CONVENTIONS.multiscales.validate_group_metadata(found[path])
        CONVENTIONS.proj.validate_group_metadata(found[path])
        CONVENTIONS.spatial.validate_group_metadata(found[path])
    for path, text in found.items():
        if path not in tops and path:
            # What xarray carries into netCDF: no objects, no lists of lists, and so no declaration.
            for name, value in text["attributes"].items():
                is_flat = isinstance(value, list) and all(
                    isinstance(one, int | float) for one in value
                )
                assert is_flat or isinstance(value, str | int | float), (path, name, value)
    of_groups = {path for path, text in found.items() if text["node_type"] == "group"}
    assert tops | levels.keys() | masks | {""} == of_groups


def test_consolidated_metadata_repeats_every_document_below(sample: AnyImage) -> None:
    found = all_documents(sample)
    for path, text in found.items():
        if text["node_type"] == "array":
            assert "consolidated_metadata" not in text
            continue
        inline = text["consolidated_metadata"]
        assert (inline["kind"], inline["must_understand"]) == ("inline", False)
        prefix = f"{path}/" if path else ""
        assert inline["metadata"] == {
            other.removeprefix(prefix): {
                name: value for name, value in document.items() if name != "consolidated_metadata"
            }
            for other, document in found.items()
            if other.startswith(prefix) and other != path
        }


def test_documents_end_with_what_announces_the_others(sample: AnyImage) -> None:
    arrays = tuple((key, None) for key in bench.keys(sample))
    paths = list(documents(AssetRecord(asset=sample, arrays=arrays, fingerprints=())))
    found = all_documents(sample)
    assert paths[-1] == "zarr.json"
    for at, path in enumerate(paths):
        node = path.removesuffix("zarr.json").rstrip("/")
        if path.endswith("zarr.json") and found[node]["node_type"] == "group":
            start = f"{node}/" if node else ""
            assert not [later for later in paths[at + 1 :] if later.startswith(start)]


def test_levels_are_placed_as_they_are(sample: AnyImage) -> None:
    found = all_documents(sample)
    for path, geobox in groups(sample).items():
        attributes = found[path]["attributes"]
        assert attributes["spatial:shape"] == list(geobox.shape)
        assert attributes["spatial:transform"] == list(geobox.transform)
        assert attributes["spatial:bbox"] == list(geobox.bounds)
    for group in {top(grid.name) for grid in sample.grids}:
        layout = found[group]["attributes"]["multiscales"]["layout"]
        levels = {
            path.rpartition("/")[2]: geobox
            for path, geobox in groups(sample).items()
            if path.rpartition("/")[0] == group
        }
        assert [part["asset"] for part in layout] == sorted(levels)
        for part in layout:
            geobox = levels[part["asset"]]
            assert part["spatial:transform"] == list(geobox.transform)
            assert part["spatial:shape"] == list(geobox.shape)


def decoded(plane: npt.NDArray[Any], band: Band) -> npt.NDArray[np.float64]:
    """Return physical values, NaN where the fill says so."""
    values = plane.astype(np.float64)
    if band.can_be_masked and band.masking.is_fill_free:
        values[plane == band.fill] = np.nan
    return values * (band.scale or 1.0) + (band.offset or 0.0)


@RIOXARRAY
def test_xarray_and_rioxarray_read_the_tree(tmp_path: Path, sample: AnyImage) -> None:
    planes = publish(tmp_path / "store", sample)
    tree = tmp_path / "store/zarr/a"
    for path, geobox in groups(sample).items():
        dataset = xr.open_zarr(tree / path)
        here = [key for key in planes if array_of(sample, key) == f"{path}/{key.band}"]
        assert set(dataset.data_vars) == {key.band for key in here} != set()
        for key in here:
            band, level = sample.band(key.band), key.level
            found = dataset[band.id].load()
            np.testing.assert_array_equal(found.astype(np.float64), decoded(planes[key], band))
            assert found.rio.crs.to_wkt() == rasterio.crs.CRS.from_wkt(geobox.crs.wkt).to_wkt()
            assert tuple(found.rio.transform())[:6] == pytest.approx(geobox.transform, rel=1e-12)
            if band.is_float or (band.can_be_masked and band.masking.is_fill_free):
                assert math.isnan(found.rio.nodata)
            else:
                assert found.rio.nodata is None
            assert found.attrs["long_name"] == (band.description or band.id)
            has_mask = band.mask_from_level is not None and level >= band.mask_from_level
            where = array_of(sample, ArrayKey(band=band.id, level=level, is_mask=True))
            assert found.attrs.get("mask") == (where if has_mask else None)
            if has_mask:
                masks = xr.open_zarr(tree / where.rpartition("/")[0])
                assert masks.coords.equals(dataset.coords)
                mask = masks[band.id].load()
                assert mask.dtype == np.uint8
                assert mask.rio.crs == found.rio.crs
                assert mask.attrs["flag_values"] == [0, 255]
        assert ("x" in dataset.coords) == geobox.is_axis_aligned
        if geobox.is_axis_aligned:
            a, _, c, _, e, f = geobox.transform
            for at in (0, geobox.width - 1):
                assert float(dataset.x[at]) == c + (at + 0.5) * a
            for at in (0, geobox.height - 1):
                assert float(dataset.y[at]) == f + (at + 0.5) * e


def test_a_datatree_has_every_level(tmp_path: Path) -> None:
    made = SAMPLES["two grids"]
    publish(tmp_path / "store", made)
    tree = xr.open_datatree(tmp_path / "store/zarr/a", engine="zarr", consolidated=True)
    assert set(tree.groups) == {
        "/", "/0", "/1", "/2", "/masks", "/masks/1", "/masks/2",
    }  # fmt: skip
    assert tree["/1/b2"].shape == tree["/1/b1"].shape == (151, 262)
    assert tree["/masks/2/b2"].shape == (76, 131)


@pytest.mark.attack
def test_no_import_of_geobatch_and_no_warning(tmp_path: Path) -> None:
    publish(tmp_path / "store", SAMPLES["one grid"])
    script = (
        "import sys, xarray, rioxarray, zarr\n"
        "data = xarray.open_zarr(sys.argv[1] + '/0').load()\n"
        "assert data.rio.crs.to_epsg() == 32633\n"
        "group = zarr.open_group(sys.argv[1], mode='r')\n"
        "assert len(list(group.members(max_depth=None))) > 20\n"
        "assert not [name for name in sys.modules if name.startswith('geobatch')]\n"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", script, str(tmp_path / "store/zarr/a")],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


# GDAL 3.12 takes the transform from the spacing of coordinates: here there are none, or just one.
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.skipif(GDAL < (3, 12), reason="GDAL before 3.12 does not read these stores")
def test_gdal_reads_every_band(tmp_path: Path, sample: AnyImage) -> None:
    planes = publish(tmp_path / "store", sample)
    for key, plane in planes.items():
        band = sample.band(key.band)
        geobox = sample.grid(band.grid).geobox.level(key.level)
        name = array_of(sample, key)
        with rasterio.open(f'ZARR:"{tmp_path}/store/zarr/a":/{name}') as found:
            assert found.crs == rasterio.crs.CRS.from_wkt(geobox.crs.wkt)
            np.testing.assert_array_equal(found.read(1), plane)
            # Before 3.13, GDAL places by coordinates alone.
            if min(geobox.shape) > 1 and (geobox.is_axis_aligned or GDAL >= (3, 13)):
                assert tuple(found.transform)[:6] == pytest.approx(geobox.transform, rel=1e-12)
            if not key.is_mask:
                assert found.nodata == pytest.approx(band.fill, nan_ok=True)
                assert found.scales == (band.scale or 1.0,)
                assert found.offsets == (band.offset or 0.0,)
                assert found.units[0] == band.unit


EXTREMES: list[tuple[str, Number]] = [
    *((name, int(np.iinfo(name).max)) for name in DTYPES if "int" in name),
    *((name, int(np.iinfo(name).min)) for name in DTYPES if "int" in name),
    *(
        (name, value)
        for name in ("float32", "float64")
        for value in (math.nan, math.inf, -math.inf)
    ),
    ("float32", float(np.finfo(np.float32).min)),
    ("float32", float(np.float32(-3.4e38))),
    ("float64", -1e308),
]


@pytest.mark.parametrize(("dtype", "fill"), EXTREMES)
def test_fill_values_come_back_exactly(tmp_path: Path, dtype: str, fill: Number) -> None:
    made = bench.asset("a", bench.band(dtype=dtype, fill=fill, masking=FULL), shape=(9, 9), tile=16)
    planes = publish(tmp_path / "store", made)
    array = zarr.open_array(tmp_path / "store/zarr/a/0/b1", mode="r")
    np.testing.assert_array_equal(array.fill_value, np.dtype(dtype).type(fill))
    raw = xr.open_zarr(tmp_path / "store/zarr/a/0", mask_and_scale=False)["b1"].load()
    np.testing.assert_array_equal(raw, next(iter(planes.values())))
    np.testing.assert_array_equal(raw.attrs["_FillValue"], np.dtype(dtype).type(fill))


@pytest.mark.parametrize(
    ("band", "expected"),
    [
        (bench.band(dtype="uint8", fill=255, masking=FULL), 255),
        (bench.band(dtype="uint8", fill=0, masking=CROWDED), None),
        (bench.band(dtype="uint8", fill=0, masking=NONE), None),
        (
            bench.band(
                dtype="uint8", fill=0, masking=Masking(source=MaskSource.NONE, has_gaps=True)
            ),
            None,
        ),
        (bench.band(dtype="int64", fill=-(2**63), masking=FULL), -(2**63)),
        (bench.band(dtype="float32", fill=-9999.0, masking=FULL), "AAAAAICHw8A="),
        (bench.band(dtype="float32", fill=-9999.0, masking=NONE), None),
        (bench.band(dtype="float32", fill=math.nan, masking=NONE), "AAAAAAAA+H8="),
    ],
)
def test_the_fill_attribute_stands_only_where_it_is_true(
    band: Band, expected: int | str | None
) -> None:
    attributes = document(bench.asset("a", band), "0/b1/zarr.json")["attributes"]
    assert attributes.get("_FillValue") == expected
    assert type(attributes.get("_FillValue")) is type(expected)


def test_an_asset_says_what_it_is() -> None:
    attributes = document(SAMPLES["one grid"], "zarr.json")["attributes"]
    assert attributes["geobatch"] == {
        "id": "a",
        "kind": "image",
        "tile": 64,
        "properties": {"k": 1.5, "system:title": "Insel \N{LATIN SMALL LETTER U WITH DIAERESIS}"},
        "start_time": "2025-01-01T00:00:00Z",
        "end_time": "2026-01-01T00:00:00Z",
    }
    assert attributes["time_coverage_start"] == "2025-01-01T00:00:00Z"
    assert attributes["time_coverage_end"] == "2026-01-01T00:00:00Z"


def test_resampling_and_palette_are_told() -> None:
    palette = ((0, 0, 0, 255), (255, 128, 0, 255))
    bands = [bench.band(policy.value, policy=policy) for policy in Policy]
    made = bench.asset("a", *bands, bench.band("p", policy=Policy.MODE, palette=palette))
    words = {
        policy.value: document(made, f"1/{policy.value}/zarr.json")["attributes"][
            "resampling_method"
        ]
        for policy in Policy
    }
    assert words == {
        "MEAN": "average", "SAMPLE": "nearest", "MIN": "min",
        "MAX": "max", "MODE": "mode", "MEDIAN": "med",
    }  # fmt: skip
    table = document(made, "0/p/zarr.json")["attributes"]["color_table"]
    assert table == [0, 0, 0, 255, 255, 128, 0, 255]


@RIOXARRAY
# xarray says so of any Zarr v3 that it writes.
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part in the Zarr")
@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf", "zarr"])
def test_what_xarray_opened_it_can_write(tmp_path: Path, sample: AnyImage, engine: str) -> None:
    publish(tmp_path / "store", sample)
    for path in groups(sample):
        opened = xr.open_zarr(tmp_path / "store/zarr/a" / path)
        place = tmp_path / path.replace("/", "-")
        if engine == "zarr":
            opened.to_zarr(place)
            again = xr.open_zarr(place)
        else:
            opened.to_netcdf(place, engine=engine)
            again = xr.open_dataset(place, engine=engine)
        # Values, coordinates and attributes; attributes compare numbers, whatever their type.
        xr.testing.assert_identical(as_texts(opened), as_texts(again))
        assert again.rio.crs == opened.rio.crs
        for name in opened.data_vars:
            assert again[name].rio.crs == opened[name].rio.crs
            assert again[name].rio.transform() == opened[name].rio.transform()
        again.close()


def as_texts(dataset: xr.Dataset) -> xr.Dataset:
    """Return a loaded dataset whose attributes are texts."""
    found = dataset.load().copy()
    for place in (found, *found.variables.values()):
        place.attrs = {  # type: ignore[attr-defined]
            name: str(value) if isinstance(value, str) else str(np.ravel(value).astype(float))
            for name, value in place.attrs.items()  # type: ignore[attr-defined]
        }
    return found


@RIOXARRAY
def test_classic_netcdf_takes_what_its_types_hold(tmp_path: Path) -> None:
    """It has no unsigned bytes, so no mask; attributes are no obstacle."""
    made = bench.asset("a", bench.band(dtype="float32", fill=math.nan), grids={"main": ODD})
    publish(tmp_path / "store", made)
    opened = xr.open_zarr(tmp_path / "store/zarr/a/0")
    opened.to_netcdf(tmp_path / "a.nc", engine="scipy")
    with xr.open_dataset(tmp_path / "a.nc", engine="scipy") as again:
        xr.testing.assert_equal(opened, again)
        assert again.rio.crs == opened.rio.crs


def test_a_large_palette_and_many_classes_fit_into_netcdf(tmp_path: Path) -> None:
    palette = tuple((number % 256, number >> 8, 7, 255) for number in range(1 << 16))
    classes = tuple((f"class_{number}", f"kind {number}") for number in range(0, 1 << 16, 7))
    band = bench.band(dtype="uint16", fill=0, masking=FULL, policy=Policy.MODE, palette=palette)
    made = bench.asset("a", band, shape=(9, 9), tile=16, properties=classes)
    publish(tmp_path / "store", made)
    opened = xr.open_zarr(tmp_path / "store/zarr/a/0")
    for engine in ("netcdf4", "h5netcdf"):
        place = tmp_path / f"{engine}.nc"
        opened.to_netcdf(place, engine=engine)
        with xr.open_dataset(place, engine=engine) as again:
            found = again["b1"].attrs
            np.testing.assert_array_equal(found["color_table"], np.ravel(palette))
            np.testing.assert_array_equal(found["flag_values"], range(0, 1 << 16, 7))
            assert len(found["flag_meanings"].split(" ")) == len(classes)
