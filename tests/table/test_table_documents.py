"""Documents of tables say all of them, and fingerprints move with what determines the rows."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.format.documents import asset_content, decode_asset, encode_asset
from geobatch.model.assets.fingerprint import asset_fingerprint, table_fingerprint
from geobatch.model.assets.table import Column, ColumnType, StoredTable, Table, TableSource
from geobatch.model.geobox import Crs
from geobatch.model.published import AssetRecord

TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TYPES = st.sampled_from(ColumnType)


@st.composite
def records(draw: st.DrawFn) -> AssetRecord:
    table = Table(
        id="t/a",
        properties=tuple(sorted(draw(st.dictionaries(TEXTS, TEXTS | FINITE)).items())),
        start_time=draw(st.none() | st.just("2025-01-01T00:00:00Z")),
        memo=draw(TEXTS),
        is_protected=draw(st.booleans()),
        sources=tuple(draw(st.lists(st.builds(TableSource, uri=TEXTS, digest=DIGESTS)))),
        x_column=draw(TEXTS),
        y_column=draw(TEXTS),
        crs=Crs(code=draw(st.none() | st.just("EPSG:4326")), wkt=draw(TEXTS)),
        is_placed=draw(st.booleans()),
        charset=draw(TEXTS),
        types=tuple(sorted(draw(st.dictionaries(TEXTS, TYPES, max_size=3)).items())),
    )
    columns = st.builds(Column, name=TEXTS, type=TYPES, is_array=st.booleans(), content=DIGESTS)
    geometry = draw(st.none() | TEXTS)
    has_bounds = geometry is not None and draw(st.booleans())
    return AssetRecord(
        asset=table,
        arrays=(),
        fingerprints=(),
        table=StoredTable(
            rows=draw(st.integers(1, 10**8)),
            columns=tuple(draw(st.lists(columns, max_size=3))),
            geometry=geometry,
            bounds=draw(st.tuples(FINITE, FINITE, FINITE, FINITE)) if has_bounds else None,
            fingerprint=draw(DIGESTS),
            stored=draw(DIGESTS),
            size=draw(st.integers(1, 2**60)),
        ),
    )


@given(record=records())
def test_a_document_says_all_of_a_table(record: AssetRecord) -> None:
    data = encode_asset(record)
    found = decode_asset(data)
    assert found == record
    assert encode_asset(found) == data
    assert asset_fingerprint(found.asset) == asset_fingerprint(record.asset)


TABLE = Table(
    id="t/a",
    sources=(TableSource(uri="a", digest="0" * 64), TableSource(uri="b", digest="1" * 64)),
    x_column="x",
    y_column="y",
    crs=Crs(code="EPSG:4326", wkt="w"),
)


@pytest.mark.parametrize(
    "facet",
    [
        {"sources": TABLE.sources[::-1]},
        {"sources": TABLE.sources[:1]},
        {"x_column": "z"},
        {"crs": Crs(code=None, wkt="w")},
        {"charset": "latin-1"},
        {"types": (("a", ColumnType.INT64),)},
    ],
)
def test_a_fingerprint_moves_with_what_determines_rows(facet: dict[str, Any]) -> None:
    assert table_fingerprint(replace(TABLE, **facet)) != table_fingerprint(TABLE)


def test_names_of_files_determine_no_row() -> None:
    renamed = tuple(replace(source, uri=f"other/{source.uri}") for source in TABLE.sources)
    assert table_fingerprint(replace(TABLE, sources=renamed)) == table_fingerprint(TABLE)


@given(record=records())
def test_where_rows_are_and_what_they_came_from_is_not_content(record: AssetRecord) -> None:
    stored, table = record.table, record.asset
    assert stored is not None
    assert isinstance(table, Table)
    other = replace(
        record,
        asset=replace(table, memo="other", sources=TABLE.sources),
        table=replace(stored, stored="2" * 64, size=1, fingerprint="3" * 64),
    )
    assert asset_content(other) == asset_content(record)
    more = replace(record, table=replace(stored, rows=stored.rows + 1))
    assert asset_content(more) != asset_content(record)
