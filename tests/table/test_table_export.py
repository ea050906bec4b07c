"""A table goes out as it came in: one compressed TFRecord, which the guides' own code reads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import tensorflow as tf
from table_workbench import (
    Row,
    floats,
    longs,
    parsed,
    published,
    texts,
    write_spec,
    write_split,
)

from geobatch.errors import CorruptObjectError, ExportError
from geobatch.exports.destination import Destination
from geobatch.exports.table import TableExport, export_table
from geobatch.model.published import AssetRecord
from geobatch.store.tilestore import TileStore

ROWS: list[Row] = [
    {
        "longitude": floats(n / 7),
        "latitude": floats(-n / 3),
        "class": longs(2**40 + n),
        "label": texts(f"plöt {n}"),
        "series": floats(*[0.5] * (n % 4)),
        **({"note": texts("seldom")} if n % 5 == 0 else {}),
    }
    for n in range(40)
]


def make(folder: Path, rows: list[Row] = ROWS, **spec: str) -> tuple[TileStore, AssetRecord]:
    write_spec(folder, **spec)
    write_split(folder, rows, [11])
    published(folder)
    store = TileStore.open(folder / "store")
    return store, store.record(store.head().tree.entries[0])


def export(folder: Path, store: TileStore, record: AssetRecord) -> TableExport:
    return export_table(store, record, Destination(folder=folder, prefix="out"))


def test_what_came_in_goes_out(tmp_path: Path) -> None:
    store, record = make(tmp_path)
    done = export(tmp_path / "a", store, record)
    assert done.file == tmp_path / "a" / "out.tfrecord.gz"
    assert list(done.file.parent.iterdir()) == [done.file]
    assert (done.rows, done.rounded) == (40, ())
    wanted = [{name: row[name] for name in sorted(row)} for row in ROWS]
    found = list(parsed(done.file))
    for one, two in zip(found, wanted, strict=True):
        assert one.keys() == two.keys()
        for name, (kind, values) in two.items():
            assert one[name][0] == kind
            assert one[name][1] == (pytest.approx(values) if kind == "float_list" else values)
    again = export(tmp_path / "b", store, record)
    assert again.file.read_bytes() == done.file.read_bytes()


def test_imported_again_it_is_the_same_table(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    store, record = make(tmp_path / "a")
    made = export(tmp_path / "out", store, record)
    write_spec(tmp_path / "b")
    made.file.rename(tmp_path / "b" / "rows-0.tfrecord.gz")
    again = published(tmp_path / "b")
    head = store.head()
    assert head.commit is not None
    assert again == head.commit.content_root


def test_the_guides_code_reads_it(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"B2": floats(n), "B3": floats(n / 2), "landcover": floats(n % 3)} for n in range(10)
    ]
    store, record = make(tmp_path, rows)
    done = export(tmp_path / "a", store, record)
    names = ["B2", "B3", "landcover"]
    columns = [tf.io.FixedLenFeature(shape=[1], dtype=tf.float32) for _ in names]
    described = dict(zip(names, columns, strict=True))
    dataset = tf.data.TFRecordDataset(str(done.file), compression_type="GZIP")
    read = [tf.io.parse_single_example(record, described) for record in dataset]
    assert [float(one["B3"][0]) for one in read] == [n / 2 for n in range(10)]
    assert [float(one["landcover"][0]) for one in read] == [float(n % 3) for n in range(10)]


def test_columns_that_float32_may_round_are_told(tmp_path: Path) -> None:
    rows: list[Row] = [{"a": longs(2**24 + 1)}]
    store, record = make(tmp_path, rows, more="column_data_type_overrides: {a: NUMERIC}\n")
    done = export(tmp_path / "a", store, record)
    assert done.rounded == ("a",)
    assert list(parsed(done.file)) == [{"a": ("float_list", [float(2**24)])}]


def test_files_are_not_replaced_unasked_nor_written_of_damage(tmp_path: Path) -> None:
    store, record = make(tmp_path)
    export(tmp_path / "a", store, record)
    with pytest.raises(ExportError, match="exists already"):
        export(tmp_path / "a", store, record)
    assert record.table is not None
    digest = record.table.stored
    file = tmp_path / "store" / "objects" / digest[:2] / digest[2:]
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CorruptObjectError):
        export(tmp_path / "b", store, record)
    assert not (tmp_path / "b").exists()


def test_as_geoparquet_it_is_the_bytes_of_the_store(tmp_path: Path) -> None:
    store, record = make(tmp_path)
    destination = Destination(folder=tmp_path / "a", prefix="out.parquet")
    done = export_table(store, record, destination, kind="parquet")
    assert done.file == tmp_path / "a" / "out.parquet"
    assert record.table is not None
    assert done.file.read_bytes() == store.objects.get(record.table.stored)
    frame = geopandas.read_parquet(done.file)
    assert len(frame) == done.rows == 40
    assert frame.geometry.iloc[3].x == pytest.approx(3 / 7)


def test_as_csv_every_value_is_there(tmp_path: Path) -> None:
    rows: list[Row] = [
        *ROWS,
        {"longitude": floats(0.1), "latitude": floats(1), "label": texts('a, "b"\nc')},
    ]
    store, record = make(tmp_path, rows)
    done = export_table(store, record, Destination(folder=tmp_path / "a", prefix="out"), kind="csv")
    with done.file.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert len(found) == done.rows == 41
    assert list(found[0]) == sorted({name for row in rows for name in row})
    for one, row in zip(found, rows, strict=True):
        for name in one:
            values = row.get(name, ("", []))[1]
            if name == "series":
                wanted = "" if name not in row else json.dumps(values)
                assert one[name] == wanted
            elif not values:
                assert one[name] == ""
            elif name in ("label", "note"):
                assert one[name] == values[0].decode()
            elif name == "class":
                assert int(one[name]) == values[0]
            else:
                assert np.float32(one[name]) == np.float32(values[0])
    assert found[40]["longitude"] == "0.1"
