"""Saved plans and the options around them, through the shell: what is printed, and exit codes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from rasterio.windows import Window
from shell import Done, geobatch
from workbench import CRS, PIXEL, X0, Y0, Workbench, image, write_tiff

from geobatch.cli.files.saved_plan import find_plan, tiles_of
from geobatch.store.tilestore import TileStore


def write(folder: Path, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(1, 255, (300, 280)).astype(np.uint8)
    pixels[:20, :20] = 0
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    write_tiff(folder / name, [pixels], nodata=0, layout=layout)


def spec(name: str, **more: Any) -> dict[str, Any]:
    return image(name, f"{name}.tif", tile=128, **more)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    for seed, name in enumerate(["a.tif", "b.tif", "c.tif"]):
        write(tmp_path, name, seed)
    bench = Workbench(folder=tmp_path)
    bench.write_spec([spec("a"), spec("b")])
    monkeypatch.chdir(tmp_path)
    return bench


def document(name: str = "p.json") -> Any:
    return json.loads(Path(name).read_text())


def ids(bench: Workbench) -> set[str]:
    store = TileStore.open(bench.store)
    found = {entry.id for entry in store.head().tree.entries}
    store.close()
    return found


def test_a_saved_plan_is_shown_and_carried_out_once(bench: Workbench) -> None:
    planned = geobatch("plan", "spec.yaml", "-o", "p.json")
    assert planned.code == 0
    shown = geobatch("show", "p.json")
    assert shown.code == 0
    # The same lines; only the time that it took is not saved.
    assert shown.out.splitlines()[1:] == planned.out.splitlines()[1:]
    assert not bench.store.exists()
    applied = geobatch("apply", "p.json", "--json")
    assert applied.code == 0
    assert applied.record("summary")["plan_id"] == document()["plan_id"]
    assert ids(bench) == {"a", "b"}
    again = geobatch("apply", "p.json")
    assert again.code == 4
    assert "`p.json` is stale: the store differs" in again.err
    assert not list(bench.folder.glob(".p*"))


def test_the_file_is_what_json_prints_and_says_what_it_counts(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    write(bench.folder, "a.tif", 7)
    Path("spec.yaml").unlink()
    bench.write_spec([spec("a"), spec("c")])
    done = geobatch("plan", "spec.yaml", "--prune", "-o", "p.json", "--json")
    saved, printed = document(), done.record("plan")
    beside = saved.pop("tiles")
    printed.pop("type")
    assert printed == saved
    assert saved["format_version"] == "1.4"
    assert saved["summary"] == {
        "create": 1, "update": 1, "rename": 0, "delete": 1, "blocked": 0, "unchanged": 0,
        "not_selected": 0,
    }  # fmt: skip
    changes = {change["id"]: change for change in saved["asset_changes"]}
    assert changes["b"]["actions"] == ["delete"]
    assert changes["b"]["risks"] == [{"code": "ASSET_DELETED", "path": "b"}]
    store = TileStore.open(bench.store)
    entry = store.head().tree.entry("b")
    store.close()
    assert entry is not None
    assert changes["b"]["tiles"]["remove"] == entry.tiles
    rows = beside["rows"]
    assert beside["count"] == len(rows)
    found = find_plan("p.json")
    assert found is not None
    assert list(tiles_of(found)) == rows
    assert not list(bench.folder.glob("*.jsonl"))
    counts = Counter(row["asset"] for row in rows)
    assert counts == {id_: changes[id_]["tiles"]["compute"] for id_ in ("a", "c")}
    sources = {source["uri"]: source for source in saved["sources"]}
    assert sources["a.tif"]["size"] == (bench.folder / "a.tif").stat().st_size
    blocks = sum(1 for _ in range(0, 300, 64)) * sum(1 for _ in range(0, 280, 64))
    assert sources["a.tif"]["blocks_changed"] == blocks
    assert sources["c.tif"]["blocks_changed"] is None


def test_a_stale_plan_names_what_differs_and_does_nothing(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    bench.write_spec([spec("a", properties={"k": 1}), spec("b")])
    geobatch("plan", "spec.yaml", "-o", "p.json")
    write(bench.folder, "b.tif", 9)
    done = geobatch("apply", "p.json")
    assert done.code == 4
    assert "source `b.tif` of `b` changed" in done.err
    assert "spec" not in done.err.splitlines()[0].partition("stale:")[2]
    assert len(geobatch("log").out.splitlines()) == 1
    write(bench.folder, "b.tif", 1)
    assert geobatch("apply", "p.json").code == 0
    assert geobatch("--store", "other", "apply", "p.json").code == 10
    assert geobatch("--store", "other", "apply", "p.json", "--init").code == 4
    assert geobatch("--store", "other", "init").code == 0
    assert geobatch("--store", "other", "apply", "p.json").code == 4


def test_options_are_saved_with_the_plan(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    bench.write_spec([spec("a", properties={"k": 1}), spec("c")])
    argv = ["--select", "a", "--select", "b", "--prune", "--max-delete", "50%"]
    assert geobatch("plan", "spec.yaml", *argv, "-o", "p.json").code == 0
    assert document()["options"] == {
        "select": ["a", "b"], "replace": [], "prune": True, "max_delete": "50%",
        "keep_project_prefix": False,
    }  # fmt: skip
    assert geobatch("apply", "p.json").code == 0
    assert ids(bench) == {"a"}


@pytest.mark.parametrize("version", ["2.0", "0.9", "12", "", None])
def test_another_major_version_is_refused(bench: Workbench, version: str | None) -> None:
    geobatch("plan", "spec.yaml", "-o", "p.json")
    Path("p.json").write_text(json.dumps({**document(), "format_version": version}))
    for command in ("apply", "show"):
        done = geobatch(command, "p.json")
        assert done.code == 12
        assert "format version" in done.err
    assert not bench.store.exists()


def test_a_newer_minor_version_is_read(bench: Workbench) -> None:
    geobatch("plan", "spec.yaml", "-o", "p.json")
    found = document()
    found["asset_changes"][0] |= {"actions": ["update"], "new": 1}
    found["asset_changes"][0]["reasons"] = [{"code": "NEVER_HEARD", "path": "x", "detail": ""}]
    Path("p.json").write_text(json.dumps({**found, "format_version": "1.7", "new": 1}))
    assert "x NEVER_HEARD" in geobatch("show", "p.json").out
    assert geobatch("apply", "p.json").code == 0
    assert ids(bench) == {"a", "b"}


def test_a_plan_of_version_1_1_is_read(bench: Workbench) -> None:
    """It has its tiles in a file beside it, which nothing needs."""
    geobatch("plan", "spec.yaml", "-o", "p.json")
    found = document()
    found["tiles"] = {"file": "p.json.tiles.jsonl", "count": 1, "sha256": "0" * 64}
    Path("p.json").write_text(json.dumps({**found, "format_version": "1.1"}, indent=2))
    assert geobatch("show", "p.json").code == 0
    assert geobatch("apply", "p.json").code == 0
    assert ids(bench) == {"a", "b"}


def test_a_plan_written_again_by_another_tool_is_the_same_plan(bench: Workbench) -> None:
    geobatch("plan", "spec.yaml", "-o", "p.json")
    before = geobatch("show", "p.json", "--json").record("plan")
    found = find_plan("p.json")
    assert found is not None
    rows = list(tiles_of(found))
    assert len(rows) == before["tiles"]["count"] > 0
    assert "rows" not in before["tiles"]
    Path("p.json").write_text(json.dumps(document()))
    assert geobatch("show", "p.json", "--json").record("plan") == before
    assert list(tiles_of(found)) == rows


@pytest.mark.parametrize("lost", [1, 2, 20, 200, -60])
def test_a_plan_that_was_cut_short_is_refused(bench: Workbench, lost: int) -> None:
    geobatch("plan", "spec.yaml", "-o", "p.json")
    text = Path("p.json").read_text()
    assert json.loads(text)["tiles"]["count"] > 3
    Path("p.json").write_text(text[:-lost].rstrip("\n}") if lost > 0 else text[:-lost])
    done = geobatch("apply", "p.json")
    assert done.code in (1, 64)
    assert "Traceback" not in done.err
    assert not bench.store.exists()


@pytest.mark.parametrize("member", ["paths", "options", "sources", "assets", "store_id", "tool"])
def test_a_plan_that_lacks_something_is_refused(bench: Workbench, member: str) -> None:
    geobatch("plan", "spec.yaml", "-o", "p.json")
    found = document()
    del found[member]
    Path("p.json").write_text(json.dumps(found))
    done = geobatch("apply", "p.json")
    assert done.code == 1
    assert "is not a complete plan" in done.err
    assert not bench.store.exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["apply", "p.json", "spec.yaml"],
        ["apply", "spec.yaml", "p.json"],
        ["apply", "p.json", "--select", "a"],
        ["apply", "p.json", "--keep-going"],
        ["apply", "p.json", "--expect-plan", "12345678"],
        ["plan", "p.json"],
        ["apply", "spec.yaml", "--max-delete", "3"],
        ["apply", "spec.yaml", "--prune", "--max-delete", "few"],
        ["apply", "spec.yaml", "--prune", "--max-delete", "-1"],
        ["apply", "spec.yaml", "--keep-going", "--expect-plan", "12345678"],
    ],
)
def test_what_does_not_go_together_is_a_usage_error(bench: Workbench, argv: list[str]) -> None:
    geobatch("plan", "spec.yaml", "-o", "p.json")
    assert geobatch(*argv).code == 64
    assert not bench.store.exists()


def test_an_expected_plan_is_done_and_no_other(bench: Workbench) -> None:
    plan_id = geobatch("plan", "spec.yaml", "--json").record("plan")["plan_id"]
    flipped = plan_id[:7] + ("0" if plan_id[7] != "0" else "1")
    for wrong, code in (
        (flipped, 4),
        (plan_id[:-1] + "x", 64),
        (plan_id[:7], 64),
        (plan_id + "0", 64),
    ):
        assert geobatch("apply", "spec.yaml", "--expect-plan", wrong).code == code
        assert not bench.store.exists()
    assert geobatch("apply", "spec.yaml", "--expect-plan", plan_id[:8].upper()).code == 0
    assert geobatch("apply", "spec.yaml", "--expect-plan", plan_id).code == 4


def codes(done: Done) -> list[str]:
    return [line["code"] for line in done.lines if line["type"] == "failure"]


def test_a_partial_apply_is_3_and_says_what_failed(bench: Workbench) -> None:
    (bench.folder / "b.tif").write_bytes(b"no raster")
    assert geobatch("apply", "spec.yaml").code == 7
    assert not bench.store.exists()
    done = geobatch("apply", "spec.yaml", "--keep-going", "--json")
    assert done.code == 3
    assert codes(done) == ["source"]
    assert [line["id"] for line in done.lines if line["type"] == "asset"] == ["a"]
    assert ids(bench) == {"a"}
    plain = geobatch("apply", "spec.yaml", "--keep-going")
    assert plain.code == 3
    assert "failed: spec.yaml:17: `b`: `b.tif`" in plain.err


def test_a_blocked_deletion_is_shown_and_refused(bench: Workbench) -> None:
    bench.write_spec([spec("a"), spec("b", lifecycle={"protect": True})])
    geobatch("apply", "spec.yaml")
    since = geobatch("log", "--json").lines[0]["commit"][:12]
    bench.write_spec([spec("a")])
    shown = geobatch("plan", "spec.yaml", "--prune", "--detailed-exitcode")
    assert shown.code == 5
    (line,) = [line for line in shown.out.splitlines() if line.startswith("  - b")]
    assert line.endswith(f"blocked: protected since {since}")
    assert "Plan: 0 update, 0 create, 0 delete, 1 blocked.  1 unchanged." in shown.out
    refused = geobatch("apply", "spec.yaml", "--prune", "--max-delete", "100%")
    assert refused.code == 5
    assert ids(bench) == {"a", "b"}


def test_what_is_replaced_without_a_difference_says_so(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    done = geobatch("apply", "spec.yaml", "--replace", "a")
    assert done.code == 0
    assert "Nothing to do" not in done.out
    assert "no new commit" in done.out.replace("\n", " ")


def test_a_manifest_is_no_plan(bench: Workbench) -> None:
    Path("m.json").write_text(json.dumps(spec("a")))
    assert geobatch("apply", "m.json").code == 0
    assert ids(bench) == {"a"}
    assert geobatch("show", "m.json").code == 1


def test_a_plan_that_cannot_be_saved_is_an_error(bench: Workbench) -> None:
    assert geobatch("plan", "spec.yaml", "-o", "nowhere/p.json").code == 64
    assert not bench.store.exists()


def test_a_rename_is_shown_saved_and_carried_out(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    bench.write_spec([spec("a", id="x/a", moved_from="a"), spec("b")])
    shown = geobatch("plan", "spec.yaml", "-o", "p.json")
    assert "  > x/a  (was a)    renamed, 0 tiles" in shown.out.splitlines()
    assert "Plan: 0 update, 1 rename, 0 create, 0 delete.  1 unchanged." in shown.out
    assert geobatch("show", "p.json").out.splitlines()[1:] == shown.out.splitlines()[1:]
    (change,) = document()["asset_changes"]
    assert (change["id"], change["previous_id"], change["actions"]) == ("x/a", "a", ["rename"])
    assert document()["summary"]["rename"] == 1
    assert document()["tiles"]["count"] == 0
    bench.write_spec([spec("a", id="x/a"), spec("b")])
    stale = geobatch("apply", "p.json")
    assert stale.code == 4
    assert "spec file `spec.yaml` changed: `x/a`" in stale.err
    bench.write_spec([spec("a", id="x/a", moved_from="a"), spec("b")])
    assert geobatch("apply", "p.json").code == 0
    assert ids(bench) == {"x/a", "b"}
    assert "rename 1" in geobatch("log").out


def test_a_rename_with_other_changes_counts_as_one_and_names_both(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    both = spec("a", id="x/a", moved_from="a", properties={"k": 1}, pyramiding_policy="MIN")
    bench.write_spec([both, spec("b")])
    shown = geobatch("plan", "spec.yaml")
    lines = shown.out.splitlines()
    (line,) = [line for line in lines if line.startswith("  > ")]
    assert line.startswith("  > x/a  (was a)  ")
    assert line.endswith("rename and update")
    assert "      reason   bands.b1.pyramiding_policy MEAN -> MIN; level 0 kept" in lines
    (change,) = geobatch("plan", "spec.yaml", "--json").record("plan")["asset_changes"]
    assert change["actions"] == ["rename", "update"]


def test_a_blocked_rename_is_shown_and_refused(bench: Workbench) -> None:
    bench.write_spec([spec("a", lifecycle={"protect": True}), spec("b")])
    geobatch("apply", "spec.yaml")
    bench.write_spec([spec("a", id="x/a", moved_from="a"), spec("b")])
    shown = geobatch("plan", "spec.yaml", "--detailed-exitcode")
    assert shown.code == 5
    assert "  > x/a  (was a)    blocked: it is protected" in shown.out
    assert "1 blocked.  1 unchanged." in shown.out
    refused = geobatch("apply", "spec.yaml")
    assert refused.code == 5
    assert "two applies" not in refused.err
    assert ids(bench) == {"a", "b"}


def test_where_a_change_is_in_longitude_and_latitude(bench: Workbench) -> None:
    """The box of the tiles that are computed, of one changed block here; PROJ's own as oracle."""
    geobatch("apply", "spec.yaml")
    with rasterio.open("a.tif", "r+") as file:
        file.write(
            file.read(1, window=Window(128, 192, 64, 64)) // 2, 1, window=Window(128, 192, 64, 64)
        )
    Path("spec.yaml").unlink()
    bench.write_spec([spec("a"), spec("c"), spec("b", properties={"k": 1})])
    changes = {
        change["id"]: change
        for change in geobatch("plan", "spec.yaml", "--json").record("plan")["asset_changes"]
    }
    assert changes["b"]["bounds_4326"] is None
    to_degrees = pyproj.Transformer.from_crs(CRS, 4326, always_xy=True)

    def box(row: int, col: int, height: int, width: int) -> Any:
        left, top = X0 + col * PIXEL, Y0 - row * PIXEL
        return to_degrees.transform_bounds(left, top - height * PIXEL, left + width * PIXEL, top)

    # The block lies in the tile of rows 128 to 255 and columns 128 to 255.
    assert changes["a"]["bounds_4326"] == pytest.approx(box(128, 128, 128, 128), abs=1e-9)
    assert changes["c"]["bounds_4326"] == pytest.approx(box(0, 0, 300, 280), abs=1e-9)
    bench.write_spec([spec("a")])
    pruned = geobatch("plan", "spec.yaml", "--prune", "--json").record("plan")["asset_changes"]
    (gone,) = [change for change in pruned if change["id"] == "b"]
    assert gone["bounds_4326"] == pytest.approx(box(0, 0, 300, 280), abs=1e-9)


@pytest.mark.parametrize(("name", "is_risk"), [("SCL", True), ("class_probability", False)])
def test_risks_and_warnings_know_the_same_names_of_classes(
    bench: Workbench, name: str, is_risk: bool
) -> None:
    bench.write_spec([spec("a", bands=[{"id": name, "tileset_id": "t"}])])
    done = geobatch("plan", "spec.yaml", "--json")
    (change,) = done.record("plan")["asset_changes"]
    codes = [risk["code"] for risk in change.get("risks", [])]
    assert ("CLASSES_AVERAGED" in codes) is is_risk
    assert ("categorical-mean" in done.out + done.err) is is_risk


def test_classes_that_are_averaged_are_a_risk_that_is_told_once(bench: Workbench) -> None:
    band = {"id": "land_cover", "tileset_id": "t"}
    bench.write_spec([spec("a", bands=[band])])
    told = "      risk     bands.land_cover holds classes and is averaged"
    assert told in geobatch("plan", "spec.yaml").out
    (change,) = geobatch("plan", "spec.yaml", "--json").record("plan")["asset_changes"]
    assert change["risks"] == [{"code": "CLASSES_AVERAGED", "path": "bands.land_cover"}]
    geobatch("apply", "spec.yaml")
    bench.write_spec([spec("a", bands=[band], properties={"k": 1})])
    assert "risk" not in geobatch("plan", "spec.yaml").out
    bench.write_spec([spec("a", bands=[{**band, "pyramiding_policy": "MODE"}])])
    assert "risk" not in geobatch("plan", "spec.yaml").out
