"""What cannot be a table is an error that names shard, record and column; nothing is published."""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest
import tensorflow as tf
from table_workbench import (
    Row,
    example,
    floats,
    longs,
    published,
    texts,
    write_shard,
    write_spec,
    write_split,
)

from geobatch.errors import SourceError
from geobatch.extras import install_hint
from geobatch.model.assets import table
from geobatch.store.tilestore import TileStore
from geobatch.table import gather


@pytest.fixture(autouse=True)
def spec(tmp_path: Path) -> None:
    write_spec(tmp_path)


def refused(folder: Path) -> str:
    with pytest.raises(SourceError) as caught:
        published(folder)
    head = TileStore.open(folder / "store").head() if (folder / "store").exists() else None
    assert head is None or head.number == 0
    return f"{caught.value.message} {caught.value.hint}"


def test_a_column_of_two_kinds(tmp_path: Path) -> None:
    rows: list[Row] = [{"a": floats(1)}, {"a": floats(2)}, {"b": longs(1)}, {"a": longs(3)}]
    write_split(tmp_path, rows, [2])
    said = refused(tmp_path)
    assert "`rows-00001.tfrecord.gz`: record 1: column `a`" in said
    assert "`float_list`, as in record 0 of `rows-00000.tfrecord.gz`, got `int64_list`" in said
    assert "column_data_type_overrides" in said


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("LONG", floats(1.5), "`1.5` is not a 64-bit integer"),
        ("LONG", floats(float("nan")), "`nan` is not a 64-bit integer"),
        ("LONG", floats(2.0**63), "is not a 64-bit integer"),
        ("LONG", texts("12a"), "`12a` is not a 64-bit integer"),
        ("LONG", texts(str(2**63)), "is not a 64-bit integer"),
        ("NUMERIC", texts("twelve"), "`twelve` is not a number"),
        ("NUMERIC", longs(2**53 + 1), "float64 cannot hold it exactly"),
        ("STRING", texts(b"\xff"), "bytes `ff` is not valid utf-8"),
    ],
)
def test_a_value_that_its_type_has_not(
    tmp_path: Path, kind: str, value: tuple[str, list[object]], words: str
) -> None:
    write_spec(tmp_path, more=f"column_data_type_overrides: {{a: {kind}}}\n")
    write_split(tmp_path, [{}, {"a": value}], [])
    said = refused(tmp_path)
    assert "`rows-00000.tfrecord.gz`: record 1: column `a`: " in said
    assert words in said


def test_texts_in_another_charset_than_said(tmp_path: Path) -> None:
    write_split(tmp_path, [{"a": texts(b"K\xf6ln")}], [])
    assert "`4b f6 6c 6e` is not valid utf-8" in refused(tmp_path)


def test_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (table.MAX_ROWS, table.MAX_COLUMNS, table.MAX_CHARACTERS) == (100_000_000, 1000, 100_000)
    write_split(tmp_path, [{f"c{n}": longs(n) for n in range(1001)}], [])
    assert "exceeds the limit of 1,000 columns per table" in refused(tmp_path)
    write_split(tmp_path, [{"a": texts("é" * 100_000)}, {"a": texts("x" * 100_001)}], [])
    assert "record 1: column `a`: a text has 100,001 characters" in refused(tmp_path)
    monkeypatch.setattr(gather, "MAX_ROWS", 2)
    write_split(tmp_path, [{"a": longs(n)} for n in range(3)], [2])
    assert "`rows-00001.tfrecord.gz`: record 0 exceeds the limit of 2 rows per table" in refused(
        tmp_path
    )


@pytest.mark.parametrize(
    ("source", "row", "words"),
    [
        ("x_column: lon\ny_column: lat\n", {"lon": floats(1), "lax": floats(1)},
         "the column `lat`, which gives the coordinates of points; columns: `lax`, `lon`"),
        ("x_column: lon\ny_column: lat\n", {"lon": floats(1), "lat": texts("x")},
         "column `lat` gives the coordinates of points, but holds texts"),
        ("x_column: lon\ny_column: lat\n", {"lon": floats(1, 2), "lat": floats(1)},
         "column `lon` gives the coordinates of points, but holds lists"),
    ],
)  # fmt: skip
def test_points_that_cannot_be_placed(tmp_path: Path, source: str, row: Row, words: str) -> None:
    write_spec(tmp_path, source=source)
    write_split(tmp_path, [row], [])
    assert words in refused(tmp_path)


def test_without_pyarrow_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nor is a shard opened, which would take long and be for nothing.
    (tmp_path / "rows-0.tfrecord").write_text("no records")
    write_spec(tmp_path).write_text("kind: table\nid: a\nsources: [{uris: [rows-0.tfrecord]}]\n")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert install_hint("table") in refused(tmp_path)


def test_no_records_at_all(tmp_path: Path) -> None:
    write_split(tmp_path, [], [])
    assert "expected records, got none in `rows-00000.tfrecord.gz`" in refused(tmp_path)
    write_split(tmp_path, [{}, {}], [])
    assert "expected records with features, got none" in refused(tmp_path)


def test_a_record_that_is_no_example(tmp_path: Path) -> None:
    with tf.io.TFRecordWriter(str(tmp_path / "rows-0.tfrecord.gz")) as writer:
        writer.write(example({"a": longs(1)}))
        writer.write(b"\xff\xff\xff")
    assert "`rows-0.tfrecord.gz`: record 1 is not a `tf.train.Example`" in refused(tmp_path)


def test_damage_and_truncation(tmp_path: Path) -> None:
    path = write_shard(
        tmp_path / "rows-0.tfrecord.gz", [{"a": longs(n)} for n in range(5)], compression=""
    )
    whole = path.read_bytes()
    size = len(whole) // 5
    path.write_bytes(whole[: 3 * size + 20] + b"\x55" + whole[3 * size + 21 :])
    assert "record 3 cannot be read" in refused(tmp_path)
    path.write_bytes(whole[: 4 * size + 20])
    assert "`rows-0.tfrecord.gz`" in refused(tmp_path)
    path.write_bytes(gzip.compress(whole)[:-20])
    assert "`rows-0.tfrecord.gz`" in refused(tmp_path)
    path.write_text("longitude,latitude\n1,2\n")
    assert "expected TFRecord" in refused(tmp_path)
