"""Mixers are those that Earth Engine writes, number for number."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.model.geobox import Crs, GeoBox, Transform
from geobatch.sources.tfrecord.writing.mixer import java_text, mixer_text

FINITE = st.floats(allow_nan=False, allow_infinity=False)


def geobox(crs: Crs, transform: Transform) -> GeoBox:
    return GeoBox(crs=crs, transform=transform, height=1, width=1)


def test_real_mixers_come_out_byte_for_byte(rasters: Path) -> None:
    files = sorted(rasters.glob("mixers/*.json"))
    assert files
    for file in files:
        said = json.loads(file.read_text())
        a, b, c, d, e, f = said["projection"]["affine"]["doubleMatrix"]
        crs = Crs(code=said["projection"]["crs"], wkt="")
        width, height = said["patchDimensions"]
        text = mixer_text(
            geobox(crs, (a, b, c, d, e, f)),
            patch=(width, height),
            per_row=said["patchesPerRow"],
            total=said["totalPatches"],
        )
        assert text == file.read_text()


@given(st.tuples(FINITE, FINITE, FINITE, FINITE), st.text(st.characters(codec="utf-8")))
def test_a_mixer_is_json_with_exact_numbers(
    numbers: tuple[float, float, float, float], wkt: str
) -> None:
    b, c, d, f = numbers
    transform = (1.0, b, c, d, 1.0 + b * d, f)
    if not math.isfinite(transform[4]) or transform[4] - b * d == 0:
        transform = (1.0, 0.0, c, 0.0, -1.0, f)
    text = mixer_text(
        geobox(Crs(code=None, wkt=wkt or "X"), transform), patch=(3, 5), per_row=2, total=4
    )
    said = json.loads(text)
    assert said["projection"]["crs"] == (wkt or "X")
    found = said["projection"]["affine"]["doubleMatrix"]
    assert [value.hex() for value in found] == [value.hex() for value in transform]
    assert (said["patchDimensions"], said["patchesPerRow"], said["totalPatches"]) == ([3, 5], 2, 4)


@given(FINITE)
def test_a_number_reads_back_the_same(number: float) -> None:
    assert float(java_text(number)).hex() == number.hex()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (-30.0, "-30.0"), (0.001, "0.001"),
        (9.99e-4, "9.99E-4"), (9999999.0, "9999999.0"), (1e7, "1.0E7"), (-4.5e6, "-4500000.0"),
        (123456.789, "123456.789"), (8.983152841195215e-4, "8.983152841195215E-4"),
        (1e-300, "1.0E-300"), (1.7976931348623157e308, "1.7976931348623157E308"),
        (12345678.9, "1.23456789E7"),
    ],
)  # fmt: skip
def test_numbers_are_spelled_as_in_java(number: float, text: str) -> None:
    assert java_text(number) == text
