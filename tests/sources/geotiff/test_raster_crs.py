"""CRS texts and CRS of files: codes only where they are certain, CF attributes, no warnings."""

from __future__ import annotations

import json

import numpy as np
import pyproj
import pytest
import rasterio.crs
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.sources.geotiff.headers.header import crs_of
from geobatch.sources.projections.crs import parse_crs

LAEA = "+proj=laea +lat_0=52 +lon_0=10 +x_0=4321000 +y_0=3210000 +a=6378137 +rf=300"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("EPSG:32618", "EPSG:32618"),
        ("epsg:4326", "EPSG:4326"),
        ("urn:ogc:def:crs:EPSG::3035", "EPSG:3035"),
        (" EPSG:3857 ", "EPSG:3857"),
        ("ESRI:54009", "ESRI:54009"),
        (pyproj.CRS(32618).to_wkt("WKT1_GDAL"), "EPSG:32618"),
        (pyproj.CRS(32618).to_wkt("WKT2_2019"), "EPSG:32618"),
        (pyproj.CRS(4326).to_json(), "EPSG:4326"),
        (LAEA, None),
        ("+proj=utm +zone=18 +ellps=clrk66", None),
    ],
)
def test_code_only_where_certain(text: str, code: str | None) -> None:
    crs = parse_crs(text)
    assert crs.code == code
    assert pyproj.CRS(crs.wkt).equals(pyproj.CRS(text.strip()), ignore_axis_order=True)


def test_code_of_another_datum_is_not_believed() -> None:
    wkt = pyproj.CRS(32618).to_wkt("WKT2_2019").replace("298.257223563", "290")
    assert 'ID["EPSG",32618]' in wkt
    crs = parse_crs(wkt)
    assert crs.code is None
    ellipsoid = pyproj.CRS(crs.wkt).ellipsoid
    assert ellipsoid is not None
    assert ellipsoid.inverse_flattening == 290


def test_code_of_another_datum_name_with_the_same_numbers_is_believed() -> None:
    wkt = pyproj.CRS(3035).to_wkt("WKT2_2019").replace("European Terrestrial", "Euro-Terrestrial")
    assert parse_crs(wkt) == parse_crs("EPSG:3035")


def test_shift_to_wgs84_is_kept() -> None:
    crs = parse_crs("+proj=utm +zone=18 +ellps=intl +towgs84=1,2,3")
    assert crs.code is None
    assert "BOUNDCRS" in crs.wkt


@pytest.mark.parametrize("text", ["EPSG:32618", "EPSG:2263", "EPSG:4326", "EPSG:3857", LAEA])
def test_cf_names_axes_and_carries_the_crs(text: str) -> None:
    crs = parse_crs(text)
    content = json.loads(crs.cf)
    assert list(content) == ["grid_mapping", "x", "y"]
    assert (content["x"]["axis"], content["y"]["axis"]) == ("X", "Y")
    if text == "EPSG:4326":
        assert (content["x"]["units"], content["x"]["standard_name"]) == (
            "degrees_east",
            "longitude",
        )
        assert (content["y"]["units"], content["y"]["standard_name"]) == (
            "degrees_north",
            "latitude",
        )
    else:
        assert content["x"]["standard_name"] == "projection_x_coordinate"
        assert content["y"]["standard_name"] == "projection_y_coordinate"
        assert "metre" in content["y"]["units"]
    read = pyproj.CRS.from_cf(content["grid_mapping"])
    assert read.equals(pyproj.CRS(text), ignore_axis_order=True)


def test_heights_beside_the_plane_are_well() -> None:
    crs = parse_crs("EPSG:32632+5773")
    assert "COMPOUNDCRS" in crs.wkt
    assert json.loads(crs.cf)["x"]["standard_name"] == "projection_x_coordinate"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "32618",
        "WGS 84",
        "EPSG:99999999",
        "EPSG:5773",
        "EPSG:4978",
        "PROJCS[",
        "{",
        "\0",
        "+proj=zz",
    ],
)
def test_what_is_no_crs_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(ValueError, match="expected `EPSG:<number>`, WKT or a PROJ string") as info:
        parse_crs(text)
    assert f"`{text}`" in str(info.value)


@settings(max_examples=40, deadline=None)
@given(st.one_of(st.text(max_size=40), st.text("EPSG:+proj=utmzone0123456789 [{", max_size=30)))
def test_any_text_is_a_crs_or_a_value_error(text: str) -> None:
    try:
        crs = parse_crs(text)
    except ValueError:
        return
    assert parse_crs(crs.wkt) == crs


def test_file_and_text_agree() -> None:
    for number in (4326, 32618, 3035, 2263, 3857, 27700, 5514, 2056, 31370):
        crs = crs_of(rasterio.crs.CRS.from_epsg(number))
        assert crs == parse_crs(f"EPSG:{number}")
        assert crs is not None
        assert crs.wkt == parse_crs(f"EPSG:{number}").wkt
    assert crs_of(None) is None
    assert crs_of(rasterio.crs.CRS()) is None


def test_codes_by_the_hundred_agree_between_gdal_and_proj() -> None:
    rng = np.random.default_rng(1)
    codes = sorted(
        int(info.code)
        for info in pyproj.database.query_crs_info(
            auth_name="EPSG", pj_types=[pyproj.enums.PJType.PROJECTED_CRS]
        )
    )
    for number in rng.choice(codes, 150, replace=False):
        crs = crs_of(rasterio.crs.CRS.from_epsg(int(number)))
        assert crs is not None
        assert crs.code == f"EPSG:{number}"
