"""The example specs are valid, and what `apply` makes of them is what rasterio reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import geopandas
import numpy as np
import numpy.typing as npt
import pytest
import rasterio
import tensorflow as tf
import zarr

from geobatch.declare import validate
from geobatch.declare.text.canonical import fmt_text
from geobatch.store.location import StoreLocation
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request
from geobatch.workflow.plan import plan

SPECS = Path(__file__).parents[2] / "specs"
DATA = SPECS / "data"
FILES = sorted(SPECS.glob("*.yaml"))

Pixels = npt.NDArray[Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples") / "store"
    apply([SPECS], store=folder)
    return folder


def levels_of(store: Path, asset: str, band: str) -> list[Path]:
    """Return the band's arrays in the plain tree, finest first."""
    found = (store / "zarr" / asset).glob(f"*/{band}/zarr.json")
    return sorted((path.parent for path in found), key=lambda path: int(path.parent.name))


def mask_of(path: Path) -> Path:
    """Return the mask of a band's array."""
    level = path.parent
    return level.parent / "masks" / level.name / path.name


def read(path: Path) -> Pixels:
    array = zarr.open_array(path, mode="r")
    return np.asarray(array[...])


def source(name: str, band: int = 1) -> Pixels:
    with rasterio.open(DATA / name) as dataset:
        return cast("Pixels", dataset.read(band))


def blocks(pixels: Pixels) -> Pixels:
    """Return the whole 2x2 groups of a plane, (row, col, 4)."""
    rows, cols = pixels.shape[0] // 2, pixels.shape[1] // 2
    groups = pixels[: rows * 2, : cols * 2].reshape(rows, 2, cols, 2)
    return cast("Pixels", groups.transpose(0, 2, 1, 3).reshape(rows, cols, 4))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_spec_is_valid(path: Path) -> None:
    validate([path])  # raises SpecError with every problem


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_spec_is_in_the_canonical_form(path: Path) -> None:
    assert fmt_text(path.read_text(), path=str(path)) == path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_spec_tells_editors_its_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=../schema/geobatch.v1.json"
    assert (SPECS / "../schema/geobatch.v1.json").is_file()


def test_after_apply_there_is_nothing_to_plan(store: Path) -> None:
    assert plan([SPECS], store=store).is_empty


def test_plots_are_the_records(store: Path) -> None:
    records = tf.data.TFRecordDataset(str(DATA / "plots.tfrecord")).as_numpy_iterator()
    features = [tf.train.Example.FromString(record).features.feature for record in records]
    frame = geopandas.read_parquet(store / "parquet" / "island" / "plots.parquet")
    assert frame.crs.to_epsg() == 32627
    assert len(frame) == len(features) == 240
    assert frame["plot"].tolist() == [f["plot"].bytes_list.value[0].decode() for f in features]
    assert frame["class"].tolist() == [f["class"].int64_list.value[0] for f in features]
    assert frame.geometry.x.tolist() == [f["easting"].float_list.value[0] for f in features]
    spectra = [list(f["reflectance"].float_list.value) for f in features]
    assert np.stack(frame["reflectance"]).tolist() == spectra
    assert frame["note"].notna().tolist() == ["note" in f for f in features]
    # What was noted of the classes is what the land cover shows there.
    with rasterio.open(DATA / "landcover.tif") as cover:
        shown = [int(one[0]) for one in cover.sample(frame.geometry.get_coordinates().to_numpy())]
    assert np.mean(frame["class"].to_numpy() == shown) > 0.8


def test_elevation_is_the_file_and_its_means(store: Path) -> None:
    zero, one, two = levels_of(store, "island/elevation", "elevation")
    heights = source("dem.tif")
    assert np.array_equal(read(zero), heights)
    groups = blocks(heights).astype(np.float64)
    on_land = groups.min(axis=2) > -9999
    means = (groups.sum(axis=2) / 4).astype(np.float32)
    assert on_land.any()
    assert np.array_equal(read(one)[on_land], means[on_land])
    at_sea = groups.max(axis=2) == -9999
    assert np.all(read(one)[at_sea] == -9999)
    # A lone pixel of land among the sea keeps its own height: nodata never leaks into a mean.
    assert read(two)[read(two) != -9999].min() >= 0


def test_landcover_stays_classes_at_every_level(store: Path) -> None:
    levels = levels_of(store, "island/landcover", "class")
    assert len(levels) == 3
    classes = source("landcover.tif")
    assert np.array_equal(read(levels[0]), classes)
    groups = blocks(classes)
    agreed = (groups == groups[:, :, :1]).all(axis=2)
    assert np.array_equal(read(levels[1])[agreed], groups[agreed][:, 0])
    for level in levels:
        assert set(np.unique(read(level))) <= {*range(1, 11), 255}


@pytest.mark.parametrize(("band", "index"), [("red", 1), ("green", 2), ("blue", 3)])
def test_orthophoto_is_the_later_exposure(store: Path, band: str, index: int) -> None:
    paths = sorted(DATA.glob("ortho_*.tif"))
    with rasterio.open(paths[0]) as first, rasterio.open(paths[-1]) as last:
        left, top = first.bounds.left, first.bounds.top
        size = first.res[0]
        shape = (
            round((top - last.bounds.bottom) / size),
            round((last.bounds.right - left) / size),
        )
    expected, alpha = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    for path in paths:
        with rasterio.open(path) as tile:
            row, col = (
                round((top - tile.bounds.top) / size),
                round((tile.bounds.left - left) / size),
            )
            rows, cols = slice(row, row + tile.height), slice(col, col + tile.width)
            opacity = tile.read(4)
            expected[rows, cols] = np.where(opacity, tile.read(index), expected[rows, cols])
            alpha[rows, cols] = np.where(opacity, opacity, alpha[rows, cols])
    levels = levels_of(store, "island/orthophoto", band)
    found = read(levels[0])
    assert found.shape == shape
    assert np.array_equal(found[alpha > 0], expected[alpha > 0])
    assert np.array_equal(read(mask_of(levels[0])), alpha)
    # The rim weighs half where masks are averaged: 255, 255, 128, 128 give 192.
    groups = blocks(alpha)
    halves = (np.sort(groups, axis=2) == [128, 128, 255, 255]).all(axis=2)
    assert halves.any()
    assert np.all(read(mask_of(levels[1]))[halves] == 192)


@pytest.mark.parametrize(
    ("band", "name", "index"),
    [
        ("B03", "optical_10m.tif", 1),
        ("B04", "optical_10m.tif", 2),
        ("B08", "optical_10m.tif", 3),
        ("B11", "optical_20m.tif", 1),
        ("QA60", "optical_20m.tif", 2),
    ],
)
def test_optical_keeps_both_resolutions(store: Path, band: str, name: str, index: int) -> None:
    levels = levels_of(store, "island/optical/20250614", band)
    assert len(levels) == (2 if "10m" in name else 1)
    assert np.array_equal(read(levels[0]), source(name, index))
    attributes = zarr.open_array(levels[0], mode="r").attrs
    if band == "QA60":
        assert "scale_factor" not in attributes or attributes["scale_factor"] == 1
    else:
        assert attributes["scale_factor"] == 0.0001
        assert attributes["add_offset"] == -0.1


def predicted(name: str, shape: list[int], kind: str) -> Pixels:
    """Return a feature of the predictions as a plane, by plain TensorFlow."""
    shards = sorted(str(path) for path in DATA.glob("predictions-*.tfrecord.gz"))
    wanted = tf.io.FixedLenFeature(shape, kind)
    patches = []
    for record in tf.data.TFRecordDataset(shards, "GZIP"):
        values = tf.io.parse_single_example(record, {name: wanted})[name].numpy()
        if kind == "string":
            values = np.frombuffer(values, dtype=np.uint8).reshape(80, 80)
        patches.append(values[8:-8, 8:-8])
    rows = [np.hstack(patches[start : start + 6]) for start in range(0, 30, 6)]
    return np.vstack(rows)


def test_predictions_are_placed_and_masked(store: Path) -> None:
    forest, classes = (
        predicted("forest", [80, 80], "float32"),
        predicted("class", [80, 80], "int64"),
    )
    clear = predicted("clear", [], "string")
    assert set(np.unique(clear)) == {0, 128, 255}
    zero, one = levels_of(store, "island/predictions", "forest")
    found = read(zero)
    assert np.array_equal(found[clear > 0], forest[clear > 0])
    assert np.isnan(found[clear == 0]).all()
    assert np.array_equal(read(mask_of(zero)), clear)
    top, _ = levels_of(store, "island/predictions", "class")
    assert np.array_equal(read(top)[clear > 0], classes[clear > 0])
    whole = (blocks(clear) == 255).all(axis=2)
    means = blocks(forest).astype(np.float64).mean(axis=2).astype(np.float32)
    assert np.array_equal(read(one)[whole], means[whole])
    # They lie upon the scene that they were made of: its water is where theirs is.
    scene = zarr.open_group(store / "zarr/island/optical/20250614", mode="r")
    group = zarr.open_group(zero.parent, mode="r")
    assert group.attrs["spatial:transform"] == scene["0"].attrs["spatial:transform"]


def test_the_sources_give_what_is_published(store: Path) -> None:
    found = verify_request(VerifyRequest(store=StoreLocation.of(store)))
    assert not found.is_different
    assert found.regions_checked == found.regions == 7
    for one in found.assets:
        assert (one.checked, one.lost, one.notes) == (one.tiles, (), ())
