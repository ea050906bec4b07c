"""Manifests of published assets: where their files are, what Earth Engine refuses, and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from shell import Done, geobatch
from table_workbench import Row, floats, longs, texts, write_shard
from workbench import Document, Workbench, image, write_tiff

from geobatch.declare import validate
from geobatch.model.assets.asset import Asset, Table, image_of
from geobatch.resolve import resolve

ARGV = ["--format", "manifest", "--project", "some-project"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "data/b", "data/inner/c", "near/d"):
        path = tmp_path / f"specs/{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tiff(path, [np.full((4, 4), 7, np.uint8)])
    write_tiff(tmp_path / "outside.tif", [np.full((4, 4), 7, np.uint8)])
    return Workbench(folder=tmp_path)


def publish(bench: Workbench, document: Document, project: str = "") -> Asset:
    spec = bench.folder / "specs/spec.json"
    spec.write_text(json.dumps(document))
    (spec.parent / "geobatch.yaml").write_text(project)
    done = geobatch("apply", spec)
    assert done.code == 0, done.err
    return resolve(validate([spec])).assets[0]


def uris(done: Done) -> list[str]:
    assert done.code == 0, done.err
    found = json.loads(done.out)
    sources = found.get("sources") or [s for t in found["tilesets"] for s in t["sources"]]
    return [found.get("uriPrefix", "") + uri for source in sources for uri in source["uris"]]


MAP = 'uri_map: {"gs://one/x/": data/, "gs://two/": data/inner/, "s3://three/": near/}\n'


@pytest.mark.parametrize("argv", [[], ["--uri-prefix", "gs://mine/p/"]])
def test_the_map_of_the_project_is_inverted(bench: Workbench, argv: list[str]) -> None:
    files = ["data/b.tif", str(bench.folder / "specs/data/inner/c.tif"), "near/../data/b.tif"]
    publish(bench, image("i", *files), MAP)
    done = geobatch("export", "i", *ARGV, *argv)
    assert uris(done) == ["gs://one/x/b.tif", "gs://two/c.tif", "gs://one/x/b.tif"]
    assert "`gs://` alone" not in done.err


def test_the_manifest_leads_back_to_the_same_asset(bench: Workbench) -> None:
    asset = image_of(publish(bench, image("i", "data/b.tif", "data/inner/c.tif", tile=512), MAP))
    made = bench.folder / "specs/back.json"
    assert geobatch("export", "i", made, *ARGV).code == 0
    back = resolve(validate([made])).images[0]
    assert [source.path for source in back.tilesets[0].sources] == [
        source.path for source in asset.tilesets[0].sources
    ]
    bands, grids = back.bands, back.grids
    assert (bands, grids) == (asset.bands, asset.grids)


def test_what_no_mirror_leads_to_has_the_prefix(bench: Workbench) -> None:
    publish(bench, image("i", "a.tif", "near/d.tif", "./data/../a.tif"))
    done = geobatch("export", "i", *ARGV, "--uri-prefix", "gs://mine/p/")
    assert uris(done) == ["gs://mine/p/a.tif", "gs://mine/p/near/d.tif", "gs://mine/p/a.tif"]
    assert json.loads(done.out)["uriPrefix"] == "gs://mine/p/"


def test_what_is_in_a_bucket_already_is_left_alone(bench: Workbench) -> None:
    publish(bench, image("i", "gs://one/x/b.tif", "a.tif"), MAP)
    done = geobatch("export", "i", *ARGV, "--uri-prefix", "gs://mine/")
    assert uris(done) == ["gs://one/x/b.tif", "gs://mine/a.tif"]


def test_what_cannot_be_said_is_refused_by_name(bench: Workbench) -> None:
    outside = str(bench.folder / "outside.tif")
    publish(bench, image("i", "a.tif", "../outside.tif", outside))
    done = geobatch("export", "i", "m.json", *ARGV, "--uri-prefix", "gs://mine/")
    assert done.code == 1
    assert "2 of 3 uris" in done.err
    assert "`../outside.tif`" in done.err
    assert f"`{outside}`" in done.err
    assert "uri_map" in done.err
    assert not (bench.folder / "m.json").exists()
    assert "only `gs://` uris, and 3 of 3" in geobatch("export", "i", *ARGV).err


def test_of_two_mirrors_the_one_that_leads_back_counts(bench: Workbench) -> None:
    # `gs://b/inner/` leads elsewhere, so that `gs://b/inner/c.tif` is not this file.
    project = 'uri_map: {"gs://b/": data/, "gs://b/inner/": near/}\n'
    publish(bench, image("i", "data/inner/c.tif"), project)
    done = geobatch("export", "i", *ARGV, "--uri-prefix", "gs://mine/")
    assert uris(done) == ["gs://mine/data/inner/c.tif"]


@pytest.mark.parametrize("name", ["1999", "_b", "-b", "b" * 101])
def test_band_ids_that_earth_engine_refuses(bench: Workbench, name: str) -> None:
    publish(bench, image("i", "a.tif", bands=[{"id": name, "tileset_id": "t"}]))
    done = geobatch("export", "i", *ARGV)
    assert done.code == 0
    assert f"refuses the band ids `{name}`" in done.err


@pytest.mark.parametrize("name", ["b1999", "B-1_x", "b" * 100])
def test_band_ids_that_earth_engine_takes(bench: Workbench, name: str) -> None:
    publish(bench, image("i", "a.tif", bands=[{"id": name, "tileset_id": "t"}]))
    assert "refuses" not in geobatch("export", "i", *ARGV).err


def test_properties_and_projects_that_earth_engine_refuses(bench: Workbench) -> None:
    keys = {"system:time_start": 1, "system:index": "a", "system:title": "t", "plain": 2}
    publish(bench, image("i", "a.tif", properties=keys))
    err = geobatch("export", "i", *ARGV).err
    assert "`system:time_start`: they are `startTime`" in err
    assert "properties `system:index`" in err
    assert "refuses the project" not in err
    assert "refuses the project `p`" in geobatch("export", "i", *ARGV[:2], "--project", "p").err


@pytest.mark.parametrize(
    "argv",
    [
        ["--project", "a/b"], ["--project", ""], ["--project", "a b"],
        ["--project", "some-project", "--uri-prefix", "data/"],
        ["--project", "some-project", "--uri-prefix", "gs://"],
    ],
)  # fmt: skip
def test_what_names_neither_project_nor_bucket(bench: Workbench, argv: list[str]) -> None:
    publish(bench, image("i", "a.tif"))
    assert geobatch("export", "i", "--format", "manifest", *argv).code == 64


SOURCES: list[dict[str, Any]] = [
    {},
    {"crs": "EPSG:32633"},
    {"crs": "EPSG:32633", "x_column": "longitude", "y_column": "latitude"},
    {"x_column": "", "y_column": ""},
    {"x_column": "latitude", "y_column": "longitude", "charset": "latin-1"},
]


@pytest.mark.parametrize("source", SOURCES)
def test_a_table_comes_back(bench: Workbench, source: dict[str, Any]) -> None:
    row: Row = {"longitude": floats(1.0), "latitude": floats(2.0), "n": longs(3), "t": texts("a")}
    for name in ("r1", "r2"):
        write_shard(bench.folder / f"specs/data/{name}.tfrecord.gz", [row])
    document = {
        "kind": "table", "id": "t/rows", "sources": [{"uris": ["data/r*.tfrecord.gz"], **source}],
        "column_data_type_overrides": {"n": "NUMERIC", "t": "STRING"}, "start_time": "2025-01-01",
        "properties": {"a": 1}, "memo": "m",
    }  # fmt: skip
    asset = publish(bench, document, MAP)
    done = geobatch("export", "t/rows", *ARGV, "--uri-prefix", "gs://mine/")
    assert uris(done) == ["gs://one/x/r1.tfrecord.gz", "gs://one/x/r2.tfrecord.gz"]
    made = bench.folder / "specs/back.json"
    made.write_text(done.out)
    back = resolve(validate([made])).assets[0]
    assert isinstance(back, Table)
    assert isinstance(asset, Table)
    sources = tuple(
        replace(one, uri=other.uri) for one, other in zip(back.sources, asset.sources, strict=True)
    )
    assert replace(back, sources=sources) == asset


def test_the_shards_of_an_image_are_not_made_up(bench: Workbench) -> None:
    publish(bench, image("i", "a.tif"))
    argv = ["export", "i", str(bench.folder / "specs/e"), "--format", "tfrecord"]
    assert geobatch(*argv, "--patch-dimensions", "4,4").code == 0
    shards = ["e-00000.tfrecord.gz", "e-mixer.json"]
    document = {"id": "r", "tilesets": [{"id": "t", "sources": [{"uris": shards}]}]}
    publish(bench, document)
    done = geobatch("export", "r", *ARGV)
    assert done.code == 1
    assert "`e-mixer.json`" in done.err
