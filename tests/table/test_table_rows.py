"""A table holds the values of its records, whatever they are and however they lie in shards."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import duckdb
import geopandas
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet
import pytest
from blake3 import blake3
from depth import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from table_workbench import (
    Row,
    expected_rows,
    floats,
    longs,
    published,
    same,
    stored_rows,
    texts,
    view,
    write_shard,
    write_spec,
    write_split,
)

import geobatch
from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.store.tilestore import TileStore
from geobatch.table import gather

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "float_list": st.floats(width=32),
    "int64_list": st.integers(-(2**63), 2**63 - 1),
    "bytes_list": st.text(st.characters(codec="utf-8"), max_size=6).map(str.encode),
}


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Return rows with columns of every kind: scalars, arrays, missing and empty ones."""
    # Of records without any feature there is no table.
    names = st.text("abcXYZ_:é.0", min_size=1, max_size=5)
    kinds = draw(st.dictionaries(names, st.sampled_from(sorted(_VALUES)), min_size=1, max_size=4))
    most = {name: draw(st.sampled_from((1, 1, 3))) for name in kinds}
    rows: list[Row] = []
    for _ in range(draw(st.integers(1, 12))):
        least = 0 if rows else 1
        here = draw(st.sets(st.sampled_from(sorted(kinds)), min_size=least))
        rows.append({
            name: (kinds[name], draw(st.lists(_VALUES[kinds[name]], max_size=most[name])))
            for name in sorted(here)
        })  # fmt: skip
    return rows


def make(folder: Path, rows: list[Row], cuts: list[int]) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    write_spec(folder)
    write_split(folder, rows, cuts)
    return published(folder)


@settings(
    max_examples=examples(6, 15),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rows=tables(), data=st.data())
def test_any_split_gives_the_same_rows_and_the_same_root(
    rows: list[Row], data: st.DataObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts = st.lists(st.integers(0, len(rows)), max_size=3)
    with monkeypatch.context() as patch:
        # Small parts, so that rows lie in several of them; the rows do not depend on it.
        patch.setattr(gather, "PART_ROWS", data.draw(st.sampled_from((2, 5, 100))))
        first = make(tmp_path / "a", rows, data.draw(cuts))
    found = stored_rows(view(tmp_path / "a"))
    assert same(found, expected_rows(rows))
    second = make(tmp_path / "b", rows, data.draw(cuts))
    assert first == second
    assert same(stored_rows(view(tmp_path / "b")), found)


@pytest.mark.parametrize(("bound", "value"), [("PART_ROWS", 20), ("PART_BYTES", 250)])
def test_row_groups_are_bounded_and_do_not_follow_the_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, value: int
) -> None:
    monkeypatch.setattr(gather, bound, value)
    rows: list[Row] = [{"a": floats(n / 3), "b": texts(f"row{n:02}")} for n in range(50)]
    make(tmp_path / "a", rows, [])
    make(tmp_path / "b", rows, [7, 9, 30])
    assert view(tmp_path / "a").read_bytes() == view(tmp_path / "b").read_bytes()
    found = pyarrow.parquet.read_metadata(view(tmp_path / "a"))
    groups = [found.row_group(n).num_rows for n in range(found.num_row_groups)]
    # A row has 8 bytes of a number and 5 of a text.
    assert groups == [20, 20, 10]


def test_the_content_is_what_the_format_says(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"n": longs(5), "t": texts("é", "b")},
        {"f": floats(1.5)},
        {"n": longs(-1), "f": floats(float("nan")), "t": texts()},
    ]
    make(tmp_path / "a", rows, [1])
    store = TileStore.open(tmp_path / "a" / "store")
    record = store.record(store.head().tree.entries[0])
    assert record.table is not None
    found = {column.name: column.content for column in record.table.columns}

    def content(present: str, counts: list[int], sizes: list[int], values: bytes) -> str:
        streams = (
            bytes(map(int, present)),
            struct.pack(f"<{len(counts)}Q", *counts),
            struct.pack(f"<{len(sizes)}Q", *sizes),
            values,
        )
        return blake3(
            b"geobatch column 1\0" + b"".join(blake3(stream).digest() for stream in streams)
        ).hexdigest()

    nan = bytes.fromhex("0000c07f")
    assert found == {
        "f": content("011", [], [], struct.pack("<f", 1.5) + nan),
        "n": content("101", [], [], struct.pack("<2q", 5, -1)),
        "t": content("101", [2, 0], [2, 1], "éb".encode()),
    }


def test_geopandas_and_pandas_read_the_view(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"longitude": floats(10.5), "latitude": floats(45.25), "class": longs(3)},
        {"longitude": floats(-3.0), "latitude": floats(float("nan")), "class": longs(4)},
        {"longitude": floats(7.0), "class": longs(5)},
        {"longitude": floats(20.0), "latitude": floats(-45.0), "class": longs(6)},
    ]
    make(tmp_path / "a", rows, [2])
    frame = geopandas.read_parquet(view(tmp_path / "a"))
    assert frame.crs.to_epsg() == 4326
    assert frame.geometry.name == "longitude_latitude"
    assert [(p.x, p.y) if p else None for p in frame.geometry] == [
        (10.5, 45.25), None, None, (20.0, -45.0),
    ]  # fmt: skip
    plain = pd.read_parquet(view(tmp_path / "a"))
    assert plain["class"].tolist() == [3, 4, 5, 6]
    assert plain["latitude"].dtype == np.float32
    geo = pyarrow.parquet.read_schema(view(tmp_path / "a")).metadata[b"geo"]
    assert b'"bbox": [10.5, -45.0, 20.0, 45.25]' in geo


def test_points_lie_in_the_declared_crs(tmp_path: Path) -> None:
    write_spec(tmp_path, source="x_column: east\ny_column: north\ncrs: EPSG:32633\n")
    rows: list[Row] = [{"east": longs(500_000), "north": floats(5e6), "east_north": texts("taken")}]
    write_split(tmp_path, rows, [])
    published(tmp_path)
    frame = geopandas.read_parquet(view(tmp_path))
    assert frame.crs.to_epsg() == 32633
    assert frame.geometry.name == "east_north_1"
    (x, y), *_ = frame.to_crs(4326).geometry[0].coords
    assert (x, y) == pytest.approx((15.0, 45.15), abs=0.01)


@pytest.mark.parametrize(
    ("source", "row"),
    [
        ("", {"a": longs(1)}),
        ("", {"longitude": texts("east"), "latitude": floats(1)}),
        ("x_column: ''\ny_column: ''\n", {"longitude": floats(1), "latitude": floats(1)}),
        ("x_column: ''\ny_column: ''\n", {"": floats(1)}),
        ("crs: EPSG:32633\n", {"longitude": floats(1), "latitude": floats(1)}),
    ],
)
def test_without_places_there_are_no_points(tmp_path: Path, source: str, row: Row) -> None:
    write_spec(tmp_path, source=source)
    write_split(tmp_path, [row], [])
    published(tmp_path)
    schema = pyarrow.parquet.read_schema(view(tmp_path))
    assert schema.names == sorted(row)
    assert b"geo" not in (schema.metadata or {})


@pytest.mark.parametrize(
    ("source", "row", "words"),
    [
        ("", {"longitude": texts("7"), "latitude": floats(1)}, "`longitude` holds texts"),
        ("", {"longitude": floats(7), "latitude": floats(1, 2)}, "`latitude` holds lists"),
        ("", {"Lon": floats(7), "LAT": floats(1)}, "made of `Lon`, `LAT`"),
        ("x_column: ''\ny_column: ''\n", {"lon": floats(7), "lat": floats(1)}, ""),
        ("crs: EPSG:32633\n", {"longitude": floats(7), "latitude": floats(1)}, ""),
        ("", {"longitude": floats(7), "latitude": floats(1)}, ""),
        ("", {"lon": floats(7)}, ""),
    ],
)
def test_columns_that_look_like_points_and_are_none_are_said_once(
    tmp_path: Path, source: str, row: Row, words: str
) -> None:
    write_spec(tmp_path, source=source)
    write_split(tmp_path, [row, row], [1])
    for expected in (words, ""):
        summary = geobatch.apply([tmp_path / "table.yaml"], store=tmp_path / "store", workers=1)
        found = [one.message for one in summary.warnings if one.rule == "no-points"]
        assert len(found) == bool(expected)
        assert all(expected in one for one in found)


def test_overrides_decide_types(tmp_path: Path) -> None:
    more = (
        "column_data_type_overrides: {id: STRING, year: LONG, mixed: NUMERIC, gone: LONG}\n"
        "csvColumnDataTypeOverrides: {word: CSV_COLUMN_DATA_TYPE_LONG}\n"
    )
    write_spec(tmp_path, more=more)
    rows: list[Row] = [
        {"id": longs(7), "year": floats(2024), "mixed": longs(2**40), "word": texts(" -12 ")},
        {"id": floats(0.1), "year": texts("2025"), "mixed": texts("1e3"), "word": longs(5)},
        {"id": texts("x"), "year": longs(2026), "mixed": floats(0.5)},
    ]
    write_split(tmp_path, rows, [1])
    published(tmp_path)
    assert stored_rows(view(tmp_path)) == [
        {"id": "7", "year": 2024, "mixed": 2.0**40, "word": -12},
        {"id": "0.1", "year": 2025, "mixed": 1000.0, "word": 5},
        {"id": "x", "year": 2026, "mixed": 0.5, "word": None},
    ]


def test_texts_in_another_charset(tmp_path: Path) -> None:
    write_spec(tmp_path, source="charset: ISO-8859-1\n")
    write_split(tmp_path, [{"a": texts("Köln".encode("latin-1"))}], [])
    published(tmp_path)
    assert stored_rows(view(tmp_path)) == [{"a": "Köln"}]


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_compression_is_told_by_the_bytes(tmp_path: Path, compression: str) -> None:
    write_spec(tmp_path)
    write_shard(tmp_path / "rows-0.tfrecord.gz", [{"a": longs(1)}], compression)
    published(tmp_path)
    assert stored_rows(view(tmp_path)) == [{"a": 1}]


def test_open_table_verifies_and_goes_back(tmp_path: Path) -> None:
    write_spec(tmp_path)
    write_split(tmp_path, [{"a": longs(1)}], [])
    published(tmp_path)
    write_split(tmp_path, [{"a": longs(2)}], [])
    published(tmp_path)
    store = geobatch.open_store(tmp_path / "store")
    assert store.open_table("t/rows").to_pylist() == [{"a": 2}]
    assert store.open_table("t/rows", at="1").to_pylist() == [{"a": 1}]
    with pytest.raises(NotFoundError, match="`t/row`"):
        store.open_table("t/row")
    with pytest.raises(NotFoundError, match="table"):
        store.open("t/rows")
    (digest,) = {
        path.parent.name + path.name
        for path in (tmp_path / "store" / "objects").glob("*/*")
        if path.samefile(view(tmp_path))
    }
    file = tmp_path / "store" / "objects" / digest[:2] / digest[2:]
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(data)
    with pytest.raises(CorruptObjectError, match="damaged"):
        store.open_table("t/rows")


def test_readers_skip_points_by_their_boxes(tmp_path: Path) -> None:
    """The covering of GeoParquet 1.1; a column of the records may have its name."""
    rows: list[Row] = [
        {"longitude": floats(10.5), "latitude": floats(45.25), "bbox": longs(1)},
        {"longitude": floats(-3.0), "latitude": floats(float("nan")), "bbox": longs(2)},
        {"longitude": floats(20.0), "latitude": floats(-45.0), "bbox": longs(3)},
    ]
    make(tmp_path / "a", rows, [2])
    path = view(tmp_path / "a")
    geo = json.loads(pyarrow.parquet.read_schema(path).metadata[b"geo"])
    column = geo["columns"]["longitude_latitude"]
    assert column["geometry_types"] == ["Point"]
    edges = ("xmin", "ymin", "xmax", "ymax")
    assert column["covering"] == {"bbox": {edge: ["bbox_1", edge] for edge in edges}}
    boxes = pyarrow.parquet.read_table(path)["bbox_1"].to_pylist()
    assert [box and tuple(box.values()) for box in boxes] == [
        (10.5, 45.25, 10.5, 45.25), None, (20.0, -45.0, 20.0, -45.0),
    ]  # fmt: skip
    assert geopandas.read_parquet(path, bbox=(0, 0, 15, 50))["bbox"].tolist() == [1]
    west = pyarrow.parquet.read_table(path, filters=pc.field("bbox_1", "xmax") < 15)
    assert west["bbox"].to_pylist() == [1]
    with duckdb.connect() as db:
        found = db.sql(f"SELECT bbox FROM '{path}' WHERE bbox_1.ymin > 0").fetchall()
    assert found == [(1,)]
    # What Python reads are the columns of the records, and the points.
    table = geobatch.open_store(tmp_path / "a/store").open_table("t/rows")
    assert table.column_names == ["bbox", "latitude", "longitude", "longitude_latitude"]
