"""What does not pass a check is not published; what a spec may not ask for is an error there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from record_workbench import Export
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.declare import validate
from geobatch.errors import CheckError, CorruptObjectError, SpecError
from geobatch.explain.status import State, status
from geobatch.model.plans.plan import Options
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    monkeypatch.chdir(tmp_path)
    pixels = np.ones((80, 80), dtype=np.uint8)
    write_tiff(tmp_path / "a.tif", [pixels])
    pixels[70, 3] = 7
    write_tiff(tmp_path / "b.tif", [pixels])
    return Workbench(folder=tmp_path)


def head(bench: Workbench) -> list[str]:
    return sorted(path.name for path in (bench.store / "refs" / "main").iterdir())


def test_pixels_that_do_not_pass_are_not_published(bench: Workbench) -> None:
    good, bad = (image(name, f"{name}.tif", checks=[{"classes": [1, 2]}]) for name in "ab")
    bench.apply(good)
    before = head(bench)
    bench.write_spec([{**good, "memo": "x"}, bad])
    done = geobatch("apply", "spec.yaml")
    assert done.code == 9
    lines = Path("spec.yaml").read_text().splitlines()
    (line,) = [number for number, text in enumerate(lines, 1) if "classes" in text][1:]
    assert f"spec.yaml:{line}:" in done.err
    assert (
        "`b`: `classes` of `b1`: 1 of 6,400 pixels are of no class, the first `7` at row 70, "
        "column 3; expected only `[1, 2]`"
    ) in done.err
    assert head(bench) == before
    assert not (bench.tree / "b").exists()


def test_others_are_published_with_keep_going(bench: Workbench) -> None:
    good, bad = (image(name, f"{name}.tif", checks=[{"range": [0, 6]}]) for name in "ab")
    wrong = image("c", "a.tif", checks=[{"resolution": 20}])
    bench.write_spec([good, bad, wrong])
    done = geobatch("apply", "spec.yaml", "--keep-going", "--json")
    assert done.code == 3
    failures = {one["id"]: one for one in done.lines if one["type"] == "failure"}
    assert {name: one["code"] for name, one in failures.items()} == {"b": "check", "c": "check"}
    assert {path.name for path in bench.tree.iterdir() if path.is_dir()} == {"a"}


def test_an_edited_check_computes_nothing(bench: Workbench) -> None:
    checks = [{"range": [0, 6]}]
    with pytest.raises(CheckError):
        bench.apply(image("b", "b.tif", checks=checks))
    done = bench.apply(image("b", "b.tif", checks=[{**checks[0], "severity": "warn"}]))
    assert (done.tiles.written, done.bytes.read) == (0, 0)
    assert [problem.rule for problem in done.warnings] == ["check"]
    free = bench.apply(image("b", "b.tif"))
    assert (free.tiles.written, free.content_root) == (0, done.content_root)


@pytest.mark.parametrize("check", [{"crs": "EPSG:32634"}, {"resolution": [10, 20]}])
def test_a_plan_checks_grids(bench: Workbench, check: dict[str, Any]) -> None:
    bench.write_spec([image("a", "a.tif", checks=[check])])
    for argv in (["plan"], ["apply", "--init"]):
        done = geobatch(*argv, "spec.yaml")
        assert done.code == 9
        assert "expected" in done.out + done.err
        assert not bench.store.exists()
    bench.write_spec([image("a", "a.tif", checks=[{**check, "severity": "warn"}])])
    done = geobatch("plan", "spec.yaml", "--json")
    assert done.code == 0
    (change,) = done.record("plan")["asset_changes"]
    assert [risk["code"] for risk in change["risks"]] == ["CHECK_FAILED"]
    assert done.record("warning")["rule"] == "check"


@pytest.mark.parametrize("check", [{"crs": "EPSG:32633"}, {"resolution": 10.000001}])
def test_grids_that_pass(bench: Workbench, check: dict[str, Any]) -> None:
    assert not plan([bench.write_spec([image("a", "a.tif", checks=[check])])]).refusals


def test_a_plan_says_what_pending_checks_read(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif", checks=[{"range": [0, 9]}]))

    def basis(*checks: dict[str, Any], **more: Any) -> list[str]:
        spec = bench.write_spec([image("a", "a.tif", checks=list(checks), **more)])
        (change,) = plan([spec], store=bench.store).changes
        return [one.basis for one in change.checks if one.basis]

    kept, new, changed = {"range": [0, 9]}, {"classes": [1]}, {"max_changed": "1%"}
    assert basis(kept, new, changed) == ["counts", "stored tiles", "changed tiles"]
    assert basis(kept, new, tiling={"tile": 32}) == ["sources", "sources"]
    done = geobatch("plan", "spec.yaml")
    assert done.code == 0


REFUSED = {
    "none": ({}, "a check has one of range, classes"),
    "two": ({"range": [0, 1], "crs": "EPSG:4326"}, "got `range` and `crs`"),
    "order": ({"range": [3, 1]}, "write `[1, 3]`"),
    "nan": ({"range": [".nan", 1]}, "expected a number"),
    "three": ({"range": [0, 1, 2]}, "has 3 entries; expected at most 2"),
    "share": ({"max_masked": 20}, "write a percentage"),
    "more": ({"max_changed": "101%"}, "write a percentage"),
    "minus": ({"max_changed": "-1%"}, "write a percentage"),
    "size": ({"resolution": 0}, "expected sizes above 0"),
    "empty": ({"classes": []}, "expected at least 1"),
    "band": ({"classes": [1], "bands": ["x1"]}, "no band `x1`"),
    "severity": ({"classes": [1], "severity": "info"}, "not a valid"),
    "key": ({"clases": [1]}, "did you mean `classes`"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_checks_that_are_refused(bench: Workbench, name: str) -> None:
    check, words = REFUSED[name]
    bench.write_spec([image("a", "a.tif", bands=[{"id": "b1"}], checks=[check])])
    with pytest.raises(SpecError) as caught:
        validate([bench.folder / "spec.yaml"])
    assert words in str(caught.value)


def test_a_band_that_no_file_has(bench: Workbench) -> None:
    with pytest.raises(SpecError, match="there is no band `x1`"):
        bench.apply(image("a", "a.tif", checks=[{"classes": [1], "bands": ["x1"]}]))


def test_kinds_without_pixels(bench: Workbench) -> None:
    table = {"kind": "table", "id": "t", "sources": [{"uris": ["a.tfrecord"]}], "checks": []}
    external = image("a", "a.tif", kind="external_image", checks=[{"range": [0, 1]}])
    del external["tiling"]
    (bench.folder / "a.tfrecord").touch()
    bench.write_spec([table, external])
    with pytest.raises(SpecError) as caught:
        validate([bench.folder / "spec.yaml"])
    assert "only images have checks" in str(caught.value)
    assert "`range` cannot be checked of an external image" in str(caught.value)


def test_a_collection_passes_its_checks_on(bench: Workbench) -> None:
    rule = {
        "kind": "image_collection", "id": "c", "for_each": {"files": "?.tif"},
        "image": {"id": "{stem}", "checks": [{"classes": [1]}]},
    }  # fmt: skip
    (bench.folder / "spec.yaml").write_text(yaml.safe_dump(rule))
    with pytest.raises(CheckError) as caught:
        bench.apply_spec()
    (problem,) = caught.value.problems
    assert (problem.line > 1, "`c/b`" in problem.message) == (True, True)


def test_bands_of_records(bench: Workbench) -> None:
    export = Export(bands={"p": np.arange(64, dtype=np.float32).reshape(8, 8)}, patch=(4, 4))
    export.write(bench.folder / "p")
    uris = [str(path) for path in sorted((bench.folder / "p").iterdir(), reverse=True)]
    spec: dict[str, Any] = {
        "id": "r", "tilesets": [{"sources": [{"uris": uris}]}],
        "bands": [{"id": "p", "feature": "p"}],
        "checks": [{"range": [0, 60], "severity": "warn"}],
    }  # fmt: skip
    (result,) = bench.apply(spec).checks["r"]
    assert (result.count, result.first) == (3, (7, 5))


def test_bands_on_two_grids(bench: Workbench) -> None:
    write_tiff(bench.folder / "wide.tif", [np.ones((80, 80), np.uint8)], crs="EPSG:32634")
    more = [{"id": "u", "sources": [{"uris": ["wide.tif"]}]}]
    bands = [{"id": "x1", "tileset_id": "t"}, {"id": "x2", "tileset_id": "u"}]
    spec = image("a", "a.tif", more_tilesets=more, bands=bands)
    checks = [{"crs": "EPSG:32634", "bands": ["x2"]}, {"crs": "EPSG:32633"}]
    (change,) = plan([bench.write_spec([{**spec, "checks": checks}])]).changes
    assert [(one.index, one.subject, one.is_failed) for one in change.checks] == [
        (0, "`x2`", False), (1, "`x1`", False), (1, "`x2`", True),
    ]  # fmt: skip


def damage_tiles(bench: Workbench) -> None:
    for path in (bench.store / "objects").rglob("*"):
        if path.is_file() and path.read_bytes()[:1] == b"\x02":  # a tile: blosc's version
            path.chmod(0o644)
            path.write_bytes(path.read_bytes()[:-1] + b"x")


def test_a_damaged_asset_can_be_replaced(bench: Workbench) -> None:
    checks = [{"max_changed": "0%"}, {"range": [0, 9]}]
    bench.apply(image("a", "a.tif", checks=checks))
    damage_tiles(bench)
    file = bench.write_spec([image("a", "b.tif", checks=checks)])
    with pytest.raises(CorruptObjectError):
        apply([file], store=bench.store)
    done = apply([file], store=bench.store, options=Options(replace=("a",)))
    assert done.commit is not None


def test_a_damaged_asset_can_be_repaired(bench: Workbench) -> None:
    checks = [{"max_changed": "0%"}, {"classes": [1, 7]}, {"max_masked": "0%"}]
    root = bench.apply(image("b", "b.tif", checks=checks)).content_root
    damage_tiles(bench)
    assert geobatch("fsck", "--read-data").code == 6
    assert geobatch("fsck", "--repair", "spec.yaml", "--read-data").code == 0
    assert geobatch("fsck", "--read-data").code == 0
    assert bench.apply(image("b", "b.tif", checks=checks)).content_root == root


def test_status_and_why_name_a_check_that_a_grid_does_not_pass(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"), image("b", "b.tif"))
    checks = [{"resolution": [20, 20]}, {"crs": "EPSG:32601"}]
    specs = bench.write_spec([image("a", "a.tif", checks=checks), image("b", "b.tif")])
    states = {one.id: one for one in status(bench.store, [specs]).assets or ()}
    assert states["a"].state is State.BROKEN
    assert len(states["a"].problems) == 2
    assert "expected `[20, 20]`" in states["a"].problems[0]
    assert states["b"].state is State.AS_DECLARED
    commands: tuple[list[str | Path], ...] = (["status", specs], ["why", "a", specs])
    for command in commands:
        done = geobatch(*command, "--store", bench.store)
        assert "expected `[20, 20]`" in done.out
        assert "a bug" not in done.err
