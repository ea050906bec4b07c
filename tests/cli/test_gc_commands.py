"""`gc`, `pin` and `unpin` on the command line, on stores of real rasters."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from shell import Done, geobatch
from workbench import Workbench, image, write_tiff

import geobatch as door
from geobatch.cli.views.maintenance.gc import duration_text
from geobatch.store.backends.local import LocalBackend

STRICT = ("--keep-last", "1", "--keep-within", "0d", "--grace", "0d")
PIXELS = np.random.default_rng(1).integers(0, 1000, (300, 300)).astype(np.uint16)


def build(folder: Path) -> Workbench:
    """Make a store after two retilings, of an asset that changes and one that does not."""
    made = Workbench(folder=folder)
    write_tiff(folder / "a.tif", [PIXELS])
    write_tiff(folder / "b.tif", [PIXELS[:70, :90].copy()])
    for tile in (64, 128, 256):
        made.apply(image("x/a", "a.tif", tile=tile), image("b", "b.tif"))
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    return build(tmp_path_factory.mktemp("gc"))


@pytest.fixture
def bench(built: Workbench, tmp_path: Path) -> Workbench:
    """A copy of that store, where the tree is a copy, too."""
    shutil.copytree(built.folder, tmp_path / "bench")
    return Workbench(folder=tmp_path / "bench")


def run(bench: Workbench, *argv: str) -> Done:
    return geobatch("--store", bench.store, *argv)


def size_of(folder: Path) -> int:
    """Return the bytes of all files; each inode counts once."""
    found = {
        (path.stat().st_ino, path.stat().st_size) for path in folder.rglob("*") if path.is_file()
    }
    return sum(size for _, size in found)


def test_two_retilings_are_given_back(tmp_path: Path) -> None:
    bench = build(tmp_path)
    fresh = Workbench(folder=tmp_path / "fresh")
    fresh.folder.mkdir()
    door.apply(bench.folder / "spec.yaml", store=fresh.store)
    content = door.open_store(bench.store).open("x/a").attrs.asdict()
    dry = run(bench, "gc", *STRICT)
    assert dry.code == 0
    assert "1 commit kept, 2 dropped" in dry.out
    assert "x/a" in dry.out
    assert "with `--apply`, what is not needed is moved to quarantine" in dry.out
    before = size_of(bench.store)
    done = run(bench, "gc", "--apply", "--now", *STRICT)
    assert done.code == 0
    after = size_of(bench.store)
    assert after < 1.1 * size_of(fresh.store)
    plan = run(bench, "--json", "gc", *STRICT).record("gc_plan")
    assert plan["total"] == {"objects": 0, "bytes": 0, "freed": 0}
    assert before - after > 100_000
    opened = door.open_store(bench.store).open("x/a")
    assert np.array_equal(np.asarray(opened["0/b1"]), PIXELS)
    assert opened.attrs.asdict() == content
    assert np.array_equal(bench.array("x/a/0/b1"), PIXELS)
    assert bench.apply_spec().commit is None
    assert run(bench, "info").code == 0


def test_json_says_all(bench: Workbench) -> None:
    plan = run(bench, "--json", "gc", *STRICT).record("gc_plan")
    assert plan["dropped"] == [2, 1]
    assert [kept["number"] for kept in plan["kept"]] == [3]
    rows = {(row["asset"], row["commit"]) for row in plan["garbage"]}
    assert rows == {("x/a", 1), ("x/a", 2), (None, 1), (None, 2)}
    assert sum(row["bytes"] for row in plan["garbage"]) == plan["total"]["bytes"]
    done = run(bench, "--json", "gc", "--apply", *STRICT)
    assert done.record("gc")["moved"] == plan["total"]["objects"]
    assert done.record("gc_plan")["garbage"] == plan["garbage"]
    later = run(bench, "--json", "gc", "--apply", *STRICT)
    assert later.record("gc")["freed"] == plan["total"]["freed"]
    assert [line["objects"] for line in later.record("gc_plan")["quarantine"]] == [
        plan["total"]["objects"]
    ]


def test_history_stays_explainable(bench: Workbench) -> None:
    run(bench, "pin", "first", "1")
    run(bench, "gc", "--apply", "--now", *STRICT)
    log = run(bench, "log")
    assert log.code == 0
    newest, second, first = log.out.splitlines()
    assert "2 assets" in newest
    assert "dropped" in second
    assert "(pin first)" in first
    assert "1 commit dropped by `geobatch gc`" in log.err
    records = [line for line in run(bench, "--json", "log").lines if line["type"] == "commit"]
    assert [(one["is_dropped"], one["pins"], one["assets"]) for one in records] == [
        (False, [], 2),
        (True, [], None),
        (False, ["first"], 2),
    ]
    of_asset = run(bench, "--json", "log", "x/a").lines
    assert [one["number"] for one in of_asset if one["type"] == "commit"] == [3, 1]
    for command in (
        ["ls", "--at", "2"],
        ["show", "x/a", "--at", "2"],
        ["diff", "2", "3"],
        ["diff", "x/a@2", "x/a"],
        ["export", "x/a@2", "out", "--format", "cog"],
        ["pin", "late", "2"],
    ):
        failed = run(bench, *command)
        assert failed.code == 1, command
        assert "commit 2 was dropped by `geobatch gc`" in failed.err
        assert "Traceback" not in failed.err
    why = run(bench, "why", "x/a")
    assert why.code == 0
    assert "or the dropped commit before it" in why.out
    assert run(bench, "diff", "1", "3").code == 0
    assert [entry.number for entry in door.open_store(bench.store).log()] == [3, 1]


def test_renames_in_dropped_commits_are_followed(tmp_path: Path) -> None:
    made = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [PIXELS])
    made.apply(image("a", "a.tif"))
    made.apply(image("b", "a.tif", moved_from="a"))
    made.apply(image("c", "a.tif", moved_from="b"))
    made.apply(image("c", "a.tif", properties={"k": 1}))
    run(made, "pin", "first", "1")
    run(made, "gc", "--apply", "--now", *STRICT)
    why = run(made, "why", "c")
    assert "commit 1 (" in why.out
    assert "dropped commit" not in why.out
    log = run(made, "--json", "log", "c")
    assert [one["number"] for one in log.lines if one["type"] == "commit"] == [4, 1]


def test_pins(bench: Workbench) -> None:
    assert run(bench, "pin").out == ""
    made = run(bench, "pin", "v1.0", "HEAD~2")
    assert made.code == 0
    assert made.out.startswith("v1.0  1  ")
    assert run(bench, "pin", "v1.0", "1").code == 0  # again is no error
    other = run(bench, "pin", "v1.0", "2")
    assert other.code == 4
    assert "`geobatch pin v1.0 2 --force` moves it" in other.err
    assert run(bench, "pin", "v1.0", "2", "--force").code == 0
    twin = run(bench, "pin", "V1.0", "2")
    assert twin.code == 4
    assert "only by case" in twin.err
    (listed,) = door.open_store(bench.store).pins()
    assert (listed.name, listed.number) == ("v1.0", 2)
    assert run(bench, "--json", "pin").record("pin")["commit"] == listed.commit
    assert run(bench, "unpin", "v1.0").code == 0
    gone = run(bench, "unpin", "v1.0")
    assert gone.code == 1
    assert "there is no pin `v1.0`" in gone.err
    assert run(bench, "pin", "only").code == 64
    assert run(bench, "pin", "x", "99").code == 1


def test_names_of_pins_are_checked(bench: Workbench) -> None:
    before = sorted(bench.store.rglob("*"))
    for name in ("", ".", "..", "a/b", "-x", "a b", "ä", "x" * 65, "a.", "../../geobatch", "a\n"):
        done = run(bench, "pin", "--", name, "1")
        assert done.code in {1, 64}, name
        assert "Traceback" not in done.err
        assert sorted(bench.store.rglob("*")) == before


def test_a_damaged_pin_is_named_and_can_be_deleted(bench: Workbench) -> None:
    run(bench, "pin", "v1", "1")
    path = bench.store / "pins" / "v1.json"
    path.chmod(0o644)
    path.write_bytes(b"{")
    for command in (["pin"], ["gc"], ["gc", "--apply"], ["log"]):
        failed = run(bench, *command)
        assert failed.code == 6, command
        assert "`geobatch unpin v1`" in failed.err
    assert run(bench, "unpin", "v1").code == 0
    assert run(bench, "gc").code == 0


@pytest.mark.parametrize(
    "argv",
    [
        ["--grace", "x"],
        ["--grace", "-1d"],
        ["--grace", ""],
        ["--keep-within", "90"],
        ["--keep-within", "1.5d"],
        ["--keep-within", "9999999d"],
        ["--keep-last", "0"],
        ["--keep-last", "many"],
    ],
)
def test_wrong_values_are_usage_errors(tmp_path: Path, argv: list[str]) -> None:
    failed = geobatch("--store", tmp_path, "gc", *argv)
    assert failed.code == 64
    assert argv[0] in failed.err


def test_exit_codes(bench: Workbench, tmp_path: Path) -> None:
    assert geobatch("--store", tmp_path / "none", "gc").code == 10
    page = next(bench.store.glob("objects/*/*"))
    os.utime(page, (2**32, 2**32))
    failed = run(bench, "gc", "--apply")
    assert failed.code == 5
    assert "nothing was changed" in failed.err
    os.utime(page, (10**9, 10**9))
    identity = bench.store / "geobatch.json"
    identity.chmod(0o644)
    identity.write_text(identity.read_text().replace('"format":2', '"format":3'))
    assert run(bench, "gc", "--apply", *STRICT).code == 12


def test_a_view_that_shows_an_older_commit_keeps_it(bench: Workbench) -> None:
    """An apply that was killed before it synced the tree; readers of the tree notice no `gc`."""
    document = bench.tree / "zarr.json"
    before = document.read_bytes()
    levels = bench.array("x/a/0/b1")
    bench.apply(image("x/a", "a.tif", tile=512), image("b", "b.tif"))
    document.chmod(0o644)
    document.write_bytes(before)
    kept = run(bench, "--json", "gc", "--apply", "--now", *STRICT).record("gc_plan")["kept"]
    assert {one["number"]: one["why"] for one in kept}[3] == ["view"]
    assert np.array_equal(bench.array("x/a/0/b1"), levels)
    assert bench.apply_spec().commit is None
    assert np.array_equal(bench.array("x/a/0/b1"), levels)


def test_a_reader_of_a_commit_that_is_dropped_gets_a_clear_error(bench: Workbench) -> None:
    """As long as its objects are in quarantine, it reads on."""
    reader = door.open_store(bench.store).open("x/a")
    bench.apply(image("x/a", "b.tif"), image("b", "b.tif"))
    run(bench, "gc", "--apply", *STRICT)
    assert np.array_equal(np.asarray(reader["0/b1"]), PIXELS)
    run(bench, "gc", "--apply", *STRICT)
    with pytest.raises(door.NotFoundError, match="commit 3 was dropped by `geobatch gc`"):
        np.asarray(reader["1/b1"])
    with pytest.raises(door.NotFoundError, match="commit 3 was dropped by `geobatch gc`"):
        door.open_store(bench.store).open("x/a", at=3)


def test_what_killed_runs_left(bench: Workbench) -> None:
    """Temporary files go; what was made ahead is left to the next apply."""
    dead = bench.store / "runs" / "dead"
    (dead / "ahead").mkdir(parents=True)
    (dead / "ahead" / "folder").mkdir()
    (dead / "lock").touch()
    (dead / "123-4").write_bytes(b"unfinished")
    assert run(bench, "gc", "--apply").code == 0
    left = {path.name for path in (bench.store / "runs").rglob("*")}
    assert "folder" in left
    assert "123-4" not in left
    assert bench.apply_spec().commit is None
    assert [path.name for path in (bench.store / "runs").iterdir()] == ["zarr.lock"]


def test_tiles_that_both_commits_need_stay(tmp_path: Path) -> None:
    made = Workbench(folder=tmp_path)
    write_tiff(
        tmp_path / "a.tif", [PIXELS], layout={"tiled": True, "blockxsize": 128, "blockysize": 128}
    )
    made.apply(image("a", "a.tif"))
    document = image("a", "a.tif", properties={"k": 2})
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(document))
    made.apply_spec()
    run(made, "gc", "--apply", "--now", *STRICT)
    assert np.array_equal(made.array("a/0/b1"), PIXELS)
    assert np.array_equal(np.asarray(door.open_store(made.store).open("a")["0/b1"]), PIXELS)
    backend = LocalBackend(made.store)
    assert len(list(backend.list("refs/main/"))) == 2


def test_durations() -> None:
    from datetime import timedelta  # noqa: PLC0415

    texts = [duration_text(timedelta(seconds=n)) for n in (0, 59, 60, 3600, 86_399, 86_400 * 14)]
    assert texts == ["0 s", "59 s", "1 m", "1 h", "23 h", "14 d"]
