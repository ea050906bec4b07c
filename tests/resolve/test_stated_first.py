"""What a spec states is asked first: a file's own wrong value matters only where it is needed."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from record_workbench import Export, numbered
from shell import geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch.declare import validate
from geobatch.errors import SourceError
from geobatch.model.assets.asset import AnyImage
from geobatch.resolve import resolve

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

SINUSOIDAL = "+proj=sinu +R=6371007.181"
PIXEL = 463.3127165279165
AFFINE = {"scale_x": PIXEL, "translate_x": -9e6, "scale_y": -PIXEL, "translate_y": 4e6}
STATED = {"crs": SINUSOIDAL, "affine_transform": AFFINE}
PIXELS = numbered(8, 12)


def mixer(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], list[str]]:
    """Return what writes an export, and changes its mixer."""

    def write(folder: Path) -> list[str]:
        Export(bands={"p": PIXELS}, patch=(4, 6)).write(folder)
        path = folder / "pred-mixer.json"
        found = json.loads(path.read_text())
        change(found)
        path.write_text(json.dumps(found))
        return ["pred-*.tfrecord.gz", "pred-mixer.json"]

    return write


def unknown_code(found: dict[str, Any]) -> None:
    found["projection"]["crs"] = "SR-ORG:6974"


def no_text(found: dict[str, Any]) -> None:
    found["projection"]["crs"] = 6974


def no_crs(found: dict[str, Any]) -> None:
    del found["projection"]["crs"]


def no_area(found: dict[str, Any]) -> None:
    found["projection"]["affine"]["doubleMatrix"] = [0, 0, 5, 0, 0, 5]


def no_numbers(found: dict[str, Any]) -> None:
    found["projection"]["affine"]["doubleMatrix"] = "here"


def no_affine(found: dict[str, Any]) -> None:
    del found["projection"]["affine"]


def no_projection(found: dict[str, Any]) -> None:
    del found["projection"]


def geocentric(folder: Path) -> list[str]:
    """Write a GeoTIFF whose CRS has no plane: its GeoKey says a model of type 3."""
    path = write_tiff(folder / "a.tif", [PIXELS])
    data, key = bytearray(path.read_bytes()), struct.pack("<3H", 1024, 0, 1)
    assert data.count(key) == 1
    struct.pack_into("<H", data, data.find(key) + 6, 3)
    path.write_bytes(data)
    return ["a.tif"]


def singular(folder: Path) -> list[str]:
    path = folder / "a.tif"
    place = rasterio.Affine(7, 0.5, 0, 0.5, 7, 0)
    write(path, transform=place)
    old = struct.pack("<2d", 7, 0.5)
    data = path.read_bytes()
    assert data.count(old) == 1
    path.write_bytes(data.replace(old, struct.pack("<2d", 0, 0)))
    return ["a.tif"]


def by_points(folder: Path) -> list[str]:
    points = [GroundControlPoint(r, c, 10.0 * c, 5.0 * r) for r, c in ((0, 0), (0, 4), (4, 0))]
    write(folder / "a.tif", gcps=points)
    return ["a.tif"]


def write(path: Path, **options: Any) -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=8, width=12, count=1, dtype="float32",
        **{"crs": "EPSG:32633", **options},
    ) as file:  # fmt: skip
        file.write(PIXELS, 1)


def bad_projection(folder: Path) -> list[str]:
    write_tiff(folder / "a.tif", [PIXELS], crs=None)
    (folder / "a.prj").write_text('PROJCS["half')
    return ["a.tif", "a.prj"]


def bad_world(folder: Path) -> list[str]:
    write(folder / "a.tif")
    (folder / "a.tfw").write_text("no numbers")
    return ["a.tif", "a.tfw"]


CASES = [
    (mixer(unknown_code), "crs", "`SR-ORG:6974` is not a coordinate reference system"),
    (mixer(no_text), "crs", "expected a code such as"),
    (mixer(no_crs), "crs", "has no `projection.crs`"),
    (mixer(no_area), "affine_transform", "is not valid"),
    (mixer(no_numbers), "affine_transform", "expected six numbers"),
    (mixer(no_affine), "affine_transform", "has no `projection.affine.doubleMatrix`"),
    (geocentric, "crs", "the CRS cannot be read"),
    (singular, "affine_transform", "is not valid"),
    (by_points, "affine_transform", "3 ground control points"),
    (bad_projection, "crs", "`a.prj` of `a.tif`"),
    (bad_world, "affine_transform", "a world file must hold six numbers"),
]
NAMES = [
    "mixer-unknown-crs", "mixer-crs-no-text", "mixer-without-crs", "mixer-singular",
    "mixer-affine-text", "mixer-without-affine", "tiff-geocentric", "tiff-singular", "tiff-gcps",
    "prj", "world",
]  # fmt: skip


def document(uris: list[str], stated: set[str], asset_id: str = "x") -> Document:
    source: Document = {"uris": uris}
    tileset: Document = {"sources": [source]}
    if "crs" in stated:
        tileset["crs"] = SINUSOIDAL
    if "affine_transform" in stated:
        source["affine_transform"] = AFFINE
    return image(asset_id, tileset=tileset)


def resolved(folder: Path, spec: Document) -> AnyImage:
    (asset,) = resolve(validate([Workbench(folder=folder).write_spec([spec])])).images
    return asset


@pytest.mark.parametrize(("make", "key", "words"), CASES, ids=NAMES)
def test_a_wrong_value_counts_unless_the_spec_states_another(
    tmp_path: Path, make: Callable[[Path], list[str]], key: str, words: str
) -> None:
    uris = make(tmp_path)
    (other,) = {"crs", "affine_transform"} - {key}
    for stated in (set(), {other}):
        with pytest.raises(SourceError) as caught:
            resolved(tmp_path, document(uris, stated))
        assert words in caught.value.message
        assert "spec" in (caught.value.hint or "") or "export wrote" in (caught.value.hint or "")
    # The other half is the file's; points that place a file have a CRS of their own.
    stated = set(STATED) if make is by_points else {key}
    box = resolved(tmp_path, document(uris, stated)).grids[0].geobox
    if key == "crs":
        assert box.crs.code is None
        assert "6371007.181" in box.crs.wkt
    else:
        assert box.transform == (PIXEL, 0, -9e6, 0, -PIXEL, 4e6)


@pytest.mark.parametrize("make", [mixer(no_projection), geocentric], ids=["mixer", "tiff"])
def test_pixels_come_where_the_spec_says_and_the_cache_keeps_both_ways(
    tmp_path: Path, make: Callable[[Path], list[str]]
) -> None:
    """One asset states the placement, another of the same file does not; looks are remembered."""
    uris = make(tmp_path)
    bench = Workbench(folder=tmp_path)
    good, bad = document(uris, set(STATED)), document(uris, set(), "y")
    for _ in range(2):
        bench.apply(good)
        band = next(iter(bench.names("x/0")))
        assert np.array_equal(bench.array(f"x/0/{band}"), PIXELS)
        attributes = bench.group("x/0").attrs
        assert attributes["spatial:transform"] == [PIXEL, 0.0, -9e6, 0.0, -PIXEL, 4e6]
        done = geobatch("--store", bench.store, "plan", bench.write_spec([good, bad], "b.yaml"))
        assert done.code == 7, done
        assert "`y`" in done.err


def test_metadata_that_is_not_read_cannot_be_wrong(tmp_path: Path) -> None:
    uris = geocentric(tmp_path)
    spec = document(uris, set(STATED))
    spec["tilesets"][0]["data_type"] = "FLOAT"
    spec["tilesets"][0]["sources"][0]["dimensions"] = {"width": 12, "height": 8}
    box = resolved(tmp_path, {**spec, "skip_metadata_read": True}).grids[0].geobox
    assert box.transform[0] == PIXEL


def test_dimensions_are_a_statement_that_the_file_must_meet(tmp_path: Path) -> None:
    for make in (mixer(no_projection), geocentric):
        spec = document(make(tmp_path), set(STATED))
        source = spec["tilesets"][0]["sources"][0]
        source["dimensions"] = {"width": 12, "height": 8}
        assert resolved(tmp_path, spec).grids[0].geobox.shape == (8, 12)
        source["dimensions"] = {"width": 12, "height": 9}
        with pytest.raises(Exception, match="12 x 8 pixels"):
            resolved(tmp_path, spec)
