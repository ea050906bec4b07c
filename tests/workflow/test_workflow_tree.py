"""An apply with nothing to do completes what others left, and names what it cannot mend."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from workbench import Workbench, image, write_tiff

SIDE = 100


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    made = Workbench(folder=tmp_path)
    values = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
    for name in ("a", "b"):
        write_tiff(tmp_path / f"{name}.tif", [values + ord(name)])
    made.apply(image("f/a", "a.tif"), image("b", "b.tif"))
    return made


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_dead_run_is_removed_by_an_apply_with_nothing_to_do(bench: Workbench) -> None:
    dead = bench.store / "runs" / "dead"
    (dead / "zarr" / "0").mkdir(parents=True)
    (dead / "lock").touch()
    for number in range(500):
        (dead / "zarr" / "0" / str(number)).touch()
    assert (
        "1 killed, which the next apply cleans up" in geobatch("--store", bench.store, "status").out
    )
    assert bench.apply_spec().plan.is_empty
    assert [path.name for path in (bench.store / "runs").iterdir()] == ["zarr.lock"]


@pytest.mark.parametrize("is_all_seen", [True, False])
def test_an_apply_with_nothing_to_do_restores_the_tree(bench: Workbench, is_all_seen: bool) -> None:
    clean = files(bench.tree)
    chunk = next(name for name in sorted(clean) if name.endswith("/c/1/1"))
    for name in ("f/a/0/x/c/0", "b/zarr.json", "f/zarr.json", "zarr.json", chunk):
        (bench.tree / name).unlink()
    if not is_all_seen:
        shutil.rmtree(bench.store / "cache")
    assert bench.apply_spec().plan.is_empty
    assert files(bench.tree) == clean


def test_a_chunk_that_is_cut_through_its_link_is_named_and_replaced(bench: Workbench) -> None:
    clean = files(bench.tree)
    spec = bench.folder / "spec.yaml"
    chunks = [name for name in clean if name.startswith("f/a/0/") and name.endswith("c/1/0")]
    (bench.tree / chunks[0]).chmod(0o644)
    os.truncate(bench.tree / chunks[0], 10)
    for argv in (["apply", spec], ["status"]):
        done = geobatch("--store", bench.store, *argv)
        assert done.code == 6
        assert "--replace f/a" in done.err
        assert "`f/a`, level 0, band `b1`, tile 1/0" in done.err
    assert geobatch("--store", bench.store, "apply", spec, "--replace", "f/a").code == 0
    assert {name: data for name, data in files(bench.tree).items() if name != "zarr.json"} == {
        name: data for name, data in clean.items() if name != "zarr.json"
    }
    assert geobatch("--store", bench.store, "status").code == 0


def test_nothing_is_published_where_the_tree_cannot_be_kept(bench: Workbench) -> None:
    shutil.rmtree(bench.tree)
    bench.tree.write_text("mine")
    write_tiff(bench.folder / "a.tif", [np.ones((SIDE, SIDE), dtype=np.uint16)])
    done = geobatch("--store", bench.store, "apply", bench.folder / "spec.yaml")
    assert done.code == 1
    assert "is a file; expected a folder, or nothing" in done.err
    assert "Traceback" not in done.err
    assert len(list((bench.store / "refs" / "main").iterdir())) == 1
    bench.tree.unlink()
    assert geobatch("--store", bench.store, "apply", bench.folder / "spec.yaml").code == 0
