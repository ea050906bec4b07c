"""A folder of Earth Engine manifests, as it is: ingested, rewritten, written back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from mask_kinds import DTYPES, Bench, kinds_of
from msgspec.structs import replace
from reference_ingest import Plane, expect
from reference_pyramid import Values
from shell import geobatch
from workbench import CRS, PIXEL, X0, Y0, Document, Workbench, image, write_tiff

from geobatch.declare import validate
from geobatch.declare.earth_engine.to_manifest import export_manifest
from geobatch.model.assets.asset import AnyImage, Codec
from geobatch.resolve import resolve

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

COMPLETE: Document = {
    "name": "projects/my-project/assets/col/img1",
    "uriPrefix": "gs://b/d/",
    "tilesets": [
        {"id": "data", "crs": CRS, "dataType": "UINT16",
         "sources": [{"uris": ["t0.tif"]}, {"uris": ["t1.tif", "t1.tfw"]}]},
        {"id": "mask",
         "sources": [{"uris": ["m.tif"],
                      "affineTransform": {"scaleX": PIXEL, "shearX": 0, "translateX": X0,
                                          "shearY": 0, "scaleY": -PIXEL, "translateY": Y0}}]},
    ],
    "bands": [
        {"id": "NDVI", "tilesetId": "data", "tilesetBandIndex": 0, "pyramidingPolicy": "MEAN",
         "missingData": {"values": [-9999]}},
        {"id": "QA", "tilesetId": "data", "tilesetBandIndex": 1, "pyramidingPolicy": "SAMPLE",
         "missingData": {"values": []}},
    ],
    "maskBands": [{"tilesetId": "mask", "bandIds": ["NDVI"]}],
    "missingData": {"values": [0]},
    "pyramidingPolicy": "MEAN",
    "startTime": "1980-01-31T00:00:00Z",
    "endTime": "1980-02-01T00:00:00Z",
    "properties": {"version": "1.1", "n": 3},
    "memo": "free text",
}  # fmt: skip
"""Every documented part of an ImageManifest, as the guide shows them together."""
SHAPE, WIDTHS = (523, 70), (40, 30)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests").mkdir()
    (tmp_path / "mirror/d").mkdir(parents=True)
    (tmp_path / "geobatch.yaml").write_text('uri_map: {"gs://b/": mirror/}\n')
    return Workbench(folder=tmp_path)


def bare(path: Path, bands: list[Values]) -> None:
    """Write a TIFF that does not say where it lies."""
    height, width = bands[0].shape
    with rasterio.open(
        path, "w", driver="GTiff", height=height, width=width, count=len(bands),
        dtype=bands[0].dtype.name,
    ) as file:  # fmt: skip
        file.write(np.stack(bands))


def write_complete(bench: Workbench) -> tuple[list[list[Values]], Values]:
    """Write the manifest and its files; return the bands of both sources, and the mask."""
    rng = np.random.default_rng(5)
    height, width = SHAPE
    halves = [
        [rng.integers(0, 7, (height, part), dtype=np.uint16) for _ in range(2)] for part in WIDTHS
    ]
    mask = rng.integers(0, 256, SHAPE, dtype=np.uint8)
    folder = bench.folder / "mirror/d"
    write_tiff(folder / "t0.tif", halves[0], nodata=3)
    bare(folder / "t1.tif", halves[1])
    with rasterio.open(folder / "t1.tif", "r+") as file:
        file.nodata = 3
    x, y = X0 + WIDTHS[0] * PIXEL + PIXEL / 2, Y0 - PIXEL / 2
    (folder / "t1.tfw").write_text(f"{PIXEL}\n0\n0\n{-PIXEL}\n{x}\n{y}\n")
    bare(folder / "m.tif", [mask])
    with rasterio.open(folder / "m.tif", "r+") as file:
        file.crs = CRS
    assert width == sum(WIDTHS)
    (bench.folder / "manifests/img1.json").write_text(json.dumps(COMPLETE))
    return halves, mask


def test_the_complete_example_is_ingested_as_it_is(bench: Workbench) -> None:
    halves, mask = write_complete(bench)
    done = geobatch("apply", "manifests")
    assert done.code == 0, done.err

    def planes(index: int) -> list[Plane]:
        return [
            Plane(values=half[index], col=col, nodata=3)
            for half, col in zip(halves, (0, WIDTHS[0]), strict=True)
        ]

    # No pixel is -9999: the value masks nothing, and the file's own nodata is set aside.
    bands = {
        "NDVI": expect(planes(0), shape=SHAPE, policy="MEAN", missing=[], mask_band=mask),
        "QA": expect(planes(1), shape=SHAPE, policy="SAMPLE", missing=[]),
    }
    bench.assert_bands("col/img1", bands)
    (warning,) = [one for one in geobatch("--json", "plan", "manifests").lines
                  if one["type"] == "warning"]  # fmt: skip
    assert (warning["rule"], warning["path"]) == ("nodata-outside-type", "manifests/img1.json")
    shown = json.loads(geobatch("show", "col/img1").out)
    tilesets = shown["recorded"]["tilesets"]
    uris = [source["uri"] for tileset in tilesets for source in tileset["sources"]]
    assert uris == ["gs://b/d/t0.tif", "gs://b/d/t1.tif", "gs://b/d/m.tif"]


def content_root(bench: Workbench, store: str, *paths: str) -> str:
    done = geobatch("--json", "--store", store, "apply", "--init", *paths)
    assert done.code == 0, done.err
    root: str = done.record("summary")["content_root"]
    return root


def test_imported_exported_and_local_it_is_the_same_asset(bench: Workbench) -> None:
    write_complete(bench)
    root = content_root(bench, "store", "manifests")

    assert geobatch("import", "manifests", "-o", "specs").code == 0
    assert geobatch("validate", "specs").code == 0
    plan = geobatch("--json", "plan", "specs", "--detailed-exitcode")
    assert plan.code == 0, plan.out

    argv = ["export", "col/img1", "back/img1.json", "--format", "manifest"]
    assert geobatch(*argv, "--project", "my-project").code == 0
    assert geobatch("plan", "back", "--detailed-exitcode").code == 0
    back = json.loads((bench.folder / "back/img1.json").read_text())
    assert back["name"] == COMPLETE["name"]
    assert [[set(source) for source in tileset["sources"]] for tileset in back["tilesets"]] == [
        [{"uris"}, {"uris", "affineTransform"}], [{"uris", "affineTransform"}],
    ]  # fmt: skip

    # Mapping moves no content: the same files under local names give the same root.
    local = COMPLETE | {"uriPrefix": "../mirror/d/"}
    (bench.folder / "here").mkdir()
    (bench.folder / "here/a.json").write_text(json.dumps(local))
    assert content_root(bench, "other", "here") == root
    (bench.folder / "geobatch.yaml").write_text('uri_map: {"gs://b/": moved/}\n')
    (bench.folder / "mirror").rename(bench.folder / "moved")
    assert geobatch("plan", "manifests", "--detailed-exitcode").code == 0


def test_the_prefix_is_kept_where_asked(bench: Workbench) -> None:
    write_complete(bench)
    flag = "--keep-project-prefix"
    assert geobatch("plan", "manifests", flag, "-o", "p.json").code == 0
    assert geobatch("apply", "p.json").code == 0
    assert geobatch("-q", "ls").out.split()[0] == COMPLETE["name"]
    assert "1 up to date" in geobatch("status", "manifests", flag).out
    assert geobatch("why", COMPLETE["name"], "manifests", flag).code == 0
    assert "1 up to date" not in geobatch("status", "manifests").out
    exported = geobatch("export", COMPLETE["name"], "--format", "manifest")
    assert json.loads(exported.out)["name"] == COMPLETE["name"]


# --- export -------------------------------------------------------------------------------------

KEYS = {
    "": {"name", "properties", "uriPrefix", "tilesets", "bands", "maskBands", "footprint",
         "missingData", "pyramidingPolicy", "startTime", "endTime", "memo"},
    "tilesets": {"id", "sources", "dataType", "crs"},
    "sources": {"uris", "affineTransform"},
    "affineTransform": {"scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY"},
    "bands": {"id", "tilesetId", "tilesetBandIndex", "missingData", "pyramidingPolicy"},
    "maskBands": {"tilesetId", "bandIds"},
    "missingData": {"values"},
    "footprint": {"points", "bandId"},
    "points": {"x", "y"},
}  # fmt: skip
"""The documented fields, by the field that holds them."""


def assert_documented(value: Any, field: str = "") -> None:
    """Assert that a manifest has no other fields, and that it is JSON."""
    if isinstance(value, dict):
        if field != "properties":
            assert value.keys() <= KEYS[field], field
        for key, child in value.items():
            assert_documented(child, key)
    elif isinstance(value, list):
        for child in value:
            assert_documented(child, field)


def resolved(bench: Workbench, name: str, document: Document) -> AnyImage:
    path = bench.folder / name
    path.write_text(json.dumps(document, allow_nan=False))
    return resolve(validate([path])).images[0]


def round_trip(bench: Workbench, document: Document) -> None:
    """Assert that the manifest of an asset resolves to that asset."""
    spec = bench.write_spec([document])
    asset = replace(resolve(validate([spec])).images[0], tile=512, codec=Codec())
    made = export_manifest(asset, name=f"projects/some-project/assets/{asset.id}")
    assert_documented(made.manifest)
    again = resolved(bench, "back.json", made.manifest)
    assert again == asset
    assert [tileset.has_own_crs for tileset in again.tilesets] == [
        tileset.has_own_crs for tileset in asset.tilesets
    ]


@pytest.mark.parametrize(
    ("dtype", "kind"), [(dtype, kind.__name__) for dtype in DTYPES for kind in kinds_of(dtype)]
)
def test_every_masking_comes_back(tmp_path: Path, dtype: str, kind: str) -> None:
    make = next(each for each in kinds_of(dtype) if each.__name__ == kind)
    rng = np.random.default_rng([DTYPES.index(dtype), len(kind)])
    case = make(Bench(folder=tmp_path, name="a", dtype=dtype, shape=(5, 12), rng=rng))
    round_trip(Workbench(folder=tmp_path), case.document)


@pytest.mark.parametrize("origin", [0.1, 1e7 / 3, -179.99583333, 12345.678901234])
@pytest.mark.parametrize("size", [10.0, 0.1, 1 / 3, 0.000277777777777778])
def test_a_mosaic_that_the_spec_places_comes_back_to_the_last_bit(
    tmp_path: Path, origin: float, size: float
) -> None:
    sources = []
    for number, (row, col) in enumerate([(4, 7), (0, 14), (8, 0)]):
        bare(tmp_path / f"{number}.tif", [np.ones((4, 7), dtype=np.uint8)])
        place = {
            "scale_x": size, "translate_x": origin + col * size,
            "scale_y": -size, "translate_y": origin / 7 - row * size,
        }  # fmt: skip
        sources.append({"uris": [f"{number}.tif"], "affine_transform": place})
    round_trip(Workbench(folder=tmp_path), image("a", tileset={"crs": CRS, "sources": sources}))


def test_footprint_times_and_properties_come_back(tmp_path: Path) -> None:
    ones = np.ones((30, 40), dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [ones, ones])
    ring = [{"x": x, "y": y} for x, y in ((0.5, 0.5), (0.5, 9.5), (9.5, 9.5), (0.5, 0.5))]
    document = image(
        "a", "a.tif", footprint={"points": ring, "band_id": "b2"}, start_time="2020-01-01",
        end_time="2021-01-01", properties={"n": 3, "x": 1.5, "s": "a"}, memo="Notes.",
        pyramiding_policy="MODE",
    )  # fmt: skip
    round_trip(Workbench(folder=tmp_path), document)


def test_what_earth_engine_lacks_is_said(bench: Workbench) -> None:
    write_tiff(bench.folder / "a.tif", [np.ones((64, 64), dtype=np.int64)])
    document = image(
        "a", "a.tif", codec="zstd", lifecycle={"protect": True},
        grid={"bounds": [X0, Y0 - 40 * PIXEL, X0 + 40 * PIXEL, Y0]},
    )  # fmt: skip
    bench.apply(document)
    argv = ["export", "a", "--format", "manifest"]
    assert geobatch(*argv).code == 64
    done = geobatch(*argv, "--project", "p-12345")
    assert done.code == 0
    for words in ("only `gs://` uris", "INT64", "`tiling`, `grid.bounds`, `codec`, `lifecycle`"):
        assert words in done.err
    told = geobatch(*argv, "--project", "p-12345", "--uri-prefix", "gs://b/")
    assert "only `gs://` uris" not in told.err
    assert json.loads(told.out)["uriPrefix"] == "gs://b/"
    assert geobatch("export", "a", "a.tif", *argv[2:], "--project", "p").code == 1
    assert geobatch("export", "b", "--format", "manifest", "--project", "p").code == 1
