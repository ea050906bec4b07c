"""Assets as xarray datasets: what is masked is NaN, the rest is what the plain tree holds."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rioxarray  # noqa: F401 - adds `.rio`
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from test_other_readers import QUIET
from workbench import CRS, PIXEL, X0, Y0, Workbench, image, write_tiff

import geobatch
from geobatch.errors import CorruptObjectError, NotFoundError, PlanError

SHAPE = (300, 340)

pytestmark = pytest.mark.filterwarnings(QUIET)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("datasets"))
    rng = np.random.default_rng(5)
    whole = rng.integers(1, 900, SHAPE).astype(np.int16)
    whole[:70, :140] = -7
    real = rng.uniform(0, 1, SHAPE).astype(np.float32)
    real[70:190, 10:250] = np.nan
    alpha = rng.choice([0, 100, 255], SHAPE).astype(np.uint8)
    write_tiff(bench.folder / "whole.tif", [whole], nodata=-7)
    write_tiff(bench.folder / "real.tif", [real])
    write_tiff(bench.folder / "alpha.tif", [rng.integers(0, 255, SHAPE).astype(np.uint8), alpha],
               has_alpha=True)  # fmt: skip
    write_tiff(bench.folder / "plain.tif", [rng.integers(0, 255, SHAPE).astype(np.uint8)])
    write_tiff(bench.folder / "coarse.tif", [whole[::2, ::2].copy()], crs="EPSG:32634")
    bench.apply(
        image("a/whole", "whole.tif", bands=[{"id": "v", "tileset_id": "t"}]),
        image("a/real", "real.tif", bands=[{"id": "v", "tileset_id": "t"}]),
        image("a/alpha", "alpha.tif",
              bands=[{"id": "v", "tileset_id": "t", "tileset_band_index": 0}]),
        image("a/plain", "plain.tif", bands=[{"id": "v", "tileset_id": "t"}],
              start_time="2025-03-01T10:00:00Z", properties={"cloud": 7}),
        image("a/two", "whole.tif",
              more_tilesets=[{"id": "u", "sources": [{"uris": ["coarse.tif"]}]}],
              bands=[{"id": "fine", "tileset_id": "t"}, {"id": "coarse", "tileset_id": "u"}]),
    )  # fmt: skip
    return bench


def expected(bench: Workbench, path: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return values as float64 with NaN where masked, and weights, from the plain tree alone."""
    values = bench.array(path)
    folder, name = path.rsplit("/", 1)
    group = bench.group(folder)
    fill: Any = group[name].metadata.fill_value  # type: ignore[union-attr]
    if bench.has_mask(path):
        weights = bench.masks(path) / 255
    elif name == "v" and "plain" in path:
        weights = np.ones(values.shape)
    else:
        weights = (~np.isnan(values) if np.isnan(fill) else values != fill).astype(float)
    return np.where(weights > 0, values.astype(float), np.nan), weights


@pytest.mark.parametrize("name", ["whole", "real", "alpha", "plain"])
@pytest.mark.parametrize("level", [0, 1])
def test_values_are_those_of_the_tree(bench: Workbench, name: str, level: int) -> None:
    found = xr.open_dataset(bench.store, engine="geobatch", asset=f"a/{name}", level=level)
    values, weights = expected(bench, f"a/{name}/{level}/v")
    np.testing.assert_array_equal(found["v"].values.astype(float), values)
    if "v_mask" in found.coords:
        np.testing.assert_allclose(found["v_mask"].values, weights, rtol=1e-6)
    else:
        assert set(np.unique(weights)) <= {0, 1}
    plain = xr.open_zarr(bench.tree / f"a/{name}/{level}")
    for axis in ("x", "y"):
        np.testing.assert_array_equal(found[axis], plain[axis])
    assert found.rio.crs.to_string() == CRS
    assert found.rio.transform() == plain.rio.transform()


def test_stored_values_are_given_if_nothing_is_applied(bench: Workbench) -> None:
    found = xr.open_dataset(bench.store, engine="geobatch", asset="a/whole", mask_and_scale=False)
    assert found["v"].dtype == np.int16
    np.testing.assert_array_equal(found["v"], bench.array("a/whole/0/v"))


def test_a_band_that_nothing_masks_keeps_its_type(bench: Workbench) -> None:
    found = geobatch.open_store(bench.store).dataset("a/plain")
    assert found["v"].dtype == np.uint8
    assert found["time"].values == np.datetime64("2025-03-01T10:00:00")
    assert found.attrs["cloud"] == 7


slices = st.tuples(st.integers(-310, 310), st.integers(-350, 350), st.integers(1, 40)).map(
    lambda parts: slice(*parts)
)
places = slices | st.integers(0, 299) | st.lists(st.integers(0, 299), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(rows=places, cols=places)
def test_any_selection_is_that_of_numpy(bench: Workbench, rows: Any, cols: Any) -> None:
    found = geobatch.open_store(bench.store).dataset("a/alpha")["v"]
    whole, _ = expected(bench, "a/alpha/0/v")
    wanted = xr.DataArray(whole, dims=("y", "x")).isel(y=rows, x=cols)
    np.testing.assert_array_equal(found.isel(y=rows, x=cols).values.astype(float), wanted.values)


def test_dask_reads_one_tile_per_chunk_and_pickles(bench: Workbench) -> None:
    found = xr.open_dataset(bench.store, engine="geobatch", asset="a/whole", chunks={})
    assert found["v"].chunks == ((64, 64, 64, 64, 44), (64, 64, 64, 64, 64, 20))
    again = pickle.loads(pickle.dumps(found))
    values, _ = expected(bench, "a/whole/0/v")
    np.testing.assert_array_equal(again["v"].compute().values.astype(float), values)
    other = geobatch.open_store(bench.store).dataset("a/whole", chunks={"y": 100})
    assert other["v"].chunks == ((100, 100, 100), (64, 64, 64, 64, 64, 20))


def test_a_damaged_tile_is_an_error(bench: Workbench, tmp_path: Path) -> None:
    own = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.arange(64 * 64, dtype=np.int16).reshape(64, 64)])
    own.apply(image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]))
    chunk = own.tree / "a" / "0" / "v" / "c" / "0" / "0"
    data = bytearray(chunk.read_bytes())
    data[-1] ^= 1
    chunk.chmod(0o644)
    with chunk.open("r+b") as file:
        file.write(data)
    found = geobatch.open_store(own.store).dataset("a")
    with pytest.raises(CorruptObjectError):
        found.load()


def test_several_grids_are_named(bench: Workbench) -> None:
    store = geobatch.open_store(bench.store)
    with pytest.raises(ValueError, match=r"several grids.*`fine`.*`coarse`"):
        store.dataset("a/two")
    assert list(store.dataset("a/two", bands=["coarse"])) == ["coarse"]
    names = {band: store.dataset("a/two", bands=[band]).rio.crs.to_string() for band in
             ("fine", "coarse")}  # fmt: skip
    assert names == {"fine": "EPSG:32633", "coarse": "EPSG:32634"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"asset": "a/whol"}, NotFoundError, "a/whol"),
        ({"asset": "a"}, NotFoundError, "no asset"),
        ({"asset": "a/whole", "level": 9}, NotFoundError, "no level 9"),
        ({"asset": "a/whole", "level": -1}, NotFoundError, "no level -1"),
        ({"asset": "a/whole", "bands": ["w"]}, NotFoundError, "no band `w`"),
        ({"asset": "a/whole", "bands": []}, ValueError, "bands"),
        ({"asset": "a/whole", "grid": "g"}, NotFoundError, "no grid `g`"),
        ({"asset": "a/whole", "at": 7}, NotFoundError, "7"),
        ({}, ValueError, "`a/alpha`"),
    ],
)
def test_what_is_not_there_is_said(
    bench: Workbench, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        xr.open_dataset(bench.store, engine="geobatch", **options)


def test_an_opened_dataset_stays_at_its_commit(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    document = image("a", "a.tif", bands=[{"id": "v", "tileset_id": "t"}])
    for value in (1, 2):
        write_tiff(tmp_path / "a.tif", [np.full((64, 64), value, dtype=np.int16)])
        bench.apply(document)
        if value == 1:
            found = geobatch.open_store(bench.store).dataset("a")
    assert int(found["v"].max()) == 1
    first = xr.open_dataset(bench.store, engine="geobatch", asset="a", at=1)
    assert int(first["v"].max()) == 1
    assert int(geobatch.open_store(bench.store).dataset("a")["v"].max()) == 2


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """Four images on one grid: two of one day that overlap, and two of later days."""
    bench = Workbench(folder=tmp_path_factory.mktemp("days"))
    rng = np.random.default_rng(8)
    for name, row, col in (("a", 0, 0), ("b", 140, 160), ("c", -64, 0), ("d", 0, -32)):
        pixels = rng.integers(1, 900, (290, 300)).astype(np.int16)
        pixels[rng.random(pixels.shape) < 0.2] = 0
        write_tiff(bench.folder / f"{name}.tif", [pixels], row=row, col=col, nodata=0)
    when = {"a": "2025-06-01", "b": "2025-06-01", "c": "2025-06-03", "d": "2025-07-01"}
    bench.apply(
        *(
            image(f"s2/{name}", f"{name}.tif", bands=[{"id": "v", "tileset_id": "t"}],
                  start_time=time, properties={"cloud": ord(name)})
            for name, time in when.items()
        ),
        image("s2x/other", "a.tif", bands=[{"id": "v", "tileset_id": "t"}]),
    )  # fmt: skip
    return bench


def mosaic(bench: Workbench, names: str, rows: slice, cols: slice) -> np.ndarray[Any, Any]:
    """Return images of one day on a canvas from pixel (-64, -32), written out one by one."""
    offsets = {"a": (0, 0), "b": (140, 160), "c": (-64, 0), "d": (0, -32)}
    canvas = np.full((494, 492), np.nan)
    for name in names:
        values = bench.array(f"s2/{name}/0/v").astype(float)
        row, col = offsets[name][0] + 64, offsets[name][1] + 32
        target = canvas[row : row + 290, col : col + 300]
        np.copyto(target, values, where=values != 0)
    return canvas[rows, cols]


def test_a_collection_is_one_dataset_along_time(days: Workbench) -> None:
    found = geobatch.open_store(days.store).collection("s2")
    assert dict(found.sizes) == {"time": 3, "y": 494, "x": 492}
    assert found["asset"].values.tolist() == ["s2/a, s2/b", "s2/c", "s2/d"]
    for number, names in enumerate(("ab", "c", "d")):
        wanted = mosaic(days, names, slice(None), slice(None))
        np.testing.assert_array_equal(found["v"][number].values, wanted)
    assert found.rio.crs.to_string() == CRS
    assert found.rio.transform()[2] == X0 - 32 * PIXEL
    assert found.rio.transform()[5] == Y0 + 64 * PIXEL
    assert float(found["x"][0]) == X0 - 31.5 * PIXEL


def test_a_collection_is_cut_chosen_and_chunked(days: Workbench) -> None:
    store = geobatch.open_store(days.store)
    box = (X0 + 3 * PIXEL, Y0 - 50 * PIXEL, X0 + 80 * PIXEL, Y0 - 2 * PIXEL)
    found = store.collection("s2/", bounds=box, time="2025-06", properties=["cloud<99"], chunks={})
    assert dict(found.sizes) == {"time": 1, "y": 48, "x": 77}
    assert found["v"].chunks == ((1,), (48,), (64, 13))
    wanted = mosaic(days, "ab", slice(66, 114), slice(35, 112))
    np.testing.assert_array_equal(found["v"][0].compute().values, wanted)
    later = store.collection("s2", time=("2025-06-02", None))
    assert later["time"].dt.month.values.tolist() == [6, 7]


def test_a_collection_at_a_level(days: Workbench) -> None:
    found = geobatch.open_store(days.store).collection("s2", level=1, time="2025-07")
    values = days.array("s2/d/1/v").astype(float)
    mask = days.masks("s2/d/1/v")
    np.testing.assert_array_equal(found["v"][0], np.where(mask > 0, values, np.nan))


def test_what_is_not_one_grid_is_refused(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    pixels = np.ones((300, 300), dtype=np.int16)
    write_tiff(tmp_path / "a.tif", [pixels])
    write_tiff(tmp_path / "b.tif", [pixels], crs="EPSG:32634")
    write_tiff(tmp_path / "c.tif", [pixels], row=1)
    write_tiff(tmp_path / "d.tif", [pixels], col=100)
    bands = [{"id": "v", "tileset_id": "t"}]
    when: dict[str, Any] = {"start_time": "2025-01-01"}
    shifted: dict[str, Any] = {"crs": CRS, "affine_transform": {
        "scale_x": 10, "scale_y": -10, "translate_x": X0 + 3, "translate_y": Y0}}  # fmt: skip
    bench.apply(
        image("crs/a", "a.tif", bands=bands, **when),
        image("crs/b", "b.tif", bands=bands, **when),
        image("level/a", "a.tif", bands=bands, **when),
        image("level/c", "c.tif", bands=bands, **when),
        image("shift/a", "a.tif", bands=bands, **when),
        image("time/a", "a.tif", bands=bands),
        image("bands/a", "a.tif", bands=bands, **when),
        image("bands/b", "a.tif", bands=[{"id": "w", "tileset_id": "t"}], **when),
        image("shift/b", tileset={"sources": [
            {"uris": ["d.tif"], "affine_transform": shifted["affine_transform"]}
        ]}, bands=bands, **when),
    )  # fmt: skip
    store = geobatch.open_store(bench.store)
    with pytest.raises(PlanError, match=r"`crs/b` and `crs/a` .*EPSG:32634 and EPSG:32633"):
        store.collection("crs")
    assert store.collection("level").sizes["y"] == 301
    with pytest.raises(PlanError, match="shifted"):
        store.collection("level", level=1)
    with pytest.raises(PlanError, match="shifted"):
        store.collection("shift")
    with pytest.raises(PlanError, match="`time/a` has no `start_time`"):
        store.collection("time")
    with pytest.raises(NotFoundError, match="no band `v`"):
        store.collection("bands")
    with pytest.raises(NotFoundError, match="no image below"):
        store.collection("nothing")
    with pytest.raises(ValueError, match="meets no image"):
        store.collection("level", bounds=(0, 0, 1, 1))


def test_times_that_nanoseconds_cannot_hold_are_true_and_sorted(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    when = {
        "d": "2500-06-01T10:00:00.25Z", "c": "2025-06-01T10:00:00.5Z", "b": "2025-06-01T10:00:00Z",
        "a": "1500-01-01T00:00:00Z",
    }  # fmt: skip
    write_tiff(tmp_path / "a.tif", [np.ones((8, 8), np.uint8)])
    bands = [{"id": "asset", "tileset_id": "t"}]
    bench.apply(
        *(image(f"s/{id_}", "a.tif", start_time=time, bands=bands) for id_, time in when.items())
    )
    store = geobatch.open_store(bench.store)
    wanted = {id_: np.datetime64(time.removesuffix("Z"), "us") for id_, time in when.items()}
    for id_, time in wanted.items():
        assert store.dataset(f"s/{id_}")["time"].values.astype("datetime64[us]") == time
    for ids in ("abcd", "bc"):
        found = store.collection("s", time=None if ids == "abcd" else "2025")
        assert found["time"].values.astype("datetime64[us]").tolist() == [
            wanted[id_].tolist() for id_ in ids
        ]
        # A band has the name that the coordinate has otherwise.
        assert found["asset_"].values.tolist() == [f"s/{id_}" for id_ in ids]
        assert found["asset"].shape == (len(ids), 8, 8)
