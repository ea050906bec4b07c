"""Mixers: real ones, and every way in which one can be wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from geobatch.errors import SourceError
from geobatch.tfrecord.mixer import mixer_crs, mixer_transform, parse_mixer

MIXERS = Path(__file__).parents[2].parent / "shared" / "data" / "mixers"
GOOD: dict[str, Any] = {
    "projection": {"crs": "EPSG:4326", "affine": {"doubleMatrix": [0.5, 0, -105, 0, -0.5, 20]}},
    "patchDimensions": [32, 16],
    "patchesPerRow": 3,
    "totalPatches": 15,
}


def read_all(text: str, uri: str) -> None:
    for read in (parse_mixer, mixer_crs, mixer_transform):
        read(text, uri)


@pytest.mark.skipif(not MIXERS.exists(), reason="the real mixers are not beside the clone")
def test_real_mixers_are_read() -> None:
    text = (MIXERS / "sif_south_america-mixer.json").read_text()
    sif = parse_mixer(text, "m")
    assert (mixer_crs(text, "m"), sif.patch, sif.shape) == ("EPSG:4326", (256, 256), (5, 3))
    assert mixer_transform(text, "m")[:3] == (0.050000000000004256, 0.0, -105.00000000000894)
    text = (MIXERS / "predict_italy-mixer.json").read_text()
    italy = parse_mixer(text, "m")
    assert (italy.size, italy.total) == ((512, 1280), 10)
    assert mixer_transform(text, "m")[0] == 8.983152841195215e-4  # written with Java's exponent


def test_width_comes_before_height() -> None:
    mixer = parse_mixer(json.dumps(GOOD), "m")
    assert mixer.patch == (16, 32)
    assert mixer.size == (5 * 16, 3 * 32)
    assert mixer_transform(json.dumps(GOOD), "m") == (0.5, 0.0, -105.0, 0.0, -0.5, 20.0)


def test_a_crs_may_be_wkt_and_other_keys_are_passed_over() -> None:
    found = copy.deepcopy(GOOD)
    found["projection"]["wkt"] = found["projection"].pop("crs")
    found["note"] = {"kernel": 1}
    assert mixer_crs(json.dumps(found), "m") == "EPSG:4326"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["projection"], None, "has no `projection"),
        (["projection", "crs"], None, "`projection.crs`"),
        (["projection", "crs"], 4326, "expected a code such as"),
        (["projection", "affine"], None, "has no `projection.affine.doubleMatrix`"),
        (["projection", "affine", "doubleMatrix"], [1, 2, 3], "expected six numbers"),
        (["projection", "affine", "doubleMatrix"], [1, 0, 0, 0, "x", 0], "expected six numbers"),
        (["projection", "affine", "doubleMatrix"], [1, 2, 0, 2, 4, 0], "places no pixels"),
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
        parse_mixer(text, "m")
