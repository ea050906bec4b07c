"""Level 0 from real files, window by window, against a canvas that is painted by hand."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_pyramid import Masks, Values
from region_workbench import resolved
from workbench import LAYOUTS, PIXEL, X0, Y0, Document, assert_same, image, write_tiff

from geobatch.errors import SourceError
from geobatch.execute.tasks.ingest import ingest
from geobatch.model.assets.asset import AnyImage
from geobatch.model.window import Window
from geobatch.pyramid.pixels import Plane
from geobatch.sources.geotiff import Reader


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One source of a mosaic, as it must be painted."""

    values: Values
    masks: Masks
    row: int
    col: int


def painted(shape: tuple[int, int], pieces: Sequence[Piece], *, dtype: str, fill: float) -> Plane:
    """Paint pieces one over the other, each where it is valid; the rest is fill."""
    values = np.full(shape, fill, dtype=dtype)
    masks = np.zeros(shape, dtype=np.uint8)
    for piece in pieces:
        for row, col in np.argwhere(piece.masks > 0):
            y, x = piece.row + row, piece.col + col
            if 0 <= y < shape[0] and 0 <= x < shape[1]:
                values[y, x] = piece.values[row, col]
                masks[y, x] = piece.masks[row, col]
    return Plane(values, masks)


def ingested(
    asset: AnyImage, window: Window, bands: Sequence[str] | None = None
) -> Mapping[str, Plane]:
    wanted = [asset.band(name) for name in bands] if bands else asset.bands
    with Reader() as reader:
        return ingest(asset, wanted, window, reader=reader)


def whole(asset: AnyImage) -> Window:
    height, width = asset.grids[0].geobox.shape
    return Window(row=0, col=0, height=height, width=width)


def assert_plane(found: Plane, expected: Plane, window: Window, what: str = "") -> None:
    place = np.s_[window.row : window.row + window.height, window.col : window.col + window.width]
    assert expected.mask is not None
    masks = expected.mask[place]
    if found.mask is None:
        assert (masks == 255).all(), what
    else:
        assert_same(found.mask, masks, f"masks {what}")
    assert_same(np.ascontiguousarray(found.values), expected.values[place].copy(), what)


# --- any mosaic, any masking, any window ---------------------------------------------------------

KINDS = ("nothing", "nodata", "missing", "internal", "alpha", "last", "other")
DTYPES = ("uint8", "int16", "uint16", "float32", "float64", "int64", "uint64", "int8")


@dataclass(kw_only=True)
class Scene:
    """A mosaic that is being written, and what its bands must become."""

    folder: Path
    kind: str
    dtype: str
    shape: tuple[int, int]
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.pieces: list[list[Piece]] = [[], []]
        self.uris: list[str] = []

    def band(self, shape: tuple[int, int]) -> Values:
        values = self.rng.integers(0, 5, shape).astype(self.dtype)
        if values.dtype.kind == "f":
            values[self.rng.random(shape) < 0.1] = np.nan
        return values

    def add(self, *, row: int, col: int, shape: tuple[int, int], layout: int) -> None:
        """Write one more source."""
        bands = [self.band(shape), self.band(shape)]
        weights = self.rng.choice(np.array([0, 0, 1, 254, 255], dtype=np.uint8), shape)
        options: dict[str, Any] = {}
        if self.kind in {"nodata", "missing"}:
            options["nodata"] = 2
        elif self.kind == "internal":
            options["internal"] = weights = np.where(weights > 0, 255, 0).astype(np.uint8)
        elif self.kind in {"alpha", "last"}:
            options["has_alpha"] = self.kind == "alpha"
            bands.append(weights.astype(self.dtype))
        name = f"{len(self.uris)}.tif"
        write_tiff(
            self.folder / name, bands, row=row, col=col,
            layout=LAYOUTS[layout % len(LAYOUTS)], **options,
        )  # fmt: skip
        self.uris.append(name)
        for index, values in enumerate(bands[:2]):
            masks = np.full(shape, 255, dtype=np.uint8)
            if self.kind == "nodata":
                masks[values == 2] = 0
            elif self.kind == "missing":
                masks[(values == 3) | (values == 4)] = 0
            elif self.kind in {"internal", "alpha", "last"}:
                masks = weights.copy()
            masks[np.isnan(values)] = 0
            self.pieces[index].append(Piece(values=values, masks=masks, row=row, col=col))

    @property
    def fill(self) -> float:
        """The value of masked pixels."""
        if self.kind in {"nodata", "missing"}:
            return {"nodata": 2, "missing": 4}[self.kind]
        return math.nan if self.dtype.startswith("f") else 0

    def document(self) -> Document:
        """Return the spec: a canvas at the origin, whatever lies on it."""
        height, width = self.shape
        bounds = [X0, Y0 - height * PIXEL, X0 + width * PIXEL, Y0]
        more: dict[str, Any] = {"grid": {"bounds": bounds}}
        if self.kind == "missing":
            more["missing_data"] = {"values": [4, 3]}
        if self.kind == "last":
            more["mask_bands"] = [{"tileset_id": "t"}]
        if self.kind == "other":
            more["mask_bands"] = [{"tileset_id": "m"}]
            more["more_tilesets"] = [{"id": "m", "sources": [{"uris": ["mask.tif"]}]}]
        bands = [
            {"id": f"band{index}", "tileset_id": "t", "tileset_band_index": index}
            for index in range(2)
        ]
        return image("a", *self.uris, tile=16, bands=bands, **more)


@settings(max_examples=examples(20, 60), deadline=None)
@given(data=st.data(), kind=st.sampled_from(KINDS), dtype=st.sampled_from(DTYPES))
def test_any_window_of_any_mosaic_is_as_painted(data: st.DataObject, kind: str, dtype: str) -> None:
    dtype = "uint8" if kind in {"alpha", "last"} else dtype
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    layout = data.draw(st.integers(0, 5))
    with tempfile.TemporaryDirectory() as name:
        scene = Scene(folder=Path(name), kind=kind, dtype=dtype, shape=shape, rng=rng)
        # The first always lies on the canvas; the others may reach over it, or miss it.
        scene.add(row=0, col=0, shape=(20, 30), layout=layout)
        for _ in range(data.draw(st.integers(0, 3))):
            row, col = data.draw(st.tuples(st.integers(-30, 50), st.integers(-30, 50)))
            size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
            scene.add(row=row, col=col, shape=size, layout=layout)
        masks = rng.integers(0, 256, (45, 25), dtype=np.uint8)
        at = data.draw(st.tuples(st.integers(-9, 9), st.integers(-9, 9)))
        write_tiff(scene.folder / "mask.tif", [masks], row=at[0], col=at[1])
        asset = resolved(scene.folder, scene.document())
        top, left = (data.draw(st.integers(0, size - 1)) for size in shape)
        window = Window(
            row=top,
            col=left,
            height=data.draw(st.integers(1, shape[0] - top)),
            width=data.draw(st.integers(1, shape[1] - left)),
        )
        found = ingested(asset, window)
        for index in range(2):
            band = asset.band(f"band{index}")
            assert repr(float(band.fill)) == repr(float(scene.fill))
            expected = painted(shape, scene.pieces[index], dtype=dtype, fill=scene.fill)
            if kind == "other":
                piece = Piece(values=masks, masks=masks, row=at[0], col=at[1])
                weights = painted(shape, [piece], dtype="uint8", fill=0).values
                assert expected.mask is not None
                both = np.minimum(expected.mask, weights)
                expected.values[both == 0] = scene.fill
                expected = Plane(expected.values, both)
            assert_plane(found[band.id], expected, window, f"{kind} {dtype} {band.id}")
        # A band alone is what it is among others.
        (alone,) = ingested(asset, window, ["band1"]).values()
        assert_same(alone.values, found["band1"].values, "alone")


# --- bands that share pixels or masks ------------------------------------------------------------


def test_bands_of_one_source_band_do_not_disturb_each_other(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    write_tiff(tmp_path / "a.tif", [values])
    bands = [
        {"id": f"without{number}", "tileset_id": "t", "missing_data": {"values": [number, 11]}}
        for number in range(4)
    ]
    asset = resolved(tmp_path, image("a", "a.tif", tile=16, bands=bands))
    found = ingested(asset, whole(asset))
    for number in range(4):
        expected = values.copy()
        expected[2, 3] = number
        plane = found[f"without{number}"]
        assert plane.values.tolist() == expected.tolist()
        assert plane.mask is not None
        assert plane.mask.tolist() == np.where(np.isin(values, [number, 11]), 0, 255).tolist()


def test_a_mask_band_that_is_a_band_too_masks_itself(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 255]], dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [mask + np.uint8(7), mask])
    bands = [{"id": f"b{n}", "tileset_id": "t", "tileset_band_index": n} for n in range(2)]
    document = image("a", "a.tif", tile=16, bands=bands, mask_bands=[{"tileset_id": "t"}])
    asset = resolved(tmp_path, document)
    found = ingested(asset, whole(asset))
    for name, values in (("b0", [[0, 8, 6]]), ("b1", [[0, 1, 255]])):
        mask_found = found[name].mask
        assert found[name].values.tolist() == values
        assert mask_found is not None
        assert mask_found.tolist() == mask.tolist()


def test_a_band_with_the_files_mask_beside_one_with_a_mask_band(tmp_path: Path) -> None:
    shape = (2, 4)
    internal = np.array([[255, 255, 0, 0]] * 2, dtype=np.uint8)
    last = np.array([[0, 128, 128, 255]] * 2, dtype=np.uint8)
    other = np.array([[9, 9, 9, 0]] * 2, dtype=np.uint8)
    ones = np.ones(shape, dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [ones, ones, ones, last], internal=internal)
    write_tiff(tmp_path / "m.tif", [other])
    bands = [{"id": f"b{n}", "tileset_id": "t", "tileset_band_index": n} for n in range(3)]
    document = image(
        "a",
        "a.tif",
        tile=16,
        bands=bands,
        more_tilesets=[{"id": "m", "sources": [{"uris": ["m.tif"]}]}],
        mask_bands=[
            {"tileset_id": "t", "band_ids": ["b1"]},
            {"tileset_id": "m", "band_ids": ["b2"]},
        ],
    )
    asset = resolved(tmp_path, document)
    found = ingested(asset, whole(asset))
    for name, mask in (("b0", internal), ("b1", last), ("b2", other)):
        expected = Plane(np.where(mask == 0, 0, 1).astype(np.uint8), mask)
        assert_plane(found[name], expected, whole(asset), name)


def test_bands_of_one_internal_mask_are_painted_over_apart(tmp_path: Path) -> None:
    ones = np.ones((1, 3), dtype=np.float32)
    gap = np.array([[1, np.nan, 1]], dtype=np.float32)
    masks = [np.array([row], dtype=np.uint8) for row in ([255, 0, 0], [0, 255, 0])]
    write_tiff(tmp_path / "0.tif", [ones, ones], internal=masks[0])
    write_tiff(tmp_path / "1.tif", [ones, gap], internal=masks[1])
    asset = resolved(tmp_path, image("a", "0.tif", "1.tif", tile=16))
    found = ingested(asset, whole(asset))
    for name, expected in (("b1", [[255, 255, 0]]), ("b2", [[255, 0, 0]])):
        mask = found[name].mask
        assert mask is not None
        assert mask.tolist() == expected


# --- footprints ----------------------------------------------------------------------------------


@pytest.mark.parametrize("window", [(0, 0, 20, 30), (3, 5, 9, 11), (15, 21, 5, 9), (0, 0, 1, 1)])
def test_a_footprint_keeps_the_pixels_that_it_touches(
    tmp_path: Path, window: tuple[int, int, int, int]
) -> None:
    values = np.ones((20, 30), dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [values], nodata=0)
    left, top, right, bottom = 4.5, 2.25, 23.75, 16.5
    ring = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    footprint = {"points": [{"x": x, "y": y} for x, y in ring], "band_id": "b1"}
    asset = resolved(tmp_path, image("a", "a.tif", tile=16, footprint=footprint))
    place = Window(row=window[0], col=window[1], height=window[2], width=window[3])
    rows, cols = np.mgrid[0:20, 0:30]
    inside = (cols + 1 > left) & (cols < right) & (rows + 1 > top) & (rows < bottom)
    expected = Plane(
        np.where(inside, 1, 0).astype(np.uint8), np.where(inside, 255, 0).astype(np.uint8)
    )
    assert_plane(ingested(asset, place)["b1"], expected, place)


# --- dtypes --------------------------------------------------------------------------------------


def test_bytes_are_reinterpreted_and_others_widened(tmp_path: Path) -> None:
    values = np.array([[0, 1, 127, 128, 255]], dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [values], nodata=255)
    for data_type, expected in (
        ("INT8", [[0, 1, 127, -128, -1]]),
        ("UINT16", [[0, 1, 127, 128, 255]]),
        ("DOUBLE", [[0, 1, 127, 128, 255]]),
    ):
        document = image("a", "a.tif", tile=16, tileset={"data_type": data_type})
        asset = resolved(tmp_path, document)
        plane = ingested(asset, whole(asset))["b1"]
        assert plane.values.dtype == asset.bands[0].dtype
        assert plane.values.tolist() == expected
        assert plane.mask is not None
        assert plane.mask.tolist() == [[255, 255, 255, 255, 0]]


def test_a_source_of_another_type_than_resolved_is_refused(tmp_path: Path) -> None:
    write_tiff(tmp_path / "a.tif", [np.ones((4, 4), dtype=np.uint8)])
    asset = resolved(tmp_path, image("a", "a.tif", tile=16))
    write_tiff(tmp_path / "a.tif", [np.ones((4, 4), dtype=np.int32)])
    with pytest.raises(SourceError, match=r"a\.tif.*changed"):
        ingested(asset, whole(asset))


def test_what_runs_tasks_loads_gdal_only_where_a_source_is_read() -> None:
    code = (
        "import sys, geobatch.execute.checking, geobatch.execute.scheduler\n"
        "import geobatch.execute.tasks.runner\n"
        "print({'affine', 'numcodecs', 'pyproj', 'rasterio', 'zarr'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
