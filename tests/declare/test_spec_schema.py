"""The JSON Schema that editors use says what the loader says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from geobatch.declare import load
from geobatch.declare.fields.json_schema import schema
from geobatch.errors import SpecError

COMMITTED = Path(__file__).parents[2] / "schema" / "geobatch.v1.json"
DESIGN = """\
kind: image
id: landcover/eu_2025
tilesets:
  - id: main
    sources: [{uris: [data/lc_*.tif]}]
bands:
  - {id: class, tileset_id: main, tileset_band_index: 0, pyramiding_policy: MODE,
     missing_data: {values: [255]}}
start_time: "2025-01-01"
end_time: "2026-01-01"
properties: {version: "1.1", provider: field-survey}
tiling: {tile: 512}
lifecycle: {protect: true}
"""
T = "tilesets: [{sources: [{uris: [x]}]}]\n"


def test_the_committed_schema_is_this_one() -> None:
    assert json.loads(COMMITTED.read_text()) == schema()
    assert COMMITTED.read_text() == json.dumps(schema(), indent=2) + "\n"


def test_it_is_a_schema_with_a_word_for_every_key() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())

    def walk(node: Any, where: str) -> None:
        if isinstance(node, dict):
            for name, field in node.get("properties", {}).items():
                assert field.get("description"), f"{where}.{name}"
                walk(field, f"{where}.{name}")
            if "properties" in node:
                assert node["additionalProperties"] is False, where
            for key, child in node.items():
                if key == "$defs":
                    for name, definition in child.items():
                        walk(definition, name)
                elif key not in ("properties", "if"):
                    walk(child, f"{where}.{key}")
        elif isinstance(node, list):
            for child in node:
                walk(child, where)

    walk(schema(), "")
    for definition in schema()["$defs"].values():
        assert "Manifest" not in definition.get("title", "")


@pytest.mark.parametrize(
    "text",
    [
        DESIGN,
        "id: a\n" + T,
        "name: projects/p/assets/a\nuriPrefix: a\n" + T,
        "id: a\nmask_bands: {tileset_id: ''}\n" + T,
        "id: a\nmaskBands: [{tilesetId: '', bandIds: []}]\n" + T,
        "id: a\ncodec: zstd\n" + T,
        "id: a\ncodec: {name: blosc, level: 3, compressor: zstd, shuffle: bitshuffle}\n" + T,
        "id: a\nstart_time: {seconds: 5}\nend_time: '2020-01-01T00:00:00.123+01:00'\n" + T,
        "id: a\nmissingData: {values: [1, 2.5, 'NaN']}\npyramidingPolicy: mode\n" + T,
        "id: a\ntilesets: [{dataType: FLOAT, sources: [{uris: [x]}]}]\n",
        "id: a\ntilesets: [{sources: [{uris: [x], affineTransform: {scaleX: 1, scaleY: -1}}]}]\n",
        "id: a\narrayBands: {s: [b1, b2], t: [b1]}\n" + T,
        "id: a\ngrid: {bounds: [0, 0, 1, 1]}\nproperties: {a: 1, system:b: x}\n" + T,
    ],
)
def test_valid_for_both(tmp_path: Path, text: str) -> None:
    jsonschema.validate(yaml.safe_load(text), schema(), jsonschema.Draft202012Validator)
    file = tmp_path / "a.yaml"
    file.write_text(text)
    load([file])


@pytest.mark.parametrize(
    "text",
    [
        T,
        "id: a\n",
        "id: a\ntilesets: []\n",
        "id: a b\n" + T,
        "id: a\nkind: table\n" + T,
        "id: a\npyramiding_policy: medain\n" + T,
        "id: a\nmemo: 5\n" + T,
        "id: a\nmemo: null\n" + T,
        "id: a\ntilesets: [{id: q}]\n",
        "id: a\ntilesets: [{sources: [{uris: []}]}]\n",
        "id: a\ntilesets: [{sources: [{uris: x}]}]\n",
        "id: a\ntilesets: [{sources: [{uris: [x], affine_transform: {scale_x: 1}}]}]\n",
        "id: a\nbands: [{tileset_id: ''}]\n" + T,
        "id: a\nbands: [{id: b, tileset_band_index: -1}]\n" + T,
        "id: a\nbands: [{id: b, tileset_band_index: 0.5}]\n" + T,
        "id: a\nmissing_data: [1]\n" + T,
        "id: a\nproperties: {a: [1]}\n" + T,
        "id: a\nproperties: {a: true}\n" + T,
        "id: a\nproperties: {'a b': 1}\n" + T,
        "id: a\narray_bands: {s: []}\n" + T,
        "id: a\narray_bands: {'a b': [b1]}\n" + T,
        "id: a\narray_bands: [b1]\n" + T,
        "id: a\ntiling: {tile: 100}\n" + T,
        "id: a\ncodec: zlib\n" + T,
        "id: a\ncodec: {level: 3}\n" + T,
        "id: a\ngrid: {bounds: [0, 1]}\n" + T,
        "id: a\nstart_time: yesterday\n" + T,
        "id: a\nlifecycle: true\n" + T,
    ],
)
def test_invalid_for_both(tmp_path: Path, text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), schema(), jsonschema.Draft202012Validator)
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(SpecError):
        load([file])
