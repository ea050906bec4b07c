"""Documents with any part replaced or missing: problems of all files, and never a traceback."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import edited, paths

from geobatch.declare import validate
from geobatch.errors import SpecError

IMAGE = """
kind: image
id: a/b
moved_from: c/d
uri_prefix: ''
tilesets:
  - id: t
    data_type: UINT8
    crs: EPSG:32633
    sources:
      - uris: [a.tif]
        affine_transform:
          {scale_x: 10, shear_x: 0, translate_x: 5, shear_y: 0, scale_y: -10, translate_y: 6}
        dimensions: {width: 4, height: 4}
  - id: u
    sources: [{uris: [p.tfrecord, m.json]}]
    tfrecord:
      kernel_size: [1, 2]
      features: [p, {name: q, data_type: UINT8, axis_order: CHW}]
      data_type: FLOAT
bands:
  - {id: x1, tileset_id: t, tileset_band_index: 0, pyramiding_policy: MODE,
     missing_data: {values: [1, .nan]}}
  - {id: x2, tileset_id: u, feature: p}
array_bands: {arr: [x1, x2]}
mask_bands: [{tileset_id: t, band_ids: [x1], feature: m}]
missing_data: {values: [0]}
pyramiding_policy: MEAN
footprint: {points: [{x: 0, y: 0}, {x: 1, y: 0}, {x: 1, y: 1}, {x: 0, y: 0}], band_id: x1}
start_time: 2020-01-01
end_time: {seconds: 1738324800}
properties: {a: 1, b: t}
skip_metadata_read: true
memo: hi
grid: {bounds: [0, 0, 10, 10]}
tiling: {tile: 64, shard: 128}
codec: {name: blosc, level: 1, compressor: zstd, shuffle: bitshuffle}
lifecycle: {protect: true}
"""
EXTERNAL = """
kind: external_image
id: a/b
tilesets: [{id: t, sources: [{uris: [a.tif]}]}]
bands: [{id: x1, tileset_id: t, tileset_band_index: 0}]
"""
TABLE = """
kind: table
id: t/b
sources:
  - {uris: [x.tfrecord], crs: 'EPSG:4326', x_column: lon, y_column: lat, charset: utf-8}
column_data_type_overrides: {plot: STRING}
csv_column_data_type_overrides: {other: STRING}
start_time: 2025-01-01
properties: {campaign: spring}
uri_prefix: ''
"""
COLLECTION = """
kind: image_collection
id: c/o
for_each:
  {files: ['*.tif'], pattern: ['(?P<t>.*).tif'], unmatched: skip, csv: {path: m.csv, key: file}}
image:
  id: '{t}'
  kind: image
  tilesets: [{id: m, crs: '{t}', sources: [{uris: ['{file}', 'x_{stem}.tif']}]}]
  bands: [{id: b, tileset_id: m}]
  start_time: '{t:%Y}'
  properties: {p: '{t:number}', q: '{cloud}'}
  moved_from: 'o/{t}'
  memo: '{t}'
"""
PROJECT = """
uri_map: {'gs://b/': data/}
keep_project_prefix: true
silence: [categorical-mean]
"""
DOCUMENTS = [yaml.safe_load(text) for text in (IMAGE, EXTERNAL, TABLE, COLLECTION, PROJECT)]
DEEP: Any = 1
NESTED: Any = 1
for _ in range(60):
    DEEP, NESTED = [DEEP], {"a": NESTED}
VALUES: tuple[Any, ...] = (
    None, [], {}, 0, -1, 1.5, float("nan"), float("inf"), 10**400, 2**63, "", "x", "\u00e9",
    "gs://x/y", "https://h:99999/x", "/vsicurl/x", True, False, DEEP, NESTED, ["x"], {"x": 1},
    [{}], [[]], [None], "a" * 5000, "*", "**", "[", "{", "{x}", "../..", "~", "http://[::1",
    "a.tif#1", "1" * 400,
)  # fmt: skip


@settings(max_examples=examples(83, 250), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_part_replaced(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutations"
    folder.mkdir(exist_ok=True)
    (folder / "a.tif").write_bytes(b"")
    (folder / "m.csv").write_text("file,cloud\na.tif,3\n")
    other = folder / "other.yaml"
    other.write_text("id: bad id!\n")
    document = data.draw(st.sampled_from(DOCUMENTS))
    path = data.draw(st.sampled_from(list(paths(document))))
    delete = bool(path) and data.draw(st.booleans())
    made = edited(document, path, data.draw(st.sampled_from(VALUES)), delete=delete)
    project = folder / "geobatch.yaml"
    project.unlink(missing_ok=True)
    is_json = data.draw(st.booleans())
    spec = folder / ("spec.json" if is_json else "spec.yaml")
    spec.write_text("id: spec\ntilesets: [{sources: [{uris: [a.tif]}]}]\n")
    target = project if document is DOCUMENTS[-1] else spec
    target.write_text(
        json.dumps(made, default=str) if is_json else yaml.safe_dump(made), encoding="utf-8"
    )
    with pytest.raises(SpecError) as caught:
        validate([spec, other])
    (wrong,) = [
        one for one in caught.value.problems if one.rule == "asset-id" and "bad id!" in one.message
    ]
    assert wrong.path == str(other), "what is wrong elsewhere hides no problem"
    assert all(one.line >= 1 and one.message for one in caught.value.problems)


def test_a_mapping_among_the_uris_of_an_external_image(tmp_path: Path) -> None:
    spec = tmp_path / "s.yaml"
    spec.write_text(
        "kind: external_image\nid: a\ntilesets: [{sources: [{uris: {x: 1}}]}]\nfoo: 1\n"
    )
    with pytest.raises(SpecError) as caught:
        validate([spec])
    found = [(one.rule, one.line, one.column) for one in caught.value.problems]
    assert ("wrong-type", 3, 24) in found
    assert ("unknown-key", 4, 1) in found
