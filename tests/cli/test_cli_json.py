"""`--json`: every line of stdout is a record, the last one says how it ended."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.store.tilestore import TileStore


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    return made_in(tmp_path)


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = made_in(tmp_path_factory.mktemp("applied"))
    bench.apply_spec()
    return bench


def made_in(tmp_path: Path) -> Workbench:
    pixels = np.random.default_rng(1).integers(1, 255, (600, 280)).astype(np.uint8)
    pixels[:64, :64] = 0
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    write_tiff(tmp_path / "a.tif", [pixels], nodata=0, layout=layout)
    bench = Workbench(folder=tmp_path)
    bench.write_spec([image("x/a", "a.tif", properties={"title": "Größe\t☃"})])
    return bench


def argv_of(bench: Workbench, text: str) -> list[str]:
    spec = str(bench.folder / "spec.yaml")
    return ["--store", str(bench.store), *(spec if arg == "SPEC" else arg for arg in text.split())]


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ("init", ["store"]),
        ("validate SPEC", ["valid"]),
        ("fmt SPEC", ["formatted"]),
        ("schema", ["schema"]),
        ("plan SPEC", ["plan"]),
        ("apply SPEC", ["plan", "summary"]),
        ("ls", ["asset"]),
        ("info", ["store"]),
        ("info x/a", ["asset"]),
        ("show x/a", ["asset"]),
        ("log", ["commit"]),
        ("--version", ["version"]),
        ("--help", ["help"]),
        ("apply -h", ["help"]),
        ("", ["help"]),
        ("ls nothing", []),
        ("apply", ["error"]),
        ("no-such-command", ["error"]),
        ("-j none ls", ["error"]),
        ("info nothing", ["error"]),
        ("validate nothing", ["error"]),
    ],
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_every_line_is_a_record(
    applied: Workbench, text: str, types: list[str], place: str
) -> None:
    if text.startswith("fmt"):
        applied.write_spec([image("x/a", "a.tif", properties={"title": "Größe\t☃"})])
    argv = argv_of(applied, text)
    done = geobatch(*(["--json", *argv] if place == "before" else [*argv, "--json"]))
    assert [line["type"] for line in done.lines] == [*types, "exit"]
    assert done.lines[-1] == {"type": "exit", "code": done.code}
    assert not done.err or text.startswith(("fmt", "ls"))


def test_a_record_is_ascii_in_any_locale(bench: Workbench) -> None:
    geobatch(*argv_of(bench, "apply SPEC"))
    done = geobatch(*argv_of(bench, "ls --json"))
    assert done.out.isascii()
    assert done.lines[0]["properties"] == {"title": "Größe\t☃"}


def test_the_summary_says_what_the_store_holds(bench: Workbench) -> None:
    done = geobatch(*argv_of(bench, "--json apply SPEC"))
    summary = done.record("summary")
    store = TileStore.open(bench.store)
    head = store.head()
    assert head.commit is not None
    assert summary["commit"] == head.digest
    assert summary["content_root"] == head.commit.content_root
    assert set(summary["tiles"]) == {"written", "reused", "empty"}
    assert set(summary["bytes"]) == {"read", "written"}
    assert isinstance(summary["seconds"], float)
    assert summary["seconds"] > 0
    (entry,) = head.tree.entries
    tiles = summary["tiles"]
    assert tiles["written"] + tiles["reused"] == entry.tiles
    assert tiles["empty"] == 1
    chunks = [
        path for path in (bench.tree / "x/a").rglob("c/*/*") if path.parent.parent.name == "c"
    ]
    ours = [path for path in chunks if path.parents[2].name == "b1"]
    assert len(ours) == entry.tiles
    objects = {path.stat().st_ino: path.stat().st_size for path in ours}
    assert tiles["written"] == len(objects)
    assert summary["bytes"]["written"] == sum(objects.values())
    source = (bench.folder / "a.tif").stat().st_size
    assert 0.9 * source < summary["bytes"]["read"] <= source
    store.close()


def test_a_change_says_which_asset_and_why(bench: Workbench) -> None:
    geobatch(*argv_of(bench, "apply SPEC"))
    bench.write_spec([image("x/a", "a.tif"), image("b", "a.tif")])
    done = geobatch(*argv_of(bench, "--json apply SPEC"))
    changes = {line["id"]: line for line in done.lines if line["type"] == "asset"}
    assert changes["b"]["actions"] == ["create"]
    assert changes["x/a"]["actions"] == ["update"]
    assert changes["x/a"]["reasons"] == [
        {"code": "PROPERTIES_CHANGED", "path": "properties.title", "detail": "Größe\t☃ -> none"}
    ]
    assert changes["x/a"]["tiles"]["compute"] == 0
    assert changes["x/a"]["bytes"] == {"read": 0, "write_max": 0}


def test_a_no_op_has_no_commit(bench: Workbench) -> None:
    first = geobatch(*argv_of(bench, "--json apply SPEC")).record("summary")
    again = geobatch(*argv_of(bench, "--json apply SPEC"))
    summary = again.record("summary")
    assert summary["commit"] is None
    assert summary["content_root"] == first["content_root"]
    assert summary["tiles"]["written"] == 0
    assert summary["bytes"] == {"read": 0, "written": 0}
    assert [line["type"] for line in again.lines] == ["plan", "summary", "exit"]


def test_a_plan_and_its_apply_name_the_same_plan(bench: Workbench) -> None:
    planned = geobatch(*argv_of(bench, "init"))
    planned = geobatch(*argv_of(bench, "--json plan SPEC"))
    applied = geobatch(*argv_of(bench, "--json apply SPEC"))
    assert planned.record("plan")["plan_id"] == applied.record("summary")["plan_id"]
    assert planned.record("plan")["asset_changes"] == [
        {key: value for key, value in applied.record("asset").items() if key != "type"}
    ]
