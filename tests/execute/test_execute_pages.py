"""Large images by squares: the store is that of regions; a killed run goes on from its pages."""

from __future__ import annotations

import pickle
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from page_rasters import CHECKS, Bench, Noting, set_squares

from geobatch.errors import InterruptedRunError, SourceError
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.pages import collected
from geobatch.execute.tasks.task import JoinTask, PagesTask, Task, TaskResult
from geobatch.model.observer import SilentObserver
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

NEVER = 1 << 40


class StopsAfter(SilentObserver):
    """Interrupts a run after some tasks."""

    def __init__(self, tasks: int) -> None:
        self.left = tasks

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        del asset_id, tiles, bytes_read
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def published(store: Path) -> str:
    """Return all that is published, with the measures of checks and the roots of indexes."""
    with closing(TileStore.open(store)) as opened:
        tree = opened.head().tree
        return repr([tree, *(opened.record(entry) for entry in tree.entries)])


@pytest.mark.parametrize("squares", [1, 16, 64], ids=["whole pages", "parts", "regions"])
def test_a_history_is_that_of_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squares: int
) -> None:
    bench = Bench(tmp_path)
    kinds: set[type[Task]] = set()
    for step in bench.histories():
        set_squares(monkeypatch, paged=NEVER, squares=squares)
        one = apply([bench.spec], store=tmp_path / "regions")
        set_squares(monkeypatch, paged=20, squares=squares)
        done: list[tuple[Task, TaskResult]] = []
        executor = Noting(ThreadExecutor(2), done)
        two = apply([bench.spec], store=tmp_path / "squares", executor=executor)
        assert published(tmp_path / "squares") == published(tmp_path / "regions"), step
        assert two.tiles == one.tiles, step
        assert plan([bench.spec], store=tmp_path / "squares").is_empty
        kinds |= {type(task) for task, _ in done}
        assert step != "new" or kinds >= {PagesTask, JoinTask}


def test_counts_of_checks_are_those_of_regions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path)
    bench.write()
    bench.declare(more=CHECKS)
    for change in (1, 2):
        for name, paged in (("regions", NEVER), ("squares", 20)):
            set_squares(monkeypatch, paged=paged, squares=4)
            apply([bench.spec], store=tmp_path / name)
        assert published(tmp_path / "squares") == published(tmp_path / "regions")
        assert "Measure(count=" in published(tmp_path / "squares")
        bench.pixels[1000:1040, 1000 : 1000 + 20 * change] = 11
        bench.write()


def test_tiles_of_a_source_in_strips_do_not_collect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its regions are computed row by row; their tiles are indexed before all are there."""
    bench = Bench(tmp_path, tiled=False)
    written = 0
    index = collected.Collected._index_tiles

    def _counted(self: collected.Collected, *arguments: object) -> None:
        nonlocal written
        written += bool(self._tiles)
        index(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(collected.Collected, "_index_tiles", _counted)
    for step in bench.histories():
        set_squares(monkeypatch, paged=NEVER, squares=1)
        monkeypatch.setattr(collected, "MOST_TILES", NEVER)
        apply([bench.spec], store=tmp_path / "regions")
        set_squares(monkeypatch, paged=20, squares=1)
        monkeypatch.setattr(collected, "MOST_TILES", 500)
        written = 0
        apply([bench.spec], store=tmp_path / "squares")
        assert published(tmp_path / "squares") == published(tmp_path / "regions"), step
        assert step != "new" or written > 3


def test_an_edit_of_one_tile_computes_that_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where so few tiles are computed by squares."""
    bench = Bench(tmp_path)
    bench.write()
    bench.declare()
    done: list[tuple[Task, TaskResult]] = []
    for _ in range(2):
        done.clear()
        made = []
        for name, paged in (("regions", NEVER), ("squares", 1)):
            set_squares(monkeypatch, paged=paged, squares=1)
            executor = Noting(SerialExecutor(), done)
            made.append(apply([bench.spec], store=tmp_path / name, executor=executor).tiles)
        bench.pixels[1030, 1030] = 77
        bench.write()
    assert made[0] == made[1]
    assert published(tmp_path / "squares") == published(tmp_path / "regions")
    assert any(isinstance(task, PagesTask) for task, _ in done)
    assert 0 < made[1].written < 10


def test_a_run_goes_on_from_its_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_squares(monkeypatch, paged=20, squares=16)
    bench = Bench(tmp_path)
    bench.pixels[:] = np.random.default_rng(1).integers(1, 9, bench.pixels.shape)
    bench.write()
    bench.declare()
    clean = apply([bench.spec], store=tmp_path / "clean", executor=SerialExecutor())
    store = tmp_path / "store"
    with pytest.raises(InterruptedRunError):
        apply([bench.spec], store=store, executor=SerialExecutor(), observer=StopsAfter(12))
    done: list[tuple[Task, TaskResult]] = []
    resumed = apply([bench.spec], store=store, executor=Noting(SerialExecutor(), done))
    assert resumed.content_root == clean.content_root
    assert published(store) == published(tmp_path / "clean")
    again = [result for task, result in done if isinstance(task, PagesTask) and not result.written]
    assert len(again) >= 12
    assert resumed.bytes.read < 0.5 * clean.bytes.read
    total = clean.tiles.written + clean.tiles.reused
    assert resumed.tiles.written + resumed.tiles.reused == total
    assert not list(store.glob("cache/regions/*")), "remembered beyond the commit"


@pytest.mark.parametrize("harm", ["cut", "flip", "gone", "page"])
def test_records_of_pages_are_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    """Whatever became of the tiles and pages of a killed run, no damage is published."""
    set_squares(monkeypatch, paged=20, squares=16)
    bench = Bench(tmp_path)
    bench.write()
    bench.declare()
    clean = apply([bench.spec], store=tmp_path / "clean", executor=SerialExecutor())
    store = tmp_path / "store"
    with pytest.raises(InterruptedRunError):
        apply([bench.spec], store=store, executor=SerialExecutor(), observer=StopsAfter(24))
    paths = [path for path in store.glob("objects/*/*") if path.is_file()]
    pages = [path for path in paths if path.read_bytes()[:4] == b"GBIX"]
    assert pages
    for path in pages if harm == "page" else set(paths) - set(pages):
        data = bytearray(path.read_bytes())
        path.chmod(0o644)
        if harm in {"gone", "page"}:
            path.unlink()
        elif harm == "cut":
            path.write_bytes(data[:-1])
        else:
            data[-1] ^= 1
            path.write_bytes(data)
    resumed = apply([bench.spec], store=store, executor=SerialExecutor())
    assert resumed.content_root == clean.content_root
    with closing(TileStore.open(store)) as opened:
        for entry in opened.head().tree.entries:
            for key, root in opened.record(entry).arrays:
                side = -(-67 // (1 << key.level))
                for part in opened.index.parts((side, side), root):
                    for tile in part:
                        opened.objects.get(tile["stored"].tobytes().hex())


def test_tasks_and_results_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one band; a square of 64 x 64 tiles has 1.4 KB of masks at most."""
    set_squares(monkeypatch, paged=20, squares=1)
    bench = Bench(tmp_path)
    done: list[tuple[Task, TaskResult]] = []
    for _ in bench.histories():
        apply([bench.spec], store=tmp_path / "store", executor=Noting(SerialExecutor(), done))
    squares = [one for one in done if isinstance(one[0], PagesTask)]
    assert len(squares) >= 8
    assert max(len(pickle.dumps(task, protocol=5)) for task, _ in squares) < 1536
    assert max(len(pickle.dumps(result, protocol=5)) for _, result in squares) < 8192
    assert all(not result.entries and not result.removed for _, result in squares)


def test_a_damaged_source_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other regions of its square are computed, and the next run takes them over."""
    set_squares(monkeypatch, paged=20, squares=1)
    bench = Bench(tmp_path)
    bench.pixels[:] = np.random.default_rng(1).integers(1, 9, bench.pixels.shape)
    bench.write()
    bench.declare()
    data = bytearray((tmp_path / "a.tif").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(SourceError, match=r"a\.tif"):
        apply([bench.spec], store=tmp_path / "store")
    assert not list((tmp_path / "store").glob("refs/main/*"))
    assert len(list((tmp_path / "store").glob("cache/regions/*"))) > 30
