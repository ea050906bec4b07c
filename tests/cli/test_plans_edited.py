"""A saved plan that was edited or damaged: a clear error, or the plan; never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import edited, paths
from shell import geobatch
from workbench import image, write_tiff

CODES = {0, 1, 4, 12}
DEEP: Any = 1
for _ in range(200):
    DEEP = [DEEP]
VALUES: tuple[Any, ...] = (
    None, [], {}, 0, -1, 1.5, 1e300, 10**30, "", "x", "\x00", "\ud800", True, DEEP, ["x"], [1],
    {"x": 1}, [[]], [None], "a" * 300,
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("edited")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        write_tiff(place / "a.tif", [np.full((4, 4), 7, np.uint8)])
        spec = place / "s.yaml"
        spec.write_text(yaml.safe_dump_all([image(name, "a.tif") for name in ("a/b", "c", "e")]))
        assert geobatch("apply", spec).code == 0
        write_tiff(place / "a.tif", [np.full((4, 4), 8, np.uint8)])
        more = [image("a/b", "a.tif"), image("c2", "a.tif", moved_from="c"), image("n", "a.tif")]
        spec.write_text(yaml.safe_dump_all(more))
        argv = ["--prune", "--max-delete", "1", "--select", "*", "-o", "p.json"]
        assert geobatch("plan", spec, *argv).code == 0
        # What is applied by an edit that does not matter shall matter to no other.
        shutil.copytree("store", "kept", symlinks=True)
    return place


def check(folder: Path, data: bytes) -> None:
    file = folder / "q.json"
    file.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in ("show", "apply"):
            done = geobatch(command, file)
            assert "bug in geobatch" not in done.err, done.err
            assert "Traceback" not in done.err
            assert done.code in CODES
            assert done.code == 0 or done.err or done.out
            if command == "apply" and done.code == 0:
                shutil.rmtree("store")
                shutil.copytree("kept", "store", symlinks=True)


def plan(folder: Path) -> bytes:
    return (folder / "p.json").read_bytes()


QUIET = settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)


@QUIET
@given(data=st.data())
def test_an_edited_node(folder: Path, data: st.DataObject) -> None:
    document = json.loads(plan(folder))
    path = data.draw(st.sampled_from(list(paths(document))))
    delete = bool(path) and data.draw(st.booleans())
    value = data.draw(st.sampled_from(VALUES))
    check(folder, json.dumps(edited(document, path, value, delete=delete)).encode())


@QUIET
@given(data=st.data())
def test_flipped_and_cut_bytes(folder: Path, data: st.DataObject) -> None:
    raw = bytearray(plan(folder))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=3)):
        raw[at] = data.draw(st.integers(0, 255))
    check(folder, bytes(raw[: data.draw(st.integers(0, len(raw)))]))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("asset_changes", 0, "actions"), [], "$.asset_changes[0].actions"),
        (("asset_changes", 0, "actions", 0), "erase", "$.asset_changes[0].actions[0]"),
        (("summary", "create"), "x", "$.summary.create"),
        (("options", "select", 0), None, "$.options.select[0]"),
        (("paths",), [], "$.paths"),
        (("plan_id",), "\ud800", "$.plan_id"),
    ],
)
def test_the_error_says_where(folder: Path, path: tuple[Any, ...], value: Any, said: str) -> None:
    text = json.dumps(edited(json.loads(plan(folder)), path, value, delete=False))
    (folder / "q.json").write_text(text)
    done = geobatch("show", folder / "q.json")
    assert done.code == 1
    assert said in done.err
    assert "geobatch plan -o" in done.err


def test_more_members_are_no_error(folder: Path) -> None:
    document = json.loads(plan(folder))
    document["more"] = document["summary"]["more"] = document["assets"][0]["more"] = 1
    (folder / "q.json").write_text(json.dumps(document))
    assert geobatch("show", folder / "q.json").code == 0
