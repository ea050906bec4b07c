"""Mixers: real ones, and every way in which one can be wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from geobatch.errors import SourceError
from geobatch.tfrecord.mixer import mixer_crs, mixer_transform, parse_mixer

GOOD: dict[str, Any] = {
    "projection": {"crs": "EPSG:4326", "affine": {"doubleMatrix": [0.5, 0, -105, 0, -0.5, 20]}},
    "patchDimensions": [32, 16],
    "patchesPerRow": 3,
    "totalPatches": 15,
}


def read_all(text: str, uri: str) -> None:
    for read in (parse_mixer, mixer_crs, mixer_transform):
        read(text, uri)


def test_real_mixers_are_read(rasters: Path) -> None:
    files = sorted(rasters.glob("mixers/*.json"))
    assert len(files) > 1
    for file in files:
        text = file.read_text()
        said, found = json.loads(text), parse_mixer(text, "m")
        width, height = said["patchDimensions"]
        per_row, total = said["patchesPerRow"], said["totalPatches"]
        assert mixer_crs(text, "m") == said["projection"]["crs"]
        assert mixer_transform(text, "m") == tuple(said["projection"]["affine"]["doubleMatrix"])
        assert (found.patch, found.total) == ((height, width), total)
        assert found.shape == (total // per_row, per_row)
        assert found.size == (total // per_row * height, per_row * width)


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
