"""An asset is of one of three types; each has the fields of its kind and no other."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given

from geobatch.errors import CorruptObjectError
from geobatch.format.documents import decode_asset, encode_asset
from geobatch.model.assets.asset import Asset, ExternalImage, Image, Kind, Resolution, Table
from geobatch.model.digest import canonical_json
from geobatch.model.geobox import Crs
from geobatch.model.published import AssetRecord
from geobatch.testing.assets import records

CRS = Crs(code="EPSG:4326", wkt="w")
TABLE = Table(id="a", sources=(), x_column="x", y_column="y", crs=CRS)


def test_there_is_one_type_per_kind() -> None:
    kinds = {kind.kind: kind for kind in get_args(Asset)}
    assert kinds == {Kind.IMAGE: Image, Kind.EXTERNAL_IMAGE: ExternalImage, Kind.TABLE: Table}


def test_equal_fields_of_another_kind_are_another_asset() -> None:
    facts: dict[str, Any] = {"id": "a", "grids": (), "bands": (), "tilesets": ()}
    one, other = Image(**facts), ExternalImage(**facts)
    assert one == Image(**facts, origin="a.yaml:1")
    assert one != other
    assert (one.is_external, other.is_external) == (False, True)


def test_a_table_has_no_pixels() -> None:
    assets: tuple[Asset, ...] = (TABLE, Image(id="b", grids=(), bands=(), tilesets=()))
    assert [asset.bands for asset in Resolution(assets=assets).assets] == [(), ()]
    assert (TABLE.grids, TABLE.tilesets, TABLE.footprint, TABLE.is_external) == (
        (),
        (),
        None,
        False,
    )
    for field in ({"bands": ()}, {"tile": 256}, {"kind": Kind.IMAGE}):
        with pytest.raises(TypeError, match=next(iter(field))):
            Table(id="a", sources=(), x_column="", y_column="", crs=CRS, **field)


@given(record=records())
def test_a_document_comes_back_as_its_type_or_not_at_all(record: AssetRecord) -> None:
    document = json.loads(encode_asset(record))
    assert type(decode_asset(canonical_json(document)).asset) is type(record.asset)
    for kind in ("table", "folder", "image_collection", "", None, ["image"]):
        document["visible"]["kind"] = kind
        with pytest.raises(CorruptObjectError, match="document"):
            decode_asset(canonical_json(document))
