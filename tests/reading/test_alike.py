"""A dataset of the engine has the names, flags and coordinates of the plain tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401  (gives xarray its `rio`)
import xarray as xr
from workbench import Workbench, image, write_tiff

import geobatch

SHAPE = (300, 340)
NAMES = {
    "10m": "band_10m", "nir-1": "nir_1_2", "nir_1": "nir_1", "time": "band_time",
    "nir_1_mask": "nir_1_mask",
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("alike"))
    rng = np.random.default_rng(8)
    write_tiff(bench.folder / "five.tif", list(rng.integers(1, 9, (5, *SHAPE)).astype(np.uint8)))
    alpha = rng.choice([0, 90, 255], SHAPE).astype(np.uint8)
    classes = rng.integers(1, 4, SHAPE).astype(np.uint8)
    write_tiff(bench.folder / "classes.tif", [classes, alpha], has_alpha=True)
    write_tiff(bench.folder / "odd.tif", [classes], nodata=3)
    bands = [
        {"id": one, "tileset_id": "t", "tileset_band_index": number}
        for number, one in enumerate(NAMES)
    ]
    of_classes = {"id": "kind", "tileset_id": "t", "tileset_band_index": 0}
    bench.apply(
        image("names", "five.tif", bands=bands, mask_bands=[{"tileset_id": "m"}],
              more_tilesets=[{"id": "m", "sources": [{"uris": ["odd.tif"]}]}]),
        image("days/a", "classes.tif", bands=[of_classes], pyramiding_policy="MODE",
              properties={"class_1": "water", "class_2": "sand bank", "title": "Shores"},
              start_time="2025-06-14T11:21:09.024Z"),
        image("days/b", "classes.tif", bands=[of_classes], pyramiding_policy="MODE",
              properties={"class_1": "water", "class_2": "sand bank"},
              start_time="1066-10-14T09:00:00Z"),
    )  # fmt: skip
    return bench


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("asset", ["names", "days/a"])
def test_the_engine_and_the_tree_agree(bench: Workbench, asset: str, level: int) -> None:
    plain = xr.open_zarr(bench.tree / asset / str(level))
    mine = xr.open_dataset(bench.store, engine="geobatch", asset=asset, level=level)
    raw = xr.open_dataset(
        bench.store, engine="geobatch", asset=asset, level=level, mask_and_scale=False
    )
    masks = xr.open_zarr(bench.tree / asset / "masks" / str(level))
    assert list(mine.data_vars) == list(raw.data_vars)
    assert set(mine.data_vars) == set(plain.data_vars) == set(masks.data_vars)
    assert set(plain.coords) <= set(mine.coords)
    for name in plain.coords:
        xr.testing.assert_identical(mine[name].reset_coords(drop=True),
                                    plain[name].reset_coords(drop=True))  # fmt: skip
    assert mine.rio.crs == plain.rio.crs
    assert mine.attrs["title"] == plain.attrs["title"]
    assert mine.attrs["Conventions"] == plain.attrs["Conventions"]
    for name in plain.data_vars:
        np.testing.assert_array_equal(raw[name], plain[name])
        # What the tree says how to do, somebody who applies its mask has done.
        wanted = plain[name].where(masks[name] > 0)
        np.testing.assert_array_equal(mine[name], wanted)
        for key in ("long_name", "band", "grid_mapping", "flag_meanings", "resampling_method"):
            assert mine[name].attrs.get(key) == plain[name].attrs.get(key), (name, key)
        flags = mine[name].attrs.get("flag_values")
        assert (flags is None) == (asset == "names")
        if flags is not None:
            assert flags.dtype == mine[name].dtype
            assert flags.tolist() == plain[name].attrs["flag_values"] == [1, 2]
            assert mine[name].attrs["flag_meanings"] == "water sand_bank"


def test_names_are_those_that_cf_allows(bench: Workbench) -> None:
    store = geobatch.open_store(bench.store)
    found = store.dataset("names")
    assert list(found.data_vars) == list(NAMES.values())
    assert [found[name].attrs.get("band", name) for name in found.data_vars] == list(NAMES)
    assert set(found.coords) == {
        "x", "y", "spatial_ref", *(f"{name}_mask" for name in NAMES.values()),
    } - {"nir_1_mask"} | {"nir_1_mask_"}  # fmt: skip
    # Bands are asked for by the ids of the specs.
    assert list(store.dataset("names", bands=["nir-1", "time"])) == ["nir_1_2", "band_time"]


def test_the_time_of_the_tree(bench: Workbench) -> None:
    found = xr.open_zarr(bench.tree / "days/a/0")
    assert found["time"].dtype.kind == "M"
    assert found["time"].values == np.datetime64("2025-06-14T11:21:09.024")
    assert found["kind"].coords["time"].attrs["standard_name"] == "time"
    masks = xr.open_zarr(bench.tree / "days/a/masks/0")
    assert masks["time"].equals(found["time"])
    assert "time" not in xr.open_zarr(bench.tree / "names/0").variables
    old = xr.open_zarr(bench.tree / "days/b/0", decode_times=False)["time"]
    moment = np.datetime64("1970-01-01", "us") + np.timedelta64(int(old) * 1000, "us")
    assert moment == np.datetime64("1066-10-14T09:00:00")


@pytest.mark.parametrize("engine", ["netcdf4", "h5netcdf", "zarr"])
@pytest.mark.parametrize("is_mine", [True, False])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part in the Zarr")
def test_both_can_be_written(
    bench: Workbench, tmp_path: Path, engine: Any, *, is_mine: bool
) -> None:
    for asset in ("names", "days/a"):
        opened = (
            xr.open_dataset(bench.store, engine="geobatch", asset=asset)
            if is_mine
            else xr.open_zarr(bench.tree / asset / "0")
        )
        place = tmp_path / asset.replace("/", "-")
        if engine == "zarr":
            opened.to_zarr(place)
        else:
            opened.to_netcdf(place, engine=engine)
        with xr.open_dataset(place, engine=engine) as again:
            xr.testing.assert_equal(opened.load(), again.load())
            assert again.rio.crs == opened.rio.crs
            assert again["time"].equals(opened["time"]) if asset != "names" else True
