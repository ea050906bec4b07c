"""A rehearsal makes the Zarr folders of new assets, and `apply` of its plan moves them."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from test_cli_rehearse import STRICT, applied, expire, rehearse, spec, write
from workbench import Workbench, image, write_tiff

from geobatch.store.backends.run_folder import remove_dead_runs, run_names


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workbench:
    """Return a store with `a`; the specs declare `x/b` and the masked `c` besides."""
    for seed, name in enumerate(["a.tif", "x-b.tif"]):
        write(tmp_path, name, seed)
    rng = np.random.default_rng(5)
    bands = [rng.integers(1, 255, (200, 210)).astype(np.uint8) for _ in range(2)]
    write_tiff(tmp_path / "c.tif", [*bands, bands[0]], has_alpha=True)
    bench = Workbench(folder=tmp_path)
    bench.write_spec([spec("a")])
    monkeypatch.chdir(tmp_path)
    assert geobatch("apply", "spec.yaml").code == 0
    bench.write_spec([spec("a"), image("x/b", "x-b.tif", tile=64), image("c", "c.tif", tile=64)])
    return bench


def tree(store: Path) -> dict[str, bytes]:
    """Return the files of the Zarr tree, but for the commit that it shows."""
    top = store / "zarr"
    files = (path for path in top.rglob("*") if path.is_file() and path != top / "zarr.json")
    return {str(path.relative_to(top)): path.read_bytes() for path in files}


@pytest.fixture
def wanted(bench: Workbench) -> dict[str, bytes]:
    """Return the tree that an apply makes that was not rehearsed."""
    other = shutil.copytree(bench.store, bench.folder / "other")
    assert geobatch("--store", "other", "apply", "spec.yaml").code == 0
    return tree(other)


def held(bench: Workbench) -> list[Path]:
    return sorted(path for path in bench.store.glob("runs/rehearsed/*/*") if path.is_dir())


def assert_shown(bench: Workbench, wanted: dict[str, bytes]) -> None:
    assert tree(bench.store) == wanted
    assert geobatch("status", "spec.yaml").code == 0
    assert geobatch("fsck", "--read-data").code == 0
    assert not list(bench.store.glob("runs/rehearsed/*"))
    assert geobatch("apply", "spec.yaml").err == ""  # nothing is repaired


def test_the_folders_are_moved(bench: Workbench, wanted: dict[str, bytes]) -> None:
    before = tree(bench.store)
    rehearse()
    assert tree(bench.store) == before
    made = {path.stat().st_ino for path in held(bench)}
    assert len(made) == 2
    assert applied(geobatch("apply", "p.json", "--json"))["tiles"]["written"] == 0
    assert {(bench.store / "zarr" / name).stat().st_ino for name in ("x/b", "c")} == made
    assert_shown(bench, wanted)


HARMS = ("no chunk", "another chunk", "one more", "document", "no state", "state", "rules", "file")


@pytest.mark.parametrize("harm", HARMS)
def test_a_folder_that_is_not_as_it_was_is_not_taken(
    bench: Workbench, harm: str, wanted: dict[str, bytes]
) -> None:
    rehearse()
    folder = next(one for one in held(bench) if list(one.glob("masks/0/b1")))
    chunk, state = folder / "0/b1/c/0/0", Path(f"{folder}.state")
    inode = folder.stat().st_ino
    if harm in ("no chunk", "another chunk"):
        chunk.unlink()
    if harm == "another chunk":
        os.link(folder / "0/b1/c/0/1", chunk)
    elif harm == "one more":
        (folder / "0/b1/c/9").mkdir()
    elif harm == "document":
        text = (folder / "zarr.json").read_bytes()
        (folder / "zarr.json").write_bytes(text.replace(b"group", b"GROUP"))
    elif harm == "no state":
        state.unlink()
    elif harm == "state":
        state.write_bytes(state.read_bytes()[:-9])
    elif harm == "rules":
        state.write_bytes(b"1" + state.read_bytes()[1:])
    elif harm == "file":
        shutil.rmtree(folder)
        folder.write_bytes(b"")
    assert applied(geobatch("apply", "p.json", "--json"))["tiles"]["written"] == 0
    assert (bench.store / "zarr/c").stat().st_ino != inode
    assert_shown(bench, wanted)


def test_a_folder_does_not_keep_an_object_that_was_replaced(
    bench: Workbench, wanted: dict[str, bytes]
) -> None:
    """A tile rotted without a trace, and was then put again: the folder has the bad bytes."""
    rehearse()
    folder = next(one for one in held(bench) if list(one.glob("masks/0/b1")))
    inode = (folder / "0/b1/c/0/0").stat().st_ino
    (tile,) = (path for path in bench.store.glob("objects/*/*") if path.stat().st_ino == inode)
    good, was = tile.read_bytes(), tile.stat()
    tile.chmod(0o644)
    tile.write_bytes(bytes(len(good)))
    os.utime(tile, ns=(was.st_atime_ns, was.st_mtime_ns))
    other = tile.with_name("other")
    other.write_bytes(good)
    os.utime(other, (time.time() + 1, time.time() + 1))
    other.rename(tile)
    assert applied(geobatch("apply", "p.json", "--json"))["tiles"]["written"] == 0
    assert_shown(bench, wanted)


def test_a_live_rehearsal_keeps_its_folders_and_an_expired_one_does_not(bench: Workbench) -> None:
    rehearse()
    before = held(bench)
    assert geobatch("gc", "--apply", *STRICT).code == 0
    assert geobatch("apply", "spec.yaml", "--select", "a").code == 0
    remove_dead_runs(bench.store / "runs")
    assert run_names(bench.store / "runs") == ((), ())
    assert held(bench) == before != []
    expire(bench.store)
    assert geobatch("gc").code == 0
    assert held(bench) == before
    assert geobatch("gc", "--apply", *STRICT).code == 0
    assert held(bench) == []
    assert not list(bench.store.glob("runs/rehearsed/*"))


def test_folders_of_no_rehearsal_are_removed(bench: Workbench) -> None:
    rehearse()
    (record,) = bench.store.glob("rehearsals/*")
    record.unlink()
    assert geobatch("gc", "--apply").code == 0
    assert held(bench) == []


def test_lists_know_what_was_rehearsed(bench: Workbench) -> None:
    """Rows of the published state stay those of that state."""
    before = geobatch("ls", "--json").lines
    write(bench.folder, "a.tif", 9)
    bench.write_spec([spec("a", bands=[{"id": "z", "tileset_id": "t"}]), image("c", "c.tif")])
    rehearse()
    assert geobatch("ls", "--json").lines == before
    assert geobatch("apply", "p.json").code == 0
    after = geobatch("ls", "--json").out
    shutil.rmtree(bench.store / "cache")
    assert geobatch("ls", "--json").out == after
