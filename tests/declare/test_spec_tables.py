"""Documents of tables: Earth Engine's table manifest is a spec, and what is wrong has a place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from geobatch.declare import TableSpec, expand, load, validate
from geobatch.declare.fields.json_schema import schema
from geobatch.declare.text.canonical import fmt_text
from geobatch.errors import SpecError
from geobatch.model.assets.asset import Kind
from geobatch.model.assets.table import ColumnType

MANIFEST: dict[str, Any] = {
    "name": "projects/p/assets/samples/a",
    "uriPrefix": "data/",
    "sources": [
        {
            "uris": ["a-*.tfrecord.gz"],
            "charset": "UTF-8",
            "crs": "EPSG:32633",
            "xColumn": "east",
            "yColumn": "north",
        }
    ],
    "columnDataTypeOverrides": {"id": "COLUMN_DATA_TYPE_STRING"},
    "csvColumnDataTypeOverrides": {"year": "CSV_COLUMN_DATA_TYPE_LONG"},
    "startTime": {"seconds": 1735689600},
    "endTime": "2026-01-01T00:00:00Z",
    "properties": {"version": 2},
    "memo": "as exported",
}


def only(folder: Path, text: str, name: str = "a.yaml") -> TableSpec:
    (folder / name).write_text(text)
    (spec,) = load([folder / name]).specs
    assert isinstance(spec, TableSpec)
    return spec


def test_a_table_manifest_is_a_spec(tmp_path: Path) -> None:
    spec = only(tmp_path, json.dumps(MANIFEST), "a.json")
    assert (spec.id, spec.kind) == ("samples/a", Kind.TABLE)
    assert (spec.x_column, spec.y_column) == ("east", "north")
    assert spec.types == (("id", ColumnType.STRING), ("year", ColumnType.INT64))
    assert (spec.start_time, spec.end_time) == ("2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
    assert not list(jsonschema.Draft202012Validator(schema()).iter_errors(MANIFEST))


def test_both_spellings_say_the_same(tmp_path: Path) -> None:
    snake = (
        "kind: table\nid: samples/a\nuri_prefix: data/\nsources:\n"
        "  - {uris: ['a-*.tfrecord.gz'], crs: EPSG:32633, x_column: east, y_column: north}\n"
        "column_data_type_overrides: {id: string, year: LONG}\n"
        "start_time: 2025-01-01\nend_time: 2026-01-01\nproperties: {version: 2}\n"
        "memo: as exported\n"
    )
    assert only(tmp_path, snake) == only(tmp_path, json.dumps(MANIFEST), "b.json")
    assert not list(
        jsonschema.Draft202012Validator(schema()).iter_errors(yaml.safe_load(snake.replace(
            "2025-01-01", "'2025-01-01'").replace("2026-01-01", "'2026-01-01'")))
    )  # fmt: skip
    formatted = fmt_text(json.dumps(MANIFEST), path="a.yaml")
    assert 'uri_prefix: "data/"' in formatted
    assert only(tmp_path, formatted, "c.yaml") == only(tmp_path, snake)


def test_files_stand_in_order(tmp_path: Path) -> None:
    for name in ("b-1.tfrecord", "b-0.tfrecord", "a.tfrecord", "z.tfrecords"):
        (tmp_path / name).touch()
    spec = only(
        tmp_path,
        "kind: table\nid: a\nsources:\n  - uris: [z.tfrecords, 'b-*.tfrecord']\n"
        "  - uris: [a.tfrecord]\n",
    )
    names = [file.uri for file in expand(spec).table]
    assert names == ["z.tfrecords", "b-0.tfrecord", "b-1.tfrecord", "a.tfrecord"]


def test_documents_that_are_alike_are_read_like_others(tmp_path: Path) -> None:
    one = "kind: table\nid: t/{}\nsources: [{{uris: [{}.tfrecord], x_column: e, y_column: n}}]\n"
    texts = [one.format(n, n // 2) for n in range(6)]
    (tmp_path / "all.yaml").write_text("---\n".join(texts))
    found = load([tmp_path / "all.yaml"]).specs
    assert found == tuple(only(tmp_path, text) for text in texts)


START = "kind: table\nid: a\n"
SOURCES = START + "sources:\n  - uris: [t.tfrecord]\n"
OF_CSV = SOURCES.replace("tfrecord", "csv")


@pytest.mark.parametrize(
    ("text", "rule", "at", "word"),
    [
        (START, "missing-key", (1, 1), "sources"),
        (START + "sources: []\n", "out-of-range", (3, 1), "at least 1"),
        (SOURCES + "tilesets: []\n", "unknown-key", (5, 1), "key of images"),
        (SOURCES + "tiling: {tile: 256}\n", "unknown-key", (5, 1), "key of images"),
        (SOURCES + "policy: {}\n", "unsupported", (5, 1), "file system"),
        (SOURCES + "    geodesic: true\n", "unsupported", (5, 5), "edges"),
        (SOURCES + "    maxErrorMeters: 1\n", "unsupported", (5, 5), "approximated"),
        (SOURCES + "    max_vertices: 0\n", "unsupported", (5, 5), "split"),
        (SOURCES + "    csvDelimiter: ;\n", "table-format", (5, 19), "TFRecord"),
        (SOURCES + "    csv_qualifier: \"'\"\n", "table-format", (5, 20), "TFRecord"),
        (SOURCES + "    date_format: yyyy\n", "table-format", (5, 18), "TFRecord"),
        (OF_CSV + "    csvDelimiter: ab\n", "unknown-value", (5, 19), "one character"),
        (OF_CSV + '    csvDelimiter: "\\n"\n', "unknown-value", (5, 19), "one character"),
        (OF_CSV + "    csvDelimiter: 1\n", "wrong-type", (5, 19), "text"),
        (OF_CSV + "    csv_qualifier: ','\n", "csv-marks", (5, 20), "both"),
        (OF_CSV + "    csv_delimiter: '\"'\n", "csv-marks", (5, 20), "both"),
        (OF_CSV + "    date_format: yy-MM\n", "unknown-value", (5, 18), "`yy` is not known"),
        (OF_CSV + "    date_format: MM\n", "unknown-value", (5, 18), "no year"),
        (OF_CSV + "    date_format: yyyy-MM-MM\n", "unknown-value", (5, 18), "twice"),
        (OF_CSV + "    date_format: \"yyyy'T\"\n", "unknown-value", (5, 18), "not closed"),
        (OF_CSV + "    primary_geometry_column: g\n    x_column: a\n    y_column: b\n", "points",
         (5, 30), "one geometry"),
        (OF_CSV + "    primary_geometry_column: g\ncsv_column_data_type_overrides: {g: LONG}\n",
         "points", (5, 30), "declared type"),
        (START + "sources: [{uris: [t.csv, t.tfrecord]}]\n", "table-format", (3, 26), "not"),
        (START + "sources: [{uris: [t.tfrecord]}, {uris: [t.csv]}]\n", "table-format", (3, 41),
         "not"),
        (START + "sources: [{uris: [t.csv.gz]}]\n", "table-format", (3, 19), "CSV"),
        (SOURCES + "    simplifyErrorMeters: 1\n", "unsupported", (5, 5), "simplified"),
        (SOURCES + "    primary_geometry_column: geo\n", "table-format", (5, 30), "TFRecord"),
        (SOURCES + "    charset: klingon\n", "unknown-value", (5, 14), "klingon"),
        (SOURCES + "    charset: hex\n", "unknown-value", (5, 14), "hex"),
        (SOURCES + "    x_column: ''\n", "points", (5, 15), "both"),
        (SOURCES + "  - {uris: [t.tfrecord], crs: EPSG:32633}\n", "sources-differ", (5, 31),
         "EPSG:32633"),
        (SOURCES + "column_data_type_overrides: {a: NUMBER}\n", "unknown-value", (5, 33),
         "NUMERIC"),
        (SOURCES + "start_time: 2025-01-02\nend_time: 2025-01-01\n", "time-order", (6, 11),
         "before"),
        (START + "sources: [{uris: [gone.tfrecord]}]\n", "missing-file", (3, 19), "gone"),
        (START + "sources: [{uris: ['gone-*.tfrecord']}]\n", "missing-file", (3, 19), "matches"),
        (START + "sources: [{uris: ['gs://b/a.tfrecord']}]\n", "unsupported-uri", (3, 19), "gs://"),
        (START + "sources: [{uris: [t.shp]}]\n", "table-format", (3, 19), "TFRecord"),
        ("id: a\ntilesets: []\nsources: []\n", "unknown-key", (3, 1), "kind: table"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_a_place(
    tmp_path: Path, text: str, rule: str, at: tuple[int, int], word: str
) -> None:
    for name in ("t.tfrecord", "t.csv", "t.csv.gz", "t.shp"):
        (tmp_path / name).touch()
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SpecError) as caught:
        validate([tmp_path / "a.yaml"])
    found = [(one.rule, (one.line, one.column)) for one in caught.value.problems]
    assert (rule, at) in found, caught.value.problems
    assert word in "".join(str(one) for one in caught.value.problems)
