"""An asset is of one of three types; each has the fields of its kind and no other."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given

from geobatch.errors import CorruptObjectError, InternalError
from geobatch.format.documents import decode_asset, encode_asset
from geobatch.model.assets.asset import (
    Asset,
    ExternalImage,
    Image,
    Kind,
    Resolution,
    Table,
    image_of,
)
from geobatch.model.digest import canonical_json
from geobatch.model.geobox import Crs
from geobatch.model.plans.plan import Reason
from geobatch.model.published import AssetRecord
from geobatch.planner import because_of
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
    image = Image(id="b", grids=(), bands=(), tilesets=())
    external = ExternalImage(id="c", grids=(), bands=(), tilesets=())
    assert Resolution(assets=(TABLE, image, external)).images == (image, external)
    assert not TABLE.is_external
    for name in ("grids", "bands", "tilesets", "array_bands", "tile", "codec", "footprint"):
        assert hasattr(image, name)
        assert not hasattr(TABLE, name)
    assert image_of(image) is image
    with pytest.raises(InternalError, match="is a table, not an image"):
        image_of(TABLE)
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


@pytest.mark.parametrize("before", [TABLE, Image(id="a", grids=(), bands=(), tilesets=())])
@pytest.mark.parametrize("kind", [Image, ExternalImage])
def test_a_table_that_replaces_an_image_says_what_becomes_of_the_pixels(
    before: Asset, kind: type[Image | ExternalImage]
) -> None:
    image = kind(id="a", grids=(), bands=(), tilesets=(), array_bands=(("t", ("b",)),))
    if before.kind is image.kind:
        return
    first, *rest = because_of(image, before)
    assert first.reason is Reason.KIND_CHANGED
    words = "stay in the COGs" if kind is ExternalImage else "are ingested"
    assert f"{before.kind} -> {image.kind}: pixels {words}" in first.detail
    assert [one.path for one in rest] == ["array_bands.t"]
    back = because_of(before, image)[0]
    assert (" rows are read" in back.detail) is isinstance(before, Table)
