"""The command `copy`: what it prints, its exit codes, and that the copy is a store like any."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from shell import Done, geobatch
from workbench import Workbench, image, write_tiff


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("command"))
    write_tiff(bench.folder / "a.tif", [np.arange(1600, dtype=np.uint16).reshape(40, 40)])
    bench.apply(image("x/a", "a.tif"))
    bench.apply(image("x/a", "a.tif", pyramiding_policy="MODE"), image("b", "a.tif"))
    return bench


def copy(bench: Workbench, target: Path, *argv: str) -> Done:
    return geobatch("copy", bench.store, target, *argv)


def test_a_copy_is_a_store_like_any(bench: Workbench, tmp_path: Path) -> None:
    done = copy(bench, tmp_path / "new")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == f"geobatch copy  {bench.store} -> {tmp_path / 'new'}"
    assert lines[2] == "Copied 2 commits, to a new store."
    log = geobatch("--store", bench.store, "log", "--json").lines
    assert geobatch("--store", tmp_path / "new", "log", "--json").lines == log
    assert geobatch("--store", tmp_path / "new", "fsck", "--read-data").code == 0
    for path in ("x/a/0/b1", "b/0/b1"):
        one, other = (
            zarr.open_array(at / "zarr" / path, mode="r") for at in (bench.store, tmp_path / "new")
        )
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    # What follows is published there as anywhere.
    specs = bench.write_spec([image("x/a", "a.tif"), image("b", "a.tif")])
    assert geobatch("--store", tmp_path / "new", "apply", specs).code == 0
    assert "3" in geobatch("--store", tmp_path / "new", "log").out.splitlines()[0]
    again = copy(bench, tmp_path / "new")
    assert again.code == 0
    assert "Nothing to copy: every commit is there." in again.out


def test_json_and_dry_run(bench: Workbench, tmp_path: Path) -> None:
    planned = copy(bench, tmp_path / "new", "--dry-run", "--json").lines
    assert not (tmp_path / "new").exists()
    made = copy(bench, tmp_path / "new", "--json").lines
    assert [line["type"] for line in made] == ["copy", "exit"]
    assert planned[0] | {"is_dry_run": False} == made[0]
    assert made[0]["commits"] == [1, 2]
    assert made[0]["objects"]["sent"] == len([*(tmp_path / "new/objects").glob("*/*")])


def test_exit_codes(bench: Workbench, tmp_path: Path) -> None:
    assert geobatch("copy", tmp_path / "none", tmp_path / "new").code == 10
    for same in (bench.store, bench.store / "inside", bench.store.parent):
        assert copy(bench, same).code == 1
    assert copy(bench, tmp_path / "new", "--at", "9").code == 1
    assert copy(bench, tmp_path / "new", "--keep-last", "0").code == 64
    assert geobatch("copy", bench.store).code == 64
    assert not (tmp_path / "new").exists()
    damaged = tmp_path / "damaged"
    shutil.copytree(bench.store, damaged)
    victim = max((damaged / "objects").glob("*/*"), key=lambda path: path.stat().st_size)
    victim.chmod(0o644)
    victim.write_bytes(b"x")
    done = geobatch("copy", damaged, tmp_path / "new")
    assert done.code == 6
    assert f"objects/{victim.parent.name}/{victim.name}" in done.err
    started = geobatch("--store", tmp_path / "new", "log")
    assert started.code == 10
    assert "has not ended" in started.err
    other = tmp_path / "other"
    assert geobatch("--store", other, "init").code == 0
    refused = geobatch("copy", other, tmp_path / "new")
    assert refused.code == 4
    assert "unfinished copy of another store" in refused.err
    assert copy(bench, tmp_path / "new").code == 0  # the damaged one has its id
    assert geobatch("copy", other, tmp_path / "new").code == 4
