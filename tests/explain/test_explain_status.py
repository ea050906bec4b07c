"""What `status` says of stores, specs and sources, and that it changes nothing."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shell import Done, geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch.explain.status import State, Status, status
from geobatch.workflow.plan import plan


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    for name in "abc":
        write_pixels(tmp_path, name, ord(name))
    return Workbench(folder=tmp_path)


def write_pixels(folder: Path, name: str, value: int) -> None:
    write_tiff(folder / f"{name}.tif", [np.full((300, 280), value, dtype=np.uint8)])


def found(bench: Workbench, *documents: Document) -> Status:
    paths = [bench.write_spec(documents)] if documents else []
    return status(bench.store, paths, workers=2)


def states(stand: Status) -> dict[str, State]:
    return {asset.id: asset.state for asset in stand.assets or ()}


def run(bench: Workbench, *argv: str | Path) -> Done:
    return geobatch("--store", bench.store, "status", *argv)


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Return every file and folder with inode, size and time of change."""
    return {
        str(path): (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        for path in folder.rglob("*")
        for stat in [path.lstat()]
    }


def test_every_state_at_once_and_nothing_is_changed(bench: Workbench) -> None:
    for name in "def":
        write_pixels(bench.folder, name, ord(name))
    bench.apply(
        *(image(name, f"{name}.tif") for name in "abcdf"),
        image("old", "a.tif", lifecycle={"protect": True}),
    )
    write_pixels(bench.folder, "b", 9)
    (bench.folder / "c.tif").unlink()
    (bench.folder / "d.tif").write_bytes(b"no TIFF at all")
    documents = [image(name, f"{name}.tif") for name in "abcde"]
    documents.append(image("f", "f.tif", properties={"n": 1}))
    path = bench.write_spec(documents)
    before = snapshot(bench.folder)
    stand = status(bench.store, [path])
    assert snapshot(bench.folder) == before
    assert states(stand) == {
        "a": State.AS_DECLARED,
        "b": State.UPDATE,
        "c": State.MISSING,
        "d": State.BROKEN,
        "e": State.CREATE,
        "f": State.UPDATE,
        "old": State.UNDECLARED,
    }
    assert stand.changed_sources == ("b.tif",)
    of = {asset.id: asset for asset in stand.assets or ()}
    assert {asset.id for asset in of.values() if asset.is_published} == set("abcdf") | {"old"}
    assert [asset.id for asset in of.values() if asset.is_protected] == ["old"]
    assert [because.path for because in of["f"].because] == ["properties.n"]
    assert "no file `c.tif`" in of["c"].problems[0]
    assert f"{path}:" in of["c"].problems[0]
    assert "`d.tif`" in of["d"].problems[0]
    assert not of["a"].problems + of["b"].problems


def test_status_agrees_with_plan(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"), image("b", "b.tif"))
    write_pixels(bench.folder, "b", 9)
    documents = [image("a", "a.tif"), image("b", "b.tif"), image("c", "c.tif")]
    made = plan([bench.write_spec(documents)], store=bench.store)
    stand = found(bench, *documents)
    assert [(asset.id, asset.because) for asset in stand.of(State.UPDATE)] == [
        (change.id, change.because) for change in made.changes if change.id == "b"
    ]
    assert [asset.id for asset in stand.of(State.CREATE)] == ["c"]
    bench.apply(*documents)
    assert set(states(found(bench, *documents)).values()) == {State.AS_DECLARED}


def test_without_a_store_all_is_to_create(bench: Workbench) -> None:
    stand = found(bench, image("a", "a.tif"))
    assert stand.store is None
    assert states(stand) == {"a": State.CREATE}
    assert not bench.store.exists()
    done = run(bench)
    assert (done.code, done.out) == (10, "")
    assert run(bench, bench.folder / "spec.yaml").out.startswith("store         none yet\n")


def test_an_empty_store(bench: Workbench) -> None:
    geobatch("--store", bench.store, "init")
    stand = found(bench)
    assert stand.store is not None
    assert stand.store.tree is not None
    assert stand.store.tree.is_current
    assert "head          none\n" in run(bench).out
    assert run(bench, "--json").record("status")["store"]["number"] == 0


def test_wrong_specs_are_refused_but_missing_files_are_a_state(bench: Workbench) -> None:
    path = bench.write_spec([image("a", "gone.tif"), {"kind": "image", "id": "b", "tilset": []}])
    done = run(bench, path)
    assert (done.code, done.out) == (1, "")
    assert "unknown-key" in done.err
    path = bench.write_spec([image("a", "gone.tif", "gone_*.tif"), image("b", "b.tif")])
    done = run(bench, path)
    assert done.code == 0
    assert "Assets: 1 to create, 1 with sources missing.\n" in done.out
    assert "Sources: 2 missing.\n" in done.out


def test_sources_that_do_not_fit_together_hide_no_other_asset(bench: Workbench) -> None:
    write_tiff(bench.folder / "w.tif", [np.zeros((300, 280), dtype=np.float32)], col=280)
    stand = found(bench, image("a", "a.tif", "w.tif"), image("b", "b.tif"))
    assert states(stand) == {"a": State.BROKEN, "b": State.CREATE}
    (asset,) = stand.of(State.BROKEN)
    assert "`w.tif`" in asset.problems[0]


def tree_of(bench: Workbench) -> Any:
    stand = found(bench)
    assert stand.store is not None
    return stand.store.tree


def test_the_zarr_tree_is_current_or_not(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"), image("b", "b.tif"))
    assert tree_of(bench).is_current
    assert "zarr tree     current\n" in run(bench).out
    shutil.rmtree(bench.tree / "a")
    state = tree_of(bench)
    assert (state.is_current, state.behind, state.number) == (False, ("a",), 1)
    bench.apply_spec()
    assert tree_of(bench).is_current
    kept = shutil.copytree(bench.tree, bench.folder / "kept", copy_function=shutil.copy2)
    bench.apply(image("c", "c.tif"))
    shutil.rmtree(bench.tree)
    assert tree_of(bench).number is None
    assert "shows no commit, 3 assets to update" in run(bench).out
    kept.rename(bench.tree)
    state = tree_of(bench)
    assert (state.is_current, state.behind, state.number) == (False, ("c",), 1)
    bench.apply_spec()
    assert tree_of(bench).is_current


def test_what_is_missing_in_the_tree_is_named(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"), image("b", "b.tif"))
    (bench.tree / "a/0/x/c/0").unlink()
    (bench.tree / "b/0/strange").touch()
    said = run(bench)
    assert said.code == 0
    assert "shows commit 1, 2 assets to update: the next apply updates it" in said.out
    assert "zarr/a/0/x/c/0: missing\n" in said.out
    assert "zarr/b/0/strange: does not belong here\n" in said.out
    parts = run(bench, "--json").record("status")["store"]["zarr"]["parts"]
    assert parts[0] == {"path": "zarr/a/0/x/c/0", "problem": "missing"}
    shutil.rmtree(bench.tree / "a/0")
    assert "other files" in run(bench).out
    bench.apply_spec()
    assert "zarr tree     current\n" in run(bench).out


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock in a process of its own, as a live run does."""
    code = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.communicate(b"")


def test_runs_are_live_or_dead(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif"))
    for name in ("live", "dead", "bare"):
        (bench.store / "runs" / name).mkdir(parents=True)
        if name != "bare":
            (bench.store / "runs" / name / "lock").touch()
    with locked(bench.store / "runs" / "live" / "lock"):
        stand = found(bench).store
        assert stand is not None
        assert stand.live_runs == ("live",)
        assert stand.dead_runs == ("bare", "dead")
        assert "runs          1 live, 2 killed, which" in run(bench).out
    stand = found(bench).store
    assert stand is not None
    assert (stand.live_runs, stand.dead_runs) == ((), ("bare", "dead", "live"))
    # Whoever looks leaves the lock free.
    descriptor = os.open(bench.store / "runs" / "dead" / "lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_forms(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif", lifecycle={"protect": True}), image("z/b", "b.tif"))
    path = bench.write_spec([image("z/b", "b.tif", pyramiding_policy="MIN"), image("c", "c.tif")])
    lines = run(bench, path).out.splitlines()
    assert lines[2:] == [
        "published     2 assets, 1 protected",
        "zarr tree     current",
        "runs          none",
        "",
        "  ? a    not in these specs  protected",
        "  + c    to create",
        "  ~ z/b  to update           bands.b1.pyramiding_policy MEAN -> MIN",
        "",
        "Assets: 1 to create, 1 to update, 1 not in these specs.",
    ]
    record = run(bench, "--json", path).record("status")
    assert record["summary"] == {
        "as_declared": 0, "create": 1, "update": 1, "rename": 0, "missing": 0, "broken": 0,
        "undeclared": 1,
    }  # fmt: skip
    assert record["store"]["protected"] == ["a"]
    assert [asset["state"] for asset in record["assets"]] == ["undeclared", "create", "update"]
    alone = run(bench, "--json").record("status")
    assert alone["store"] == record["store"]
    assert "assets" not in alone


def test_a_renamed_asset_stands_once(bench: Workbench) -> None:
    bench.apply(image("a", "a.tif", lifecycle={"protect": True}), image("b", "b.tif"))
    moved = image("x", "a.tif", moved_from="a", lifecycle={"protect": True})
    stand = found(bench, moved, image("b", "b.tif"))
    assert states(stand) == {"b": State.AS_DECLARED, "x": State.RENAME}
    (asset,) = stand.of(State.RENAME)
    assert (asset.previous_id, asset.is_published, asset.is_protected) == ("a", True, True)
    done = run(bench, bench.folder / "spec.yaml")
    assert "  > x  (was a)  to rename" in done.out
    assert "1 up to date, 1 to rename" in done.out
    (bench.folder / "a.tif").unlink()
    assert states(found(bench, moved)) == {"b": State.UNDECLARED, "x": State.MISSING}
