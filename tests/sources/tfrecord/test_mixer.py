"""Mixers: real ones, and every way in which one can be wrong."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.errors import SourceError
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.mixer import mixer_crs, mixer_transform, parse_mixer

GOOD: dict[str, Any] = {
    "projection": {"crs": "EPSG:4326", "affine": {"doubleMatrix": [0.5, 0, -105, 0, -0.5, 20]}},
    "patchDimensions": [32, 16],
    "patchesPerRow": 3,
    "totalPatches": 15,
}


def read_all(text: str, uri: str) -> None:
    for read in (parse_mixer, mixer_crs, mixer_transform):
        with Named(uri):
            read(text)


def test_real_mixers_are_read(rasters: Path) -> None:
    files = sorted(rasters.glob("mixers/*.json"))
    assert len(files) > 1
    for file in files:
        text = file.read_text()
        said, found = json.loads(text), parse_mixer(text)
        width, height = said["patchDimensions"]
        per_row, total = said["patchesPerRow"], said["totalPatches"]
        assert mixer_crs(text) == said["projection"]["crs"]
        assert mixer_transform(text) == tuple(said["projection"]["affine"]["doubleMatrix"])
        assert (found.patch, found.total) == ((height, width), total)
        assert found.shape == (total // per_row, per_row)
        assert found.size == (total // per_row * height, per_row * width)


def test_width_comes_before_height() -> None:
    mixer = parse_mixer(json.dumps(GOOD))
    assert mixer.patch == (16, 32)
    assert mixer.size == (5 * 16, 3 * 32)
    assert mixer_transform(json.dumps(GOOD)) == (0.5, 0.0, -105.0, 0.0, -0.5, 20.0)


def test_a_crs_may_be_wkt_and_other_keys_are_passed_over() -> None:
    found = copy.deepcopy(GOOD)
    found["projection"]["wkt"] = found["projection"].pop("crs")
    found["note"] = {"kernel": 1}
    assert mixer_crs(json.dumps(found)) == "EPSG:4326"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["projection"], None, "has no `projection"),
        (["projection", "crs"], None, "`projection.crs`"),
        (["projection", "crs"], 4326, "expected a code such as"),
        (["projection", "affine"], None, "has no `projection.affine.doubleMatrix`"),
        (["projection", "affine", "doubleMatrix"], [1, 2, 3], "expected six numbers"),
        (["projection", "affine", "doubleMatrix"], [1, 0, 0, 0, "x", 0], "expected six numbers"),
        (["projection", "affine", "doubleMatrix"], [1, 2, 0, 2, 4, 0], "is not valid"),
        (["patchDimensions"], [256], "a width and a height"),
        (["patchDimensions"], [256, 0], "a width and a height"),
        (["patchDimensions"], [256, 2.5], "a width and a height"),
        (["patchesPerRow"], None, "has no `patchesPerRow`"),
        (["patchesPerRow"], True, "a number of patches"),
        (["totalPatches"], "15", "a number of patches"),
        (["totalPatches"], 16, "a multiple of `patchesPerRow`, which is 3"),
    ],
)
def test_a_wrong_value_is_named(path: list[str], value: Any, words: str) -> None:
    found = copy.deepcopy(GOOD)
    place = found
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    with pytest.raises(SourceError, match=r"^`preds/m.json`: ") as caught:
        read_all(json.dumps(found), "preds/m.json")
    assert words in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"projection": []}', "[" * 100_000])
def test_what_is_no_mixer_is_no_crash(text: str) -> None:
    with pytest.raises(SourceError):
        parse_mixer(text)


LONG = "9" * 400
SCALARS = st.one_of(
    st.sampled_from([LONG, f"-{LONG}", f"1{LONG}.5", "1e400", "-1e999", "1E-400", "NaN", "-0",
                     "Infinity", "-Infinity", "9" * 5000, "1e308", "2147483648", "true", "null",
                     '""', '"\\ud800"', '"\\u0000"', '"EPSG:0"', "0.1", "1e2",
                     "[" * 300 + "]" * 300,
                     '{"a": 1, "a": 2}', "[1e308, 0, 0, 0, 1e308, 0]"]),
    st.integers().map(str), st.floats().map(json.dumps), st.text(max_size=8).map(json.dumps),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6).map(lambda items: f"[{', '.join(items)}]"),
        st.lists(
            st.tuples(st.sampled_from(["crs", "wkt", "affine", "doubleMatrix"]), inner), max_size=3
        ).map(lambda pairs: "{" + ", ".join(f'"{key}": {value}' for key, value in pairs) + "}"),
    ),
    max_leaves=8,
)


@settings(max_examples=examples(200, 600), deadline=None)
@given(
    projection=st.none() | VALUES, crs=st.none() | VALUES, matrix=st.none() | VALUES,
    places=st.lists(SCALARS, max_size=2), numbers=st.tuples(*[st.none() | VALUES] * 3),
)  # fmt: skip
def test_any_value_anywhere_is_a_mixer_or_a_source_error(
    projection: str | None, crs: str | None, matrix: str | None, places: list[str],
    numbers: tuple[str | None, ...],
) -> None:  # fmt: skip
    terms = [*places, *("0.5", "0", "-105", "0", "-0.5", "20")][:6]
    matrix = f"[{', '.join(terms)}]" if matrix is None else matrix
    crs = '"EPSG:4326"' if crs is None else crs
    if projection is None:
        projection = f'{{"crs": {crs}, "affine": {{"doubleMatrix": {matrix}}}}}'
    size, per_row, total = (
        default if value is None else value
        for value, default in zip(numbers, ("[32, 16]", "3", "15"), strict=True)
    )
    text = (
        f'{{"projection": {projection}, "patchDimensions": {size},'
        f' "patchesPerRow": {per_row}, "totalPatches": {total}}}'
    )
    try:
        with Named("m"):
            mixer = parse_mixer(text)
            transform = mixer_transform(text)
            mixer_crs(text)
    except SourceError as error:
        said = str(error)
    else:
        a, b, _, d, e, _ = transform
        assert math.isfinite(a * e - b * d)
        assert mixer.total % mixer.patches_per_row == 0
        return
    assert said.startswith("`m`: ")
    assert said.isprintable()
    assert len(said) < 400


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("number", [LONG, f"-{LONG}", f"{LONG}.0", "1e400", "NaN"])
def test_a_number_that_no_float_has(place: int, number: str) -> None:
    terms = ["0.5", "0", "-105", "0", "-0.5", "20"]
    terms[place] = number
    text = json.dumps(GOOD).replace("[0.5, 0, -105, 0, -0.5, 20]", f"[{', '.join(terms)}]")
    with pytest.raises(SourceError, match=r"`projection\.affine.doubleMatrix` is .* six numbers"):
        mixer_transform(text)


def test_a_key_that_stands_there_twice() -> None:
    text = json.dumps(GOOD).replace('"patchesPerRow": 3', '"patchesPerRow": 5, "patchesPerRow": 3')
    with pytest.raises(SourceError, match="a key appears twice"):
        parse_mixer(text)


def test_a_mixer_of_more_pixels_than_a_raster_has() -> None:
    found = GOOD | {"patchDimensions": [2**31 - 1] * 2, "totalPatches": 2**31 - 2}
    with pytest.raises(SourceError, match="on a side"):
        parse_mixer(json.dumps(found))
