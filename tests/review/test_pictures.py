"""A rendered pixel is the stretch of the stored value; masks are transparent, palettes exact."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from workbench import Workbench, image, write_tiff

from geobatch.model.assets.grid import Grid
from geobatch.model.geobox import Crs, GeoBox
from geobatch.model.published import AssetRecord
from geobatch.model.window import Window
from geobatch.review.pictures.colours import (
    HIGHER,
    LOWER,
    MASKED,
    OTHER,
    UNMASKED,
    Stretch,
    difference_of,
    grey_of,
    stretch_of,
)
from geobatch.review.pictures.pictures import BandPictures, asset_pictures
from geobatch.review.pictures.pixels import MOST_PIXELS, view_of
from geobatch.sources.png import encode_png
from geobatch.store.tilestore import TileStore


def decode(data: bytes) -> Any:
    with rasterio.MemoryFile(data) as memory, memory.open() as file:
        return np.moveaxis(file.read(), 0, 2)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_a_png_holds_the_pixels(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 4)).astype(np.uint8)
    data = encode_png(pixels)
    assert data.startswith(b"\x89PNG")
    assert np.array_equal(decode(data), pixels)


dtypes = st.sampled_from(["uint8", "int16", "int32", "uint64", "float32", "float64"])


@given(dtypes, st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_grey_is_the_stretch_between_percentiles(dtype: str, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.normal(100, 30, (30, 31))).astype(dtype)
    weights = np.where(rng.random((30, 31)) < share, 0, rng.integers(1, 256, (30, 31)))
    stretch = stretch_of([(values, weights.astype(np.uint8))])
    valid = [float(v) for v, w in zip(values.flat, weights.flat, strict=True) if w]
    if not valid:
        assert stretch is None
        return
    assert stretch is not None
    low, high = np.percentile(valid, [2, 98])
    assert (stretch.low, stretch.high) == (low, high)
    grey = grey_of(values, stretch)
    for value, shown in zip(values.flat, grey.flat, strict=True):
        share = 0.5 if high == low else (min(max(float(value), low), high) - low) / (high - low)
        assert abs(int(shown) - share * 255) <= 0.5 + 1e-6


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_need_no_stretch(value: float) -> None:
    values = np.array([[1.0, value, 3.0]], np.float32)
    weights = np.full((1, 3), 255, np.uint8)
    stretch = stretch_of([(values, weights)])
    assert stretch is not None
    assert 1 <= stretch.low < stretch.high <= 3
    assert grey_of(values, stretch)[0, 1] in {0, 255}
    assert stretch_of([(np.array([[value]]), weights[:, :1])]) is None


def test_a_constant_is_grey() -> None:
    assert grey_of(np.full((2, 2), 7.0), Stretch(low=7, high=7)).tolist() == [[128, 128]] * 2


def test_differences_have_the_colour_of_their_sign() -> None:
    old = np.array([[1, 5, 5, 5, 5, 200]], np.uint8)
    new = np.array([[1, 9, 1, 5, 5, 0]], np.uint8)
    before = np.array([[255, 255, 255, 255, 0, 0]], np.uint8)
    after = np.array([[255, 255, 255, 0, 255, 0]], np.uint8)
    picture, scale = difference_of((old, before), (new, after), is_class=False)
    assert scale == 4
    assert picture[0].tolist() == [
        [0, 0, 0, 0], [*HIGHER, 255], [*LOWER, 255], [*MASKED, 255], [*UNMASKED, 255], [0, 0, 0, 0],
    ]  # fmt: skip
    picture, scale = difference_of((old, before), (new, after), is_class=True)
    assert scale is None
    assert picture[0, 1].tolist() == picture[0, 2].tolist() == [*OTHER, 255]


def test_equal_nans_do_not_differ() -> None:
    values = np.array([[np.nan, 1.0]])
    weights = np.full((1, 2), 255, np.uint8)
    picture, _ = difference_of((values, weights), (values.copy(), weights), is_class=False)
    assert not picture.any()


@given(
    st.tuples(st.integers(1, 30_000), st.integers(1, 30_000)),
    st.tuples(*[st.floats(0, 1)] * 4),
    st.integers(0, 9),
)
def test_a_view_shows_the_box_at_a_level_that_fits(
    shape: tuple[int, int], cut: tuple[float, ...], lowest: int
) -> None:
    crs = Crs(code="EPSG:32633", wkt="")
    box = GeoBox(crs=crs, transform=(1, 0, 0, 0, -1, 0), height=shape[0], width=shape[1])
    grid = Grid(name="g", geobox=box)
    row, col = int(cut[0] * (shape[0] - 1)), int(cut[1] * (shape[1] - 1))
    height = max(int(cut[2] * (shape[0] - row)), 1)
    width = max(int(cut[3] * (shape[1] - col)), 1)
    view = view_of(grid, Window(row=row, col=col, height=height, width=width), lowest=lowest)
    window, (rows, cols) = view.window, grid.level(view.level).shape
    assert max(window.shape) <= MOST_PIXELS
    assert 0 <= window.row <= row >> view.level
    assert 0 <= window.col <= col >> view.level
    assert window.row + window.height <= rows
    assert window.col + window.width <= cols
    assert (window.row + window.height) << view.level >= row + height
    assert (window.col + window.width) << view.level >= col + width
    assert view.level >= min(lowest, grid.level_count - 1)
    # No finer level would fit.
    finer = max(height, width) >> (view.level - 1) if view.level > lowest else MOST_PIXELS
    assert finer >= MOST_PIXELS - 1


def records(bench: Workbench, asset: str) -> tuple[TileStore, list[AssetRecord]]:
    """Return the states of an asset, the oldest first."""
    store = TileStore.open(bench.store)
    entries = [head.tree.entry(asset) for head in store.log()][::-1]
    return store, [store.record(entry) for entry in entries if entry is not None]


def pictures(bench: Workbench, **more: Any) -> list[BandPictures]:
    store, states = records(bench, "a")
    bands = [band.id for band in states[-1].image.bands]
    titled = list(zip(("before", "after"), states, strict=False))
    options = {"bands": bands, "box": None, "lowest": 0, "most": 9, **more}
    return list(asset_pictures(store, titled, **options))


def test_pictures_of_a_store_are_its_pixels(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 200, (300, 700)).astype(np.int16)
    write_tiff(tmp_path / "a.tif", [pixels], nodata=0)
    bench.apply(image("a", "a.tif"))
    changed = pixels.copy()
    changed[100:110, 200:210] += 500
    changed[150, 300] = 0
    write_tiff(tmp_path / "a.tif", [changed], nodata=0)
    bench.apply(image("a", "a.tif"))
    (one,) = pictures(bench, box=Window(row=64, col=192, height=128, width=128))
    assert one.view.level == 0
    part = one.view.window.slices
    old, new, difference = (picture.pixels for picture in one.pictures)
    assert old.shape == (256, 256, 4)
    valid = np.concatenate([state[part][state[part] > 0] for state in (pixels, changed)])
    low, high = np.percentile(valid, [2, 98])
    for shown, stored in ((old, pixels[part]), (new, changed[part])):
        expected = np.rint((np.clip(stored, low, high) - low) / (high - low) * 255)
        is_valid = stored > 0
        assert np.array_equal(shown[..., 3] == 255, is_valid)
        assert not shown[~is_valid].any()
        assert np.array_equal(shown[..., 0][is_valid], expected[is_valid])
    was, now = pixels[part], changed[part]
    assert np.array_equal(difference[..., 3] > 0, was != now)
    row, col = 150 - part[0].start, 300 - part[1].start
    assert difference[row, col].tolist() == ([*MASKED, 255] if pixels[150, 300] else [0] * 4)
    # A whole image that is too large is shown from a level above.
    (whole,) = pictures(bench)
    assert whole.view.level == 1
    level = bench.array("a/1/b1")
    mask = bench.masks("a/1/b1")
    assert whole.pictures[1].pixels.shape[:2] == level.shape
    assert np.array_equal(whole.pictures[1].pixels[..., 3], mask)


def test_palettes_are_exact(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    pixels = (np.arange(64 * 70).reshape(64, 70) % 5).astype(np.uint8)
    path = write_tiff(tmp_path / "a.tif", [pixels], nodata=4)
    palette = {0: (1, 2, 3, 255), 1: (250, 0, 9, 255), 2: (0, 0, 0, 255), 3: (7, 77, 177, 255)}
    with rasterio.open(path, "r+") as file:
        file.write_colormap(1, palette)
    bench.apply(image("a", "a.tif", pyramiding_policy="MODE"))
    (one,) = pictures(bench)
    assert one.stretch is None
    assert one.is_class
    shown = one.pictures[0].pixels
    for value, colour in palette.items():
        assert (shown[pixels == value] == colour).all()
    assert not shown[pixels == 4].any()


def test_three_bands_are_one_picture_in_colour(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    bands = [np.full((40, 50), n, np.uint8) for n in (10, 20, 30)]
    for n, band in enumerate(bands):
        band[:20] = 100 + n
    write_tiff(tmp_path / "a.tif", [*bands, bands[0]])
    names = ("red", "green", "blue", "nir")
    listed = [
        {"id": name, "tileset_id": "t", "tileset_band_index": n} for n, name in enumerate(names)
    ]
    bench.apply(image("a", "a.tif", bands=listed))
    colour, nir = pictures(bench)
    assert (colour.name, nir.name) == ("red, green, blue", "nir")
    assert (colour.pictures[0].pixels[:20] == 255).all()
    assert (colour.pictures[0].pixels[20:, :, :3] == 0).all()


def test_states_on_different_grids_have_no_difference(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    for size in (50, 90):
        write_tiff(tmp_path / "a.tif", [np.full((size, 40), size, np.uint8)])
        bench.apply(image("a", "a.tif"))
    (one,) = pictures(bench)
    assert [(p.title, p.pixels.shape[0]) for p in one.pictures] == [("before", 50), ("after", 90)]
