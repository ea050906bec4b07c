"""What is published was read from files that stood still: any change meanwhile stops the run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from listener import Listener
from shell import geobatch
from workbench import Workbench, image, write_tiff

from geobatch.cli.exits import Exit, exit_code
from geobatch.errors import InterruptedRunError, SourceError
from geobatch.execute import SilentObserver
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply

SIDE = 2304
LAYOUT = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rasters of four regions each, and one that was published before."""
    folder = tmp_path_factory.mktemp("sources")
    rng = np.random.default_rng(5)
    for name in ("a", "b"):
        pixels = np.repeat(rng.integers(1, 255, (SIDE, SIDE // 8)).astype(np.uint8), 8, axis=1)
        write_tiff(folder / f"{name}.tif", [pixels], layout=LAYOUT)
    write_tiff(folder / "old.tif", [np.ones((9, 9), np.uint8)])
    return folder


@pytest.fixture
def bench(tmp_path: Path, sources: Path) -> Workbench:
    shutil.copytree(sources, tmp_path, dirs_exist_ok=True)
    bench = Workbench(folder=tmp_path)
    bench.apply(image("old", "old.tif"))
    bench.write_spec([image("a", "a.tif", tile=256), image("b", "b.tif", tile=256)])
    return bench


def touch(path: Path) -> None:
    os.utime(path)


def rewrite_with_the_old_time(path: Path) -> None:
    """Write other bytes of the same length over the file, and set its time back."""
    found = path.stat()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def replace_by_its_like(path: Path) -> None:
    """Put another file with the same bytes in its place."""
    other = path.with_suffix(".new")
    shutil.copy2(path, other)
    other.replace(path)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("moment", [1, -1])
@pytest.mark.parametrize(
    "change", [touch, rewrite_with_the_old_time, replace_by_its_like, cut, remove]
)
def test_a_source_that_changes_stops_the_run(
    bench: Workbench, change: Callable[[Path], None], moment: int
) -> None:
    path = bench.folder / "a.tif"
    spec = bench.folder / "spec.yaml"
    number = moment if moment >= 0 else last_event(bench)
    listener = Listener(number, lambda: change(path))
    with pytest.raises(SourceError, match=r"`a\.tif`") as caught:
        apply([spec], store=bench.store, workers=2, observer=listener)
    assert len(listener.events) > number, "the change came in the midst of the run"
    assert exit_code(caught.value) is Exit.SOURCE
    assert caught.value.hint or "cannot be reached" in caught.value.message
    store = TileStore.open(bench.store)
    assert [head.number for head in store.log()] == [1]
    store.close()
    assert sorted(path.name for path in bench.tree.iterdir()) == ["old", "zarr.json"]


def last_event(bench: Workbench) -> int:
    """Return the number of the last event of the run: all tiles are put, nothing is published."""
    listener = Listener(-1, lambda: None)
    other = bench.folder / "other"
    apply([bench.folder / "spec.yaml"], store=other, workers=2, observer=listener)
    shutil.rmtree(other)
    return len(listener.events) - 1


def test_the_next_run_takes_the_file_as_it_is_then(bench: Workbench) -> None:
    spec = bench.folder / "spec.yaml"
    path = bench.folder / "a.tif"
    with pytest.raises(SourceError):
        apply([spec], store=bench.store, observer=Listener(1, lambda: touch(path)))
    summary = apply([spec], store=bench.store)
    clean = apply([spec, bench.write_spec([image("old", "old.tif")], "old.yaml")],
                  store=bench.folder / "clean")  # fmt: skip
    assert summary.commit
    assert summary.content_root == clean.content_root


def test_the_command_line_says_which_file(bench: Workbench) -> None:
    """A block that cannot be decoded, found in the midst of a run."""
    path = bench.folder / "b.tif"
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_5_4", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[offset : offset + 16] = bytes(16)
    path.write_bytes(data)
    done = geobatch("--store", bench.store, "apply", bench.folder / "spec.yaml")
    assert done.code == 7
    assert "`b.tif`: band index 0, block (row 4, col 5)" in done.err
    assert geobatch("--store", bench.store, "log").out.count("\n") == 1


@pytest.mark.parametrize("moment", [0, 1, 2, 5])
def test_an_interruption_at_any_event(bench: Workbench, moment: int) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    spec = bench.folder / "spec.yaml"
    with pytest.raises(InterruptedRunError, match="nothing was published") as caught:
        apply([spec], store=bench.store, workers=2, observer=Listener(moment, interrupt))
    assert caught.value.hint
    store = TileStore.open(bench.store)
    assert store.head().number == 1
    store.close()
    assert apply([spec], store=bench.store, observer=SilentObserver()).commit


def test_an_observer_is_told_of_every_tile(bench: Workbench) -> None:
    listener = Listener(-1, lambda: None)
    summary = apply([bench.folder / "spec.yaml"], store=bench.store, observer=listener)
    for change in summary.plan.changes:
        told = [
            event.split()[2] for event in listener.events if event.startswith(f"{change.id} did")
        ]
        assert sum(map(int, told)) == change.tiles.compute > 0
        assert listener.events.count(f"{change.id} finished") == 1
        started = f"{change.id} started with {change.tiles.compute} tiles"
        assert listener.events.count(started) == 1
