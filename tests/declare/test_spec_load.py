"""Specs load whole, normalised and positioned."""

from __future__ import annotations

import json
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from geobatch.declare import ImageSpec, load, problem
from geobatch.errors import SpecError
from geobatch.model.assets.asset import Codec, Kind, Policy

FULL = """\
# yaml-language-server: $schema=../schema/geobatch.v1.json
kind: image
id: landcover/eu_2025
uri_prefix: data/
tilesets:
  - id: main
    crs: EPSG:32633
    data_type: float
    sources:
      - uris: [lc_*.tif]
        affine_transform: {scale_x: 1, scale_y: 1}
        dimensions: {width: 1, height: 2}
      - uris: [extra.tif]
        affine_transform: {scale_x: 10, translate_x: 5e5, scale_y: -10, translate_y: 5000000}
        dimensions: {width: 3, height: 4}
  - id: mask
    crs: EPSG:32633
    data_type: UINT8
    sources:
      - uris: [m.tif]
        affine_transform: {scale_x: 10, scale_y: -10}
        dimensions: {width: 3, height: 4}
bands:
  - {id: class, tileset_id: main, pyramiding_policy: mode, missing_data: {values: [255, .nan]}}
  - id: QA
    tileset_id: main
    tileset_band_index: 1
    missing_data: {values: []}
array_bands: {series: [QA, class], one: [QA]}
mask_bands: {tileset_id: mask, band_ids: [class]}
missing_data: {values: [-9999]}
pyramiding_policy: Min
footprint:
  band_id: QA
  points: [{x: 0.5, y: 0.5}, {x: 0.5, y: 1.5}, {x: 1.5, y: 1.5}, {x: 0.5, y: 0.5}]
start_time: 2025-01-01
end_time: "2026-01-01T00:30:00.25+01:00"
properties: {version: "1.1", n: 3, area: 1.5, fooBar: a, foo_bar: b, system:index: q}
skip_metadata_read: true
memo: notes
tiling: {tile: 256}
codec: {name: blosc, level: 5, compressor: lz4, shuffle: shuffle}
grid: {bounds: [0, 1, 20, 31.5]}
lifecycle: {protect: true}
"""


def spec_of(folder: Path, text: str, name: str = "a.yaml") -> ImageSpec:
    file = folder / name
    file.write_text(text)
    (spec,) = load([file]).specs
    assert isinstance(spec, ImageSpec)
    return spec


def test_every_field_arrives(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, FULL)
    assert spec.id == "landcover/eu_2025"
    assert spec.kind is Kind.IMAGE
    assert spec.uri_prefix == "data/"
    main, mask = spec.tilesets
    assert (main.id, main.crs, main.dtype) == ("main", "EPSG:32633", "float32")
    assert (mask.id, mask.crs, mask.dtype) == ("mask", "EPSG:32633", "uint8")
    first, placed = main.sources
    assert (first.uris, first.dimensions) == (("lc_*.tif",), (1, 2))
    assert placed.affine_transform == (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0)
    assert placed.dimensions == (3, 4)
    assert spec.bands is not None
    one, second = spec.bands
    assert second.pyramiding_policy is None
    assert (one.id, one.tileset_id, one.tileset_band_index) == ("class", "main", 0)
    assert one.pyramiding_policy is Policy.MODE
    assert one.missing_data is not None
    assert one.missing_data[0] == 255
    assert math.isnan(one.missing_data[1])
    assert (second.tileset_band_index, second.missing_data) == (1, ())
    assert [(mask.tileset_id, mask.band_ids) for mask in spec.mask_bands] == [("mask", ("class",))]
    assert spec.array_bands == (("one", ("QA",)), ("series", ("QA", "class")))
    assert spec.missing_data == (-9999,)
    assert spec.pyramiding_policy is Policy.MIN
    assert spec.footprint is not None
    assert spec.footprint.band_id == "QA"
    assert spec.footprint.points == ((0.5, 0.5), (0.5, 1.5), (1.5, 1.5), (0.5, 0.5))
    assert spec.start_time == "2025-01-01T00:00:00Z"
    assert spec.end_time == "2025-12-31T23:30:00.250Z"
    assert spec.properties == (
        ("area", 1.5), ("fooBar", "a"), ("foo_bar", "b"), ("n", 3), ("system:index", "q"),
        ("version", "1.1"),
    )  # fmt: skip
    assert (spec.skip_metadata_read, spec.memo, spec.tile) == (True, "notes", 256)
    assert spec.codec == Codec(name="blosc", level=5, compressor="lz4", shuffle="shuffle")
    assert spec.bounds == (0.0, 1.0, 20.0, 31.5)
    assert spec.is_protected


def test_defaults_stay_open(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "id: a\ntilesets: [{sources: [{uris: [x.tif]}]}]\n")
    assert spec.bands is None
    assert spec.array_bands == ()
    assert spec.missing_data is None
    assert spec.pyramiding_policy is None
    assert (spec.tile, spec.codec, spec.is_protected) == (512, Codec(), False)
    assert (spec.start_time, spec.bounds, spec.footprint) == (None, None, None)


def test_earth_engine_manifest_json_is_a_spec(tmp_path: Path) -> None:
    manifest = {
        "name": "projects/my-project/assets/col/img1",
        "uriPrefix": "d/",
        "tilesets": [
            {"id": "data", "crs": "EPSG:32633", "dataType": "UINT16", "sources": [{"uris": ["t"]}]},
            {
                "id": "mask",
                "sources": [
                    {
                        "uris": ["m.tif"],
                        "affineTransform": {
                            "scaleX": 10, "shearX": 0, "translateX": 5e5,
                            "shearY": 0, "scaleY": -10, "translateY": 5e6,
                        },
                    }
                ],
            },
        ],
        "bands": [
            {"id": "NDVI", "tilesetId": "data", "tilesetBandIndex": 0, "pyramidingPolicy": "MEAN"},
            {"id": "QA", "tilesetId": "data", "missingData": {"values": ["NaN"]}},
        ],
        "maskBands": [{"tilesetId": "mask", "bandIds": ["NDVI"]}],
        "missingData": {"values": [0, math.nan]},
        "startTime": {"seconds": 317692800},
        "endTime": "1980-02-01T00:00:00Z",
        "properties": {"version": "1.1", "n": 3, "emoji": "😀"},
        "memo": "free text",
    }  # fmt: skip
    texts = [
        json.dumps(manifest),
        json.dumps(manifest, indent="\t"),
        json.dumps(manifest, indent=2),
    ]
    specs = [spec_of(tmp_path, text, f"m{i}.json") for i, text in enumerate(texts)]
    assert specs[0].id == "col/img1"
    assert specs[0].start_time == "1980-01-26T00:00:00Z"
    assert dict(specs[0].properties)["emoji"] == "😀"
    assert repr(specs[0]) == repr(specs[1]) == repr(specs[2])


def test_snake_and_camel_are_one(tmp_path: Path) -> None:
    camel = (
        FULL.replace("uri_prefix", "uriPrefix")
        .replace("mask_bands", "maskBands")
        .replace("band_ids", "bandIds")
        .replace("tileset_band_index", "tilesetBandIndex")
        .replace("pyramiding_policy", "pyramidingPolicy")
        .replace("affine_transform", "affineTransform")
        .replace("scale_x", "scaleX")
        .replace("skip_metadata_read", "skipMetadataRead")
    )
    assert camel.count("scaleX") == 3
    assert repr(spec_of(tmp_path, camel)) == repr(spec_of(tmp_path, FULL))


def test_where_every_element_stands(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, FULL)
    file = str(tmp_path / "a.yaml")
    lines = FULL.splitlines()

    def text_at(*loc: str | int) -> str:
        path, line, column = spec.where(*loc)
        assert path == file
        return lines[line - 1][column - 1 :]

    assert text_at("id") == "landcover/eu_2025"
    assert text_at("tilesets") == "tilesets:"
    assert text_at("tilesets", 0) == "id: main"
    assert text_at("tilesets", 0, "sources", 0, "uris", 0).startswith("lc_*.tif]")
    assert text_at("tilesets", 0, "sources", 1, "affine_transform", "scale_y").startswith("-10,")
    assert text_at("bands", 1, "tileset_band_index") == "1"
    assert text_at("bands", 0, "missing_data", "values", 1).startswith(".nan")
    assert text_at("mask_bands", 0, "band_ids", 0).startswith("class]")
    assert text_at("properties", "n").startswith("3,")
    # What is not written is at what is around it.
    assert spec.where("bands", 1, "pyramiding_policy") == spec.where("bands", 1)
    assert spec.where("nowhere", 3) == (file, 2, 1)
    found = problem(spec, ("bands", 0, "tileset_id"), "rule", "message", "hint")
    assert (found.path, found.line, found.column) == spec.where("bands", 0, "tileset_id")


def test_places_are_no_part_of_identity(tmp_path: Path) -> None:
    one = spec_of(tmp_path, "id: a\ntilesets: [{sources: [{uris: [x.tif]}]}]\n")
    other = spec_of(tmp_path, "\n\ntilesets: [{sources: [{uris: [x.tif]}]}]\nid: a\n")
    assert one.where("id") != other.where("id")
    assert one == other
    assert hash(one) == hash(other)
    again = pickle.loads(pickle.dumps(one))
    assert again == one
    assert again.where("id") == one.where("id")


def test_folders_are_searched_and_specs_sorted(tmp_path: Path) -> None:
    body = "tilesets: [{sources: [{uris: [x.tif]}]}]\n"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "no.yaml").write_text("nonsense")
    (tmp_path / "deep" / "er" / "1.yml").write_text(f"id: z\n{body}---\nid: b/c\n{body}")
    (tmp_path / "2.json").write_text('{"id": "a", "tilesets": [{"sources": [{"uris": ["x"]}]}]}')
    (tmp_path / "readme.txt").write_text("nonsense")
    specs = load([tmp_path, tmp_path / "2.json"]).specs
    assert [spec.id for spec in specs] == ["a", "b/c", "z"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2025-01-31", "2025-01-31T00:00:00Z"),
        ("2025-01-31T01:02:03Z", "2025-01-31T01:02:03Z"),
        ("2025-01-31t01:02:03z", "2025-01-31T01:02:03Z"),
        ("2025-01-31T01:02:03.000Z", "2025-01-31T01:02:03Z"),
        ("2025-01-31T01:02:03.1Z", "2025-01-31T01:02:03.100Z"),
        ("2025-01-31T01:02:03.123456Z", "2025-01-31T01:02:03.123456Z"),
        ("2025-01-31T01:02:03.123456780Z", "2025-01-31T01:02:03.123456780Z"),
        ("2024-12-31T23:00:00-02:30", "2025-01-01T01:30:00Z"),
        ("{seconds: 0}", "1970-01-01T00:00:00Z"),
        ("{seconds: -1}", "1969-12-31T23:59:59Z"),
        ('{seconds: "1738324800"}', "2025-01-31T12:00:00Z"),
        ("0001-01-01", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_become_utc(tmp_path: Path, text: str, seconds: str) -> None:
    body = f"id: a\ntilesets: [{{sources: [{{uris: [x]}}]}}]\nstart_time: {text}\n"
    assert spec_of(tmp_path, body).start_time == seconds


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("zstd", Codec(name="zstd", level=3, compressor="", shuffle="")),
        ("none", Codec(name="none", level=0, compressor="", shuffle="")),
        ("{name: gzip, level: 0}", Codec(name="gzip", level=0, compressor="", shuffle="")),
        ("blosc", Codec()),
        ("{name: blosc, shuffle: noshuffle}", Codec(shuffle="noshuffle")),
    ],
)
def test_codecs(tmp_path: Path, text: str, codec: Codec) -> None:
    body = f"id: a\ntilesets: [{{sources: [{{uris: [x]}}]}}]\ncodec: {text}\n"
    assert spec_of(tmp_path, body).codec == codec


def test_merge_keys_and_anchors(tmp_path: Path) -> None:
    text = """\
id: a
tilesets: [{id: t, sources: [{uris: [x]}]}]
bands:
  - &base {id: one, tileset_id: t, pyramiding_policy: MODE}
  - {<<: *base, id: two, tileset_band_index: 1}
"""
    bands = spec_of(tmp_path, text).bands
    assert bands is not None
    assert [band.id for band in bands] == ["one", "two"]
    assert {band.pyramiding_policy for band in bands} == {Policy.MODE}


def test_yaml_is_1_2(tmp_path: Path) -> None:
    text = (
        "id: a\ntilesets: [{sources: [{uris: [x]}]}]\nproperties: {a: no, b: 12:30, c: 2020-01-01,"
        " d: 1e-3, e: 0x1F, f: 010, g: 1_000, h: '5', i: 0o17, j: -.5}\n"
    )
    assert dict(spec_of(tmp_path, text).properties) == {
        "a": "no", "b": "12:30", "c": "2020-01-01", "d": 0.001, "e": 31, "f": 10, "g": "1_000",
        "h": "5", "i": 15, "j": -0.5,
    }  # fmt: skip


def test_nothing_declared_is_an_error(tmp_path: Path) -> None:
    for paths in ([], [tmp_path]):
        with pytest.raises(SpecError, match="empty-set"):
            load(paths)
    with pytest.raises(SpecError, match="missing-spec"):
        load([tmp_path / "none.yaml"])


def test_import_stays_light() -> None:
    heavy = "{'numpy', 'rasterio', 'zarr', 'tensorflow', 'ruamel', 'typer', 'imagecodecs'}"
    code = f"import sys, geobatch.declare; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_mixer_in_a_folder_of_specs_is_no_spec(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    mixer = tmp_path / "data" / "pred-mixer.json"
    mixer.write_text('{"patchDimensions": [1, 1], "patchesPerRow": 1, "totalPatches": 1}')
    (tmp_path / "a.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    assert [spec.id for spec in load([tmp_path]).specs] == ["a"]
    with pytest.raises(SpecError):  # asked for by name, it is judged
        load([mixer])


def test_a_pipe_among_specs_is_passed_over(tmp_path: Path) -> None:
    """Who would write to it is not known, and reading would wait for ever."""
    (tmp_path / "a.tif").write_bytes(b"II*\0")
    (tmp_path / "a.yaml").write_text("id: a\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    os.mkfifo(tmp_path / "b.yaml")
    os.mkfifo(tmp_path / "c.json")
    assert [spec.id for spec in load([tmp_path]).specs] == ["a"]
