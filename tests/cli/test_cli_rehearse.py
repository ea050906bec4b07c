"""`plan --rehearse`, and `apply` of the plan that it saves: through the shell."""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from shell import Done, geobatch, process
from workbench import Workbench, image, write_tiff

from geobatch.store.tilestore import TileStore

STRICT = ("--keep-last", "1", "--keep-within", "0d", "--grace", "0d")


def write(folder: Path, name: str, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(1, 255, (300, 280)).astype(np.uint8)
    pixels[:20, :20] = 0
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64}
    write_tiff(folder / name, [pixels], nodata=0, layout=layout)


def spec(name: str, **more: Any) -> dict[str, Any]:
    return image(name, f"{name}.tif", tile=128, **more)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """Return a store with `a` and `b`, of which `a` has changed since."""
    for seed, name in enumerate(["a.tif", "b.tif", "c.tif"]):
        write(tmp_path, name, seed)
    bench = Workbench(folder=tmp_path)
    bench.write_spec([spec("a"), spec("b")])
    monkeypatch.chdir(tmp_path)
    assert geobatch("apply", "spec.yaml").code == 0
    write(tmp_path, "a.tif", 7)
    return bench


def rehearse(*argv: str, file: str = "p.json") -> dict[str, Any]:
    """Rehearse the spec, and return the plan."""
    done = geobatch("plan", "spec.yaml", "--rehearse", "-o", file, "--json", *argv)
    assert done.code == 0, done.out
    return done.record("plan")


def visible(store: Path) -> dict[str, Any]:
    """Return all that a reader sees, with times of modification."""
    files = [path for name in ("zarr", "parquet", "refs") for path in (store / name).rglob("*")]
    return {
        **{str(path): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files},
        **{name: geobatch(name).out for name in ("ls", "log", "info", "status")},
    }


def root() -> str:
    found: str = geobatch("log", "--json").lines[0]["content_root"]
    return found


def undisturbed(bench: Workbench, tmp: Path) -> str:
    """Return the content root that an apply reaches in a copy of everything."""
    shutil.copytree(bench.folder, tmp)
    done = process("apply", "spec.yaml", "--json", cwd=tmp)
    assert done.code == 0
    found: str = done.record("summary")["content_root"]
    return found


def applied(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err + done.out
    return done.record("summary")


def test_a_rehearsal_shows_nothing_and_apply_publishes_it(
    bench: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = undisturbed(bench, tmp_path_factory.mktemp("copy") / "all")
    before = visible(bench.store)
    plan = rehearse()
    assert visible(bench.store) == before
    assert plan["rehearsal"]["content_root"] == expected != root()
    assert plan["rehearsal"]["id"] == plan["plan_id"]
    assert plan["rehearsal"]["base_commit"] == plan["base_commit"]
    objects = set(bench.store.glob("objects/*/*"))
    summary = applied(geobatch("apply", "p.json", "--json", "-m", "reviewed"))
    assert summary["content_root"] == expected == root()
    assert summary["tiles"]["written"] == summary["bytes"]["read"] == 0
    # The commit and where its assets are declared; no tile, page or document.
    assert len(set(bench.store.glob("objects/*/*")) - objects) <= 2
    assert geobatch("plan", "spec.yaml", "--detailed-exitcode").code == 0
    assert geobatch("fsck", "--read-data").code == 0
    assert "update 1" in geobatch("log").out
    assert geobatch("log", "--json").lines[0]["provenance"]["message"] == "reviewed"


def test_pixels_are_those_of_the_source(bench: Workbench) -> None:
    import rasterio  # noqa: PLC0415

    rehearse()
    geobatch("apply", "p.json")
    with rasterio.open("a.tif") as file:
        assert (bench.array("a/0/b1") == file.read(1)).all()


def test_a_second_rehearsal_computes_nothing(bench: Workbench) -> None:
    first = rehearse()
    objects = {path: path.stat().st_mtime_ns for path in bench.store.glob("objects/*/*")}
    second = rehearse(file="q.json")
    assert {p: p.stat().st_mtime_ns for p in bench.store.glob("objects/*/*")} == objects
    for one in (first, second):
        one.pop("looked_at")
        one["rehearsal"].pop("expires")
    assert first == second
    assert applied(geobatch("apply", "q.json", "--json"))["tiles"]["written"] == 0


def test_a_plan_is_published_once(bench: Workbench) -> None:
    rehearse()
    assert applied(geobatch("apply", "p.json", "--json"))["commit"]
    again = applied(geobatch("apply", "p.json", "--json"))
    assert again["commit"] is None
    assert len(geobatch("log").out.splitlines()) == 2


def test_a_changed_source_is_refused(bench: Workbench) -> None:
    rehearse()
    write(bench.folder, "a.tif", 8)
    done = geobatch("apply", "p.json")
    assert done.code == 4
    assert "source `a.tif` of `a` changed" in done.err
    write(bench.folder, "a.tif", 7)  # content decides
    assert geobatch("apply", "p.json").code == 0


def test_a_changed_spec_is_refused(bench: Workbench) -> None:
    plan = rehearse()
    bench.write_spec([spec("a", properties={"k": 1}), spec("b")])
    done = geobatch("apply", "p.json")
    assert done.code == 4
    assert "spec file `spec.yaml` changed: `a`" in done.err
    assert root() != plan["rehearsal"]["content_root"]


def test_an_edited_content_root_is_refused(bench: Workbench) -> None:
    rehearse()
    saved = json.loads(Path("p.json").read_text())
    saved["rehearsal"]["content_root"] = "0" * 64
    Path("p.json").write_text(json.dumps(saved))
    done = geobatch("apply", "p.json")
    assert done.code == 4
    assert "states the content root" in done.err
    assert len(geobatch("log").out.splitlines()) == 1


def test_a_commit_to_another_asset_is_kept(bench: Workbench) -> None:
    """The planned asset is as reviewed, and `apply` says that the store is another."""
    plan = rehearse()
    bench.write_spec([spec("c")], "c.yaml")
    assert geobatch("apply", "c.yaml").code == 0
    done = geobatch("apply", "p.json")
    assert done.code == 0
    assert "other assets were published" in done.err
    listed = {line["id"]: line for line in geobatch("ls", "--json").lines if "id" in line}
    assert listed.keys() == {"a", "b", "c"}
    assert root() != plan["rehearsal"]["content_root"]
    write_b = geobatch("plan", "spec.yaml", "c.yaml", "--detailed-exitcode")
    assert write_b.code == 0
    assert geobatch("fsck").code == 0


def test_a_commit_to_the_same_asset_is_a_conflict(bench: Workbench) -> None:
    rehearse()
    bench.write_spec([spec("a", properties={"k": 1})], "other.yaml")
    assert geobatch("apply", "other.yaml").code == 0
    published = root()
    done = geobatch("apply", "p.json")
    assert done.code == 4
    assert "`a`" in done.err
    assert root() == published


def test_gc_keeps_a_rehearsal_until_it_expires(bench: Workbench) -> None:
    plan = rehearse("--expires", "1h")
    record = bench.store / "rehearsals" / f"{plan['plan_id']}.json"
    age(bench.store)
    before = set(bench.store.glob("objects/*/*"))
    gc = geobatch("gc", "--apply", "--json", *STRICT, "--now")
    assert gc.code == 0
    assert set(bench.store.glob("objects/*/*")) == before
    assert record.exists()
    assert geobatch("fsck", "--read-data").code == 0
    assert applied(geobatch("apply", "p.json", "--json"))["tiles"]["written"] == 0
    assert root() == plan["rehearsal"]["content_root"]


def test_gc_keeps_the_base_commit_of_a_rehearsal(bench: Workbench) -> None:
    rehearse()
    bench.write_spec([spec("c")], "c.yaml")
    assert geobatch("apply", "c.yaml").code == 0
    age(bench.store)
    gc = geobatch("gc", "--apply", "--json", *STRICT, "--now")
    assert gc.code == 0
    assert "dropped" not in geobatch("log").out
    assert geobatch("apply", "p.json").code == 0


def test_an_expired_rehearsal_is_computed_again(bench: Workbench) -> None:
    plan = rehearse()
    expire(bench.store)
    done = geobatch("apply", "p.json")
    assert done.code == 0
    assert "computed again: its rehearsal expired" in done.err
    assert root() == plan["rehearsal"]["content_root"]
    assert geobatch("gc").out.count("expired: 1") == 1
    assert geobatch("gc", "--apply").code == 0
    assert not list(bench.store.glob("rehearsals/*"))


def test_what_an_expired_rehearsal_kept_is_garbage(bench: Workbench) -> None:
    before = set(bench.store.glob("objects/*/*"))
    rehearse()
    expire(bench.store)
    age(bench.store)
    assert geobatch("gc", "--apply", *STRICT, "--now").code == 0
    assert set(bench.store.glob("objects/*/*")) == before
    assert geobatch("apply", "p.json").code == 0


@pytest.mark.parametrize("damage", ["record", "no record", "tile", "no tile", "tree"])
def test_a_damaged_rehearsal_is_computed_again(bench: Workbench, damage: str) -> None:
    before = set(bench.store.glob("objects/*/*"))
    plan = rehearse()
    (record,) = bench.store.glob("rehearsals/*")
    document = json.loads(record.read_text())
    new = sorted(set(bench.store.glob("objects/*/*")) - before, key=lambda p: p.stat().st_size)
    tile = new[-1]
    tree = bench.store / "objects" / document["tree"][:2] / document["tree"][2:]
    victim = {"record": record, "no record": record, "tree": tree}.get(damage, tile)
    victim.chmod(0o644)
    if damage.startswith("no "):
        victim.unlink()
    else:
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
        os.utime(victim, ns=(time.time_ns() + 10**9, time.time_ns() + 10**9))
    if damage != "no record":
        found = geobatch("fsck", "--read-data")
        assert found.code == 6
        assert "rehearsals/" in found.out + found.err
    done = geobatch("apply", "p.json")
    assert done.code == 0, done.err
    assert "computed again" in done.err
    assert root() == plan["rehearsal"]["content_root"]


def test_foreign_names_beside_records_are_named(bench: Workbench) -> None:
    rehearse()
    assert geobatch("fsck").code == 0
    (bench.store / "rehearsals" / "x.json").write_text("{}")
    found = geobatch("fsck")
    assert found.code == 6
    assert "rehearsals/x.json" in found.out


def test_another_clone_publishes_it(
    bench: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The specs and sources are elsewhere, and so is the store's cache."""
    plan = rehearse()
    clone = tmp_path_factory.mktemp("other")
    for name in ("spec.yaml", "a.tif", "b.tif", "p.json"):
        shutil.copy(name, clone / name)
    (bench.store / "cache" / "sources.sqlite").unlink()
    done = process("apply", "p.json", "--store", bench.store, "--json", cwd=clone)
    summary = applied(done)
    assert summary["content_root"] == plan["rehearsal"]["content_root"]
    assert summary["tiles"]["written"] == summary["bytes"]["read"] == 0


def test_another_store_does_not_have_it(bench: Workbench) -> None:
    rehearse()
    assert geobatch("--store", "other", "init").code == 0
    done = geobatch("--store", "other", "apply", "p.json")
    assert done.code == 4
    assert "the store differs" in done.err


def test_a_rehearsal_makes_the_store_and_its_plan_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "a.tif", 1)
    bench = Workbench(folder=tmp_path)
    bench.write_spec([spec("a"), spec("b", tilesets=[])])
    assert geobatch("plan", "spec.yaml", "--rehearse").code != 0
    assert not bench.store.exists()
    bench.write_spec([spec("a")])
    plan = rehearse()
    assert geobatch("ls").out.strip() in ("", "no assets yet")
    assert plan["store_id"]
    assert geobatch("apply", "p.json").code == 0
    assert root() == plan["rehearsal"]["content_root"]


def test_renames_and_deletions_are_rehearsed(
    bench: Workbench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    bench.write_spec([spec("a", id="x/a", moved_from="a")])
    shutil.copytree(bench.folder, tmp_path_factory.getbasetemp() / "renamed")
    argv = ("--prune", "--max-delete", "100%")
    plan = rehearse(*argv)
    assert plan["summary"]["rename"] == plan["summary"]["delete"] == 1
    copy = tmp_path_factory.getbasetemp() / "renamed"
    expected = process("apply", "spec.yaml", *argv, "--json", cwd=copy).record("summary")
    assert plan["rehearsal"]["content_root"] == expected["content_root"]
    assert geobatch("apply", "p.json").code == 0
    assert root() == expected["content_root"]
    assert "rename 1" in geobatch("log").out
    assert geobatch("status", "spec.yaml").code == 0


def test_a_refused_plan_is_not_executed(bench: Workbench) -> None:
    bench.write_spec([spec("a", lifecycle={"protect": True}), spec("b")])
    geobatch("apply", "spec.yaml")
    write(bench.folder, "b.tif", 9)
    bench.write_spec([spec("b")])
    before = set(bench.store.glob("objects/*/*"))
    done = geobatch("plan", "spec.yaml", "--rehearse", "--prune", "-o", "p.json", "--json")
    assert done.code == 5
    assert "rehearsal" not in done.record("plan")
    assert set(bench.store.glob("objects/*/*")) == before
    assert geobatch("apply", "p.json").code == 5


def test_an_empty_plan_is_rehearsed(bench: Workbench) -> None:
    geobatch("apply", "spec.yaml")
    plan = rehearse("--detailed-exitcode")
    assert plan["rehearsal"]["content_root"] == root()
    assert applied(geobatch("apply", "p.json", "--json"))["commit"] is None


@pytest.mark.parametrize(
    "argv",
    [
        ["--expires", "1d"],
        ["--rehearse", "--expires", "0d"],
        ["--rehearse", "--expires", "soon"],
        ["--rehearse", "--keep-going"],
        ["--sample", "5%"],
        ["--rehearse", "--sample", "5"],
        ["--rehearse", "--sample", "0%"],
        ["--rehearse", "--sample", "5%", "--expires", "1d"],
    ],
)
def test_what_does_not_go_together_is_a_usage_error(bench: Workbench, argv: list[str]) -> None:
    assert geobatch("plan", "spec.yaml", *argv).code == 64
    assert not (bench.store / "rehearsals").exists()


def test_a_source_that_fails_leaves_no_rehearsal(bench: Workbench) -> None:
    data = bytearray(Path("a.tif").read_bytes())
    Path("a.tif").write_bytes(data[: len(data) // 2])
    assert geobatch("plan", "spec.yaml", "--rehearse").code == 7
    assert not list(bench.store.glob("rehearsals/*"))


def age(store: Path) -> None:
    """Make all objects and commits old, so that only what is kept protects them."""
    old = time.time() - 3600 * 24 * 30
    for path in store.glob("objects/*/*"):
        os.utime(path, (old, old))


def expire(store: Path) -> None:
    """Make all rehearsals expire in the past."""
    opened = TileStore.open(store)
    for one in list(opened.rehearsals.all()):
        opened.rehearsals.delete(one.id)
        opened.rehearsals.keep(replace(one, expires=datetime.now(UTC) - timedelta(minutes=1)))
    opened.close()


def test_a_sampled_plan_says_so_and_is_computed(bench: Workbench) -> None:
    done = geobatch("plan", "spec.yaml", "--rehearse", "--sample", "50%", "-o", "p.json")
    assert done.code == 0
    assert "Sampled: 1 of 1 regions were computed, and 1 of them differ" in done.out
    saved = json.loads(Path("p.json").read_text())
    assert saved["rehearsal"]["content_root"] is None
    assert saved["rehearsal"]["sample"].keys() == {"share", "regions", "of", "bound"}
    assert saved["tiles"]["count"] == saved["totals"]["tiles"]["compute"]
    shown = geobatch("show", "p.json")
    assert "Sampled: " in shown.out
    applied_plan = applied(geobatch("apply", "p.json", "--json"))
    assert applied_plan["bytes"]["read"] > 0
