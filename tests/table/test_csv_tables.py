"""CSV files as tables, against Python's csv, shapely and pandas."""

from __future__ import annotations

import csv
import io
import json
import os
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas
import pyarrow.compute as pc
import pyarrow.parquet
import pytest
import shapely
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import run

from geobatch.declare.earth_engine.to_table_manifest import export_table as manifest_of
from geobatch.errors import SourceError
from geobatch.exports.destination import Destination
from geobatch.exports.table import export_table
from geobatch.model.assets.table import Table
from geobatch.model.plans.plan import Op
from geobatch.model.published import AssetRecord
from geobatch.sources.csv import lines
from geobatch.sources.csv.lines import BLANKS, lines_of
from geobatch.sources.csv.reader import CsvReader
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan


def write(folder: Path, text: str | bytes, *, source: str = "", more: str = "") -> Path:
    """Write a CSV file and its spec."""
    data = text if isinstance(text, bytes) else text.encode()
    (folder / "t.csv").write_bytes(data)
    path = folder / "table.yaml"
    lines = "".join(f"    {line}\n" for line in source.splitlines())
    path.write_text(f"kind: table\nid: t/rows\nsources:\n  - uris: [t.csv]\n{lines}{more}")
    return path


def made(folder: Path, text: str | bytes, **more: str) -> Any:
    """Apply a CSV file, and return the published table."""
    apply([write(folder, text, **more)], store=folder / "store", workers=1)
    return pyarrow.parquet.read_table(folder / "store" / "parquet" / "t" / "rows.parquet")


def rows(folder: Path, text: str | bytes, **more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made(folder, text, **more).to_pylist()
    return found


def record(folder: Path) -> tuple[TileStore, AssetRecord]:
    store = TileStore.open(folder / "store")
    return store, store.record(store.head().tree.entries[0])


# Splitting ---------------------------------------------------------------------------------------


def split(data: bytes, delimiter: str = ",", qualifier: str = '"', size: int = 7) -> list[Any]:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    return [
        line.values
        for line in lines_of(pieces, charset="utf-8", delimiter=delimiter, qualifier=qualifier)
    ]


VALUES = st.text(st.sampled_from("ab ,;\t\"'\n\r|é漢0"), max_size=6)


@given(
    st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(VALUES, min_size=n, max_size=n), max_size=6)
    ),
    st.sampled_from(",;\t|"),
    st.sampled_from("\"'"),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 9),
)
@settings(max_examples=examples(150, 3000), deadline=None)
def test_what_python_writes_in_qualifiers_is_read_as_it_is(
    cells: list[list[str]], delimiter: str, qualifier: str, end: str, size: int
) -> None:
    text = io.StringIO()
    csv.writer(
        text, delimiter=delimiter, quotechar=qualifier, quoting=csv.QUOTE_ALL, lineterminator=end
    ).writerows(cells)
    assert split(text.getvalue().encode(), delimiter, qualifier, size) == cells


@given(st.lists(st.lists(VALUES, min_size=2, max_size=2), max_size=6), st.integers(1, 9))
@settings(max_examples=examples(150, 3000), deadline=None)
def test_values_without_qualifiers_are_trimmed_and_null_if_empty(
    cells: list[list[str]], size: int
) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(cells)
    expected = [
        [value if set(value) & set(',"\r\n') else value.strip(BLANKS) or None for value in row]
        for row in cells
    ]
    assert split(text.getvalue().encode(), size=size) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a, "b, c" ,d\n', [["a", "b, c", "d"]]),
        ('5" pipe,x\n', [['5" pipe', "x"]]),  # as Python's csv has it
        ('"",  ,\n', [["", None, None]]),
        ("a\r\rb\r\n\n  \nc", [["a"], ["b"], ["c"]]),
        ('"a\r\n""b""\n",2', [['a\r\n"b"\n', "2"]]),
        ("\ufeffa,b\n", [["a", "b"]]),
        ('\ufeff"a",b\n', [["a", "b"]]),
        ("a\u2028b\x0bc,d\x85\n", [["a\u2028b\x0bc", "d\x85"]]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_rows_are_split(text: str, expected: list[Any], size: int) -> None:
    assert split(text.encode(), size=size) == expected


def test_a_tab_is_a_delimiter_not_a_blank() -> None:
    assert split(b'a\t\t"b\t"\n\t\t\n', "\t") == [["a", None, "b\t"], [None, None, None]]


# Types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", "-7", "0"], "int64", [1, -7, 0]),
        (["9223372036854775807", "-9223372036854775808"], "int64", [2**63 - 1, -(2**63)]),
        (["9223372036854775808"], "string", ["9223372036854775808"]),
        (["9" * 5000], "string", ["9" * 5000]),
        (["1", "2.5", ".5", "5.", "1e3"], "double", [1.0, 2.5, 0.5, 5.0, 1000.0]),
        (["9007199254740993", "0.5"], "string", ["9007199254740993", "0.5"]),
        (["9007199254740992", "0.5"], "double", [2.0**53, 0.5]),
        (["1e999", "1"], "string", ["1e999", "1"]),
        (["-0", "1"], "double", [-0.0, 1.0]),
        (["007", "1"], "string", ["007", "1"]),
        (["+5"], "string", ["+5"]),
        (["1_000"], "string", ["1_000"]),
        (["\u0661"], "string", ["\u0661"]),
        (["1,5"], "string", ["1,5"]),
        (["nan", "1", "-inf"], "double", [float("nan"), 1.0, float("-inf")]),
        (["1", "", "3"], "int64", [1, None, 3]),
        (["", ""], "string", [None, None]),
        (["true"], "string", ["true"]),
        (["0x10"], "string", ["0x10"]),
        (["2020-01-01"], "string", ["2020-01-01"]),
    ],
)
def test_all_values_decide_the_type_of_a_column(
    tmp_path: Path, values: list[str], kind: str, expected: list[Any]
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["k", "a"], *([str(n), value] for n, value in enumerate(values))])
    column = made(tmp_path, text.getvalue()).column("a")
    assert str(column.type) == kind
    assert repr(column.to_pylist()) == repr(expected)


def test_the_last_row_of_the_last_file_decides(tmp_path: Path) -> None:
    many = "".join(f"{n}\n" for n in range(5000))
    (tmp_path / "u.csv").write_text("a\n1\nlast\n")
    path = write(tmp_path, "a\n" + many)
    path.write_text(path.read_text().replace("[t.csv]", "[t.csv, u.csv]"))
    apply([path], store=tmp_path / "store", workers=1)
    found = pyarrow.parquet.read_table(tmp_path / "store/parquet/t/rows.parquet").column("a")
    assert found.to_pylist() == [*map(str, range(5000)), "1", "last"]


def test_files_may_have_their_columns_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("b,a\nx,3\n")
    path = write(tmp_path, "a,b\n1,y\n")
    path.write_text(path.read_text().replace("[t.csv]", "[t.csv, u.csv]"))
    apply([path], store=tmp_path / "store", workers=1)
    found = pyarrow.parquet.read_table(tmp_path / "store/parquet/t/rows.parquet").to_pylist()
    assert found == [{"a": 1, "b": "y"}, {"a": 3, "b": "x"}]


def test_overrides(tmp_path: Path) -> None:
    text = "zip,n,x,day\n00123,5,1,2020-01-01\n2, +6,,\n"
    more = "column_data_type_overrides: {zip: STRING, n: LONG, x: NUMERIC, day: STRING}\n"
    table = made(tmp_path, text, more=more, source="date_format: yyyy-MM-dd\n")
    assert [str(table.schema.field(n).type) for n in ("zip", "n", "x", "day")] == [
        "string", "int64", "double", "string",
    ]  # fmt: skip
    assert table.to_pylist() == [
        {"day": "2020-01-01", "n": 5, "x": 1.0, "zip": "00123"},
        {"day": None, "n": 6, "x": None, "zip": "2"},
    ]


def test_an_empty_value_in_qualifiers_is_a_text_and_no_number(tmp_path: Path) -> None:
    assert rows(tmp_path, 'a,b,c\n1,"",""\n"",,\n3,x,""\n') == [
        {"a": 1, "b": "", "c": ""},
        {"a": None, "b": None, "c": None},
        {"a": 3, "b": "x", "c": ""},
    ]


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("yyyy-MM-dd", "2020-02-29", datetime(2020, 2, 29, tzinfo=UTC)),
        ("yyyyMMdd", "19700101", datetime(1970, 1, 1, tzinfo=UTC)),
        ("dd.MM.yyyy HH:mm", "01.03.1969 07:05", datetime(1969, 3, 1, 7, 5, tzinfo=UTC)),
        ("yyyy-MM-dd'T'HH:mm:ss.SSSZ", "2020-01-01T00:00:00.250+0200",
         datetime(2019, 12, 31, 22, 0, 0, 250000, tzinfo=UTC)),
        ("yyyy-MM-dd'T'HH:mm:ssZZ", "2020-01-01T00:00:00Z", datetime(2020, 1, 1, tzinfo=UTC)),
        ("MMM d, yyyy h:mm a", "Mar 5, 2021 3:07 PM", datetime(2021, 3, 5, 15, 7, tzinfo=UTC)),
        ("yyyy 'day' D", "2021 day 60", datetime(2021, 3, 1, tzinfo=UTC)),
        ("yyyy'%m'''MM", "2021%m'05", datetime(2021, 5, 1, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_dates_become_milliseconds(
    tmp_path: Path, pattern: str, value: str, expected: datetime
) -> None:
    quoted = pattern.replace("'", "''")
    (first, second) = rows(
        tmp_path, f'k,when\nx,"{value}"\ny,\n', source=f"date_format: '{quoted}'\n"
    )
    assert first["when"] == round(expected.timestamp() * 1000)
    assert second["when"] is None


@pytest.mark.parametrize(
    ("charset", "codec"),
    [("UTF-8", "utf-8"), ("UTF-8", "utf-8-sig"), ("UTF-16", "utf-16"), ("latin-1", "latin-1"),
     ("windows-1252", "cp1252"), ("UTF-16BE", "utf-16-be")],
)  # fmt: skip
def test_charsets_and_their_marks(tmp_path: Path, charset: str, codec: str) -> None:
    text = 'ä,n\n"Köln\n",1\n'.encode(codec)
    assert rows(tmp_path, text, source=f"charset: {charset}\n") == [{"n": 1, "ä": "Köln\n"}]


# Geometries --------------------------------------------------------------------------------------

GEOMETRIES = [
    "POINT (1 2)",
    "POINT Z (1 2 3)",
    "LINESTRING (0 0, 1 1)",
    "POLYGON ((0 0, 4 0, 4 4, 0 0), (1 0.5, 2 0.5, 2 1, 1 0.5))",
    "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))",
    "GEOMETRYCOLLECTION (POINT (0.1 0.2), LINESTRING (0 0, 1e-9 1))",
    "POINT EMPTY",
]


@pytest.mark.parametrize("form", ["wkt", "geojson"])
def test_geometries_are_those_of_shapely(tmp_path: Path, form: str) -> None:
    shapes = [shapely.from_wkt(text) for text in GEOMETRIES]
    if form == "geojson":
        shapes = [shape for shape in shapes if not shape.is_empty]
    texts = [
        json.dumps({"geodesic": False, **shapely.geometry.mapping(shape)}) if form == "geojson"
        else shape.wkt for shape in shapes
    ]  # fmt: skip
    text = io.StringIO()
    csv.writer(text).writerows([["id", ".geo"], *enumerate(texts), ["x", ""]])
    made(tmp_path, text.getvalue(), source="crs: EPSG:3857\n")
    found = geopandas.read_parquet(tmp_path / "store" / "parquet" / "t" / "rows.parquet")
    assert found.crs.to_epsg() == 3857
    assert found.geometry.name == ".geo"
    for one, shape in zip(found.geometry, shapes, strict=False):
        assert shapely.equals_identical(one, shape)
    assert found.geometry.iloc[-1] is None
    _, stored = record(tmp_path)
    assert stored.table is not None
    box = shapely.total_bounds(shapes).tolist()
    assert (stored.table.geometry, list(stored.table.bounds or ())) == (".geo", box)


def test_which_column_is_the_geometry(tmp_path: Path) -> None:
    text = 'longitude,latitude,note,a,b\n7,8,POINT,"POINT(1 2)","POINT(3 4)"\n'

    def point(**more: str) -> tuple[str, Any, Any]:
        made(tmp_path, text, **more)
        found = geopandas.read_parquet(tmp_path / "store" / "parquet" / "t" / "rows.parquet")
        return found.geometry.name, found.geometry.x[0], found["a"][0]

    assert point()[:2] == ("a", 1)
    assert point(source="primary_geometry_column: b\n") == ("b", 3, "POINT(1 2)")
    assert point(source="x_column: latitude\ny_column: longitude\n") == (
        "latitude_longitude", 8, "POINT(1 2)",
    )  # fmt: skip
    override = "column_data_type_overrides: {a: STRING}\n"
    assert point(more=override) == ("b", 3, "POINT(1 2)")
    override = "column_data_type_overrides: {a: STRING, b: STRING}\n"
    assert point(more=override) == ("longitude_latitude", 7, "POINT(1 2)")


def test_points_need_not_be_made(tmp_path: Path) -> None:
    text = "longitude,latitude\n1,n/a\n"
    table = made(tmp_path, text, source="x_column: ''\ny_column: ''\n")
    assert table.column_names == ["latitude", "longitude"]
    table = made(tmp_path, "longitude,latitude\n1,2\n,3\n")
    assert table.column_names == ["latitude", "longitude", "longitude_latitude", "bbox"]
    assert table.column("longitude_latitude").null_count == 1


def test_a_changed_geometry_is_another_content(tmp_path: Path) -> None:
    first = apply([write(tmp_path, "g\nPOINT(1 2)\n")], store=tmp_path / "store", workers=1)
    second = apply([write(tmp_path, "g\nPOINT(1 3)\n")], store=tmp_path / "store", workers=1)
    third = apply([write(tmp_path, "g\n POINT ( 1.0 2e0 ) \n")], store=tmp_path / "store")
    assert first.content_root != second.content_root
    assert third.content_root == first.content_root


# What is wrong -----------------------------------------------------------------------------------

LONG = "POINT(1 2)," * 3


@pytest.mark.parametrize(
    ("text", "source", "more", "words"),
    [
        ("", "", "", ["`t.csv:1`: the file is empty"]),
        ("\n \n", "", "", ["`t.csv:1`: the file is empty"]),
        ("a,b\n1,2\n\n3\n", "", "", ["`t.csv:4`: expected 2 values, as in line 1, got 1"]),
        ('a,b\n"1\n\n",2\n3,4,5\n', "", "", ["`t.csv:5`: expected 2 values", "got 3"]),
        ('a,b\n1,2\n"x\n,3\n', "", "", ["`t.csv:3`: a qualified value is not closed"]),
        ('a\n1\n"x"y\n', "", "", ["`t.csv:3`: text follows a qualified value", "twice"]),
        (b"a,b\n1,2\n1,\xff\n", "", "", ["`t.csv:3`: the bytes `ff 0a` are not valid utf-8"]),
        (b"\n" * 70000 + b"a\n\xe4\n", "", "", ["`t.csv:70002`: the bytes `e4 0a`"]),
        ("a\n1\n".encode("utf-16"), "", "", ["`t.csv:1`", "charset: UTF-16"]),
        ("a,b,a\n1,2,3\n", "", "", ["`t.csv:1`: columns 1 and 3 have the same name, `a`"]),
        (",a\n0,1\n", "", "", ["`t.csv:1`: column 1 has no name", "index=False"]),
        ("a;b\n1;2\n", "", "", ["`t.csv:1`: the only column is `a;b`", 'csv_delimiter: ";"']),
        ("a\tb\n1\t2\n", "", "", ['csv_delimiter: "\\t"']),
        ("plot,b\n1,2\n", "", "column_data_type_overrides: {plots: LONG}\n",
         ["`t.csv:1`: no column `plots`", "plot"]),
        ("a,b\n1,2\n", "primary_geometry_column: geo\n", "", ["no column `geo`"]),
        ("a,b\n1,2\nx,3\n", "", "column_data_type_overrides: {a: NUMERIC}\n",
         ["`t.csv:3`: column `a`: `x` is not a number"]),
        ("a\n1\n1.5\n", "", "column_data_type_overrides: {a: LONG}\n",
         ["`t.csv:3`: column `a`: `1.5` is not a 64-bit integer"]),
        ("g\nPOINT(1 2)\nPOINT(1\n", "", "", ["`t.csv:3`: column `g`: `POINT(1` is no geometry"]),
        ("g\nPOINT(1 2)\nPOINT(1 inf)\n", "", "", ["`t.csv:3`", "finite"]),
        ("g\nplace\n", "primary_geometry_column: g\n", "", ["`t.csv:2`: column `g`", "WKT"]),
        ('g\n"{""type"": ""Point""}"\n', "", "", ["`t.csv:2`: column `g`", "no geometry"]),
        ('g\n"{""type"":""Point"",""coordinates"":""ab""}"\n', "", "", ["`t.csv:2`"]),
        ('g\n"{""type"":""Point"",""coordinates"":[1,2],""crs"":{}}"\n', "", "", ["names a CRS"]),
        ('g\n"{""type"":""Point"",""coordinates"":[1,2]"\n', "", "", ["`t.csv:2`"]),
        ('g\n"{""type"":""Feature"",""geometry"":null}"\n', "primary_geometry_column: g\n", "",
         ["`t.csv:2`"]),
        ("d,k\n2020-01-01,1\n2020-13-01,1\n", "date_format: yyyy-MM-dd\n", "",
         ["`t.csv:3`: column `d`: `2020-13-01` is not a date", "`2020-01-01` in `t.csv:2`"]),
        ("longitude,latitude\n1,2\n1,n/a\n", "", "",
         ["t.csv:3`: column `latitude`", "`n/a` is no number", "x_column"]),
        ("a,longitude\n1,2\n", "x_column: lon\ny_column: lat\n", "", ["the column `lon`"]),
        (",".join(f"c{n}" for n in range(1001)) + "\n", "", "", ["1,001 columns"]),
        (f"a\n{'x' * 100_001}\n", "", "", ["`t.csv:2`: column `a`: a text has 100,001"]),
        ("a,b\n", "", "", ["`t/rows`: expected records", "got none in `t.csv`"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, source: str, more: str, words: Sequence[str]
) -> None:
    path = write(tmp_path, text, source=source, more=more)
    with pytest.raises(SourceError) as caught:
        apply([path], store=tmp_path / "store", workers=1)
    said = f"{caught.value.message} {caught.value.hint}"
    for word in words:
        assert word in said
    assert not TileStore.open(tmp_path / "store").head().number


def test_each_wrong_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "u.csv").write_text("b\n1\n")
    (tmp_path / "v.csv").write_text("a\n1,2\n")
    path = write(tmp_path, "a\n1\n")
    path.write_text(path.read_text().replace("[t.csv]", "[t.csv, u.csv, v.csv]"))
    with pytest.raises(SourceError) as caught:
        apply([path], store=tmp_path / "store", workers=1)
    said = str(caught.value.to_json() if hasattr(caught.value, "to_json") else caught.value)
    assert "`u.csv:1`" in said
    assert "`t.csv` has the column `a`, but `u.csv` does not" in said
    assert "v.csv:2" in said + repr(caught.value.__dict__)


def test_a_row_of_too_many_characters_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lines.MOST == 1 << 24
    monkeypatch.setattr(lines, "MOST", 1000)
    for text in (b"a\n1\n" + b"x" * 1001, b'a\n1\n"' + b"x\n" * 501, b'a\n1\n"' + b"\n" * 1001):
        with pytest.raises(SourceError, match=r"`t\.csv:3`: a row of more than 1,000"):
            apply([write(tmp_path, text)], store=tmp_path / "store", workers=1)
    assert len(rows(tmp_path, b'a\n"' + b"x\n" * 400 + b'"\n')) == 1


def test_a_file_that_changes_while_it_is_read_is_not_published(tmp_path: Path) -> None:
    path = write(tmp_path, "a\n" + "1\n" * 300_000)
    (change,) = plan([path], store=tmp_path / "store").changes
    table = change.asset
    assert isinstance(table, Table)
    reader = CsvReader(table)
    found: Iterator[Any] = reader.rows(table.sources[0])
    next(found)
    before = (tmp_path / "t.csv").stat()
    with (tmp_path / "t.csv").open("r+b") as file:
        file.seek(-2, os.SEEK_END)
        file.write(b"2")
    os.utime(tmp_path / "t.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(SourceError, match=r"`t\.csv`: changed while it was being read"):
        list(found)


# In and out --------------------------------------------------------------------------------------


def test_a_table_is_the_same_after_csv_and_back(tmp_path: Path) -> None:
    text = (
        'name,code,n,x,g,day\n" a ""b"", ",007,9223372036854775807,0.1,"POINT(1 2)",2020-01-01\n'
        '"é\n漢",1,,1e300,,\n"",2,-1,nan,"POLYGON((0 0,1 0,1 1,0 0))",1960-01-01\n,3,0,-inf,,\n'
    )
    made(tmp_path, text, source="date_format: yyyy-MM-dd\n")
    store, before = record(tmp_path)
    back = tmp_path / "back"
    back.mkdir()
    export_table(store, before, Destination(folder=back, prefix="t"), kind="csv")
    with (back / "t.csv").open(newline="") as file:
        assert [len(row) for row in csv.reader(file)] == [6] * 5
    made(back, (back / "t.csv").read_bytes(), more="column_data_type_overrides: {x: NUMERIC}\n")
    _, after = record(back)
    assert before.table is not None
    assert after.table is not None
    assert after.table.columns == before.table.columns
    assert after.table.bounds == before.table.bounds


def test_a_manifest_of_a_table_declares_it_again(tmp_path: Path) -> None:
    text = "geo;k;when\nPOINT(1 2);'a;';01/2020\n"
    source = (
        'csv_delimiter: ;\ncsv_qualifier: "\'"\nprimary_geometry_column: geo\n'
        "date_format: MM/yyyy\n"
    )
    assert rows(tmp_path, text, source=source)[0]["k"] == "a;"
    _, found = record(tmp_path)
    assert isinstance(found.asset, Table)
    manifest = manifest_of(found.asset, name="projects/p/assets/t/rows").manifest
    assert manifest["sources"] == [
        {"uris": ["t.csv"], "csvDelimiter": ";", "csvQualifier": "'",
         "primaryGeometryColumn": "geo", "dateFormat": "MM/yyyy"}
    ]  # fmt: skip
    (tmp_path / "table.yaml").unlink()
    (tmp_path / "table.json").write_text(json.dumps(manifest))
    (change,) = plan([tmp_path / "table.json"], store=tmp_path / "store").changes
    assert change.op is Op.KEEP


def test_content_decides_and_options_count(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,2\n")
    apply([path], store=tmp_path / "store", workers=1)
    os.utime(tmp_path / "t.csv", ns=(1, 1))
    assert plan([path], store=tmp_path / "store").changes[0].op is Op.KEEP
    path = write(tmp_path, "a,b\n1,2\n", source="date_format: yyyy\n")
    (change,) = plan([path], store=tmp_path / "store").changes
    assert [(one.path, one.detail) for one in change.because] == [
        ("sources.date_format", "none -> yyyy")
    ]


@pytest.mark.attack
def test_a_large_file_takes_little_memory(tmp_path: Path) -> None:
    line = '12345.5,text of a row,7,"POINT (1 2)"'
    write(tmp_path, "x,name,n,g\n" + f"{line}\n" * 2_000_000)
    done = run("apply", "table.yaml", "--init", "--store", "s", "-q", folder=tmp_path)
    assert done.code == 0, done.text
    assert done.megabytes < 700


def test_points_of_geometry_are_wkb(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, "g\nPOINT(1 2)\n")
    assert row["g"] == struct.pack("<BIdd", 1, 1, 1, 2)


def test_readers_skip_geometries_by_their_boxes(tmp_path: Path) -> None:
    """The covering of GeoParquet 1.1 is the bounds that shapely gives; none of no vertex."""
    shapes = [
        shapely.box(-3, 40, 2.5, 47), None, shapely.Point(10.5, -20), shapely.MultiPoint(),
        shapely.LineString([(179, 5, 100), (-179, 6, 200)]), shapely.Point(),
        shapely.GeometryCollection([shapely.Point(30, 1), shapely.LineString([(31, 0), (29, 2)])]),
    ]  # fmt: skip
    texts = (
        "" if one is None else f'"{shapely.to_wkt(one, output_dimension=3)}"' for one in shapes
    )
    lines = "".join(f"{number},{text},x\n" for number, text in enumerate(texts))
    table = made(tmp_path, f"n,wkt,bbox\n{lines}", source="primary_geometry_column: wkt\n")
    found = [
        None if box is None else tuple(box[edge] for edge in ("xmin", "ymin", "xmax", "ymax"))
        for box in table.column("bbox_1").to_pylist()
    ]
    empty = [one is None or one.is_empty for one in shapes]
    assert found == [
        None if skip or one is None else one.bounds for one, skip in zip(shapes, empty, strict=True)
    ]
    assert empty == [False, True, False, True, False, True, False]
    assert table.column("wkt").null_count == 1
    path = tmp_path / "store/parquet/t/rows.parquet"
    geo = json.loads(pyarrow.parquet.read_schema(path).metadata[b"geo"])["columns"]["wkt"]
    assert geo["covering"]["bbox"]["xmin"] == ["bbox_1", "xmin"]
    assert geopandas.read_parquet(path, bbox=(28, 0, 32, 3))["n"].tolist() == [6]
    west = pyarrow.parquet.read_table(path, filters=pc.field("bbox_1", "xmax") < 5)
    assert west.column("n").to_pylist() == [0]
