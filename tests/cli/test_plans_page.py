"""What docs/plans.md lists is what a plan holds: no member more, none less."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import geobatch
from table_workbench import write_shard
from workbench import Workbench, image, write_tiff

from geobatch.model.plans.plan import Risk

PAGE = (Path(__file__).parents[2] / "docs" / "plans.md").read_text(encoding="utf-8")


def listed(title: str) -> set[str]:
    """Return the names in the first column of the table below a title."""
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Save a plan that has a change of every kind."""
    monkeypatch.chdir(tmp_path)
    bench = Workbench(folder=tmp_path)
    for number, name in enumerate("abcd"):
        pixels = np.full((300, 280), number + 1, dtype=np.uint8)
        write_tiff(tmp_path / f"{name}.tif", [pixels])
    protect = {"protect": True}
    bench.apply(image("a", "a.tif"), image("b", "b.tif"), image("c", "c.tif", lifecycle=protect))
    bench.write_spec(
        [
            image("a", "a.tif", pyramiding_policy="MIN"),
            image("x", "b.tif", moved_from="b", properties={"k": 1}),
            image("d", "d.tif", checks=[{"range": [0, 9]}, {"crs": "EPSG:32633"}]),
            image("e", "a.tif"),
            {"id": "t", "kind": "table", "sources": [{"uris": ["rows.tfrecord"]}]},
        ]
    )
    write_shard(tmp_path / "rows.tfrecord", [{"n": ("int64_list", [1])}], "")
    assert geobatch("plan", "spec.yaml", "--prune", "-o", "p.json").code == 5  # one is blocked
    return json.loads(Path("p.json").read_text())


def test_the_members_of_the_document(document: Any) -> None:
    assert document.keys() == listed("The document") - {"rehearsal"}


def test_the_members_of_changes(document: Any) -> None:
    changes = document["asset_changes"]
    assert sorted(change["actions"] for change in changes) == [
        ["blocked"], ["create"], ["create"], ["create"], ["rename", "update"], ["update"],
    ]  # fmt: skip
    assert set[str]().union(*changes) == listed("A change") - {"rehearsed"}


@pytest.mark.parametrize("name", ["tool", "looked_at", "summary", "options", "tiles"])
def test_the_members_of_members(document: Any, name: str) -> None:
    (row,) = re.findall(
        rf"^\| [^|]*`{name}`[^|]*\|(.*)\|$", PAGE.split("## A change")[0], re.MULTILINE
    )
    assert document[name].keys() <= set(re.findall(r"`(\w+)`", row))


def test_the_members_of_lists(document: Any) -> None:
    for name in ("assets", "sources"):
        (row,) = re.findall(rf"^\| `{name}` \|(.*)\|$", PAGE, re.MULTILINE)
        assert document[name][0].keys() == set(re.findall(r"`(\w+)`", row))
    line = document["tiles"]["rows"][0]
    (sentence,) = re.findall(r"(?s)A row of `tiles` has (.*?)\.", PAGE)
    assert line.keys() == set(re.findall(r"`(\w+)`", sentence))


def test_the_members_of_checks(document: Any) -> None:
    checks = [one for change in document["asset_changes"] for one in change.get("checks", ())]
    assert [one["kind"] for one in checks] == ["range", "crs"]
    done = geobatch("apply", "spec.yaml", "--json", "--select", "d")
    lines = [json.loads(line) for line in done.out.splitlines()]
    checks += [one for line in lines if line["type"] == "asset" for one in line["checks"]]
    assert set[str]().union(*checks) | {"first"} == listed("A check")


def test_the_risks() -> None:
    assert set(Risk) == listed("Risks")


def test_the_members_of_a_rehearsed_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.full((300, 280), 1, dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels])
    bench = Workbench(folder=tmp_path)
    bench.apply(image("a", "a.tif"))
    write_tiff(tmp_path / "a.tif", [pixels + np.uint8(1), pixels])
    assert geobatch("plan", "spec.yaml", "--rehearse", "-o", "p.json").code == 0
    document = json.loads(Path("p.json").read_text())
    assert document.keys() == listed("The document")
    (change,) = document["asset_changes"]
    rehearsal, found, band = re.findall(
        r"^\| member of .*?(?=\n\n)", PAGE, re.DOTALL | re.MULTILINE
    )
    for table, members in (
        (rehearsal, document["rehearsal"]),
        (found, change["rehearsed"]),
        (band, change["rehearsed"]["bands"][0]),
        (band, change["rehearsed"]["values"][0]),
    ):
        rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
        assert members.keys() == names
