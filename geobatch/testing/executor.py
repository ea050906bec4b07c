"""The contract of executors: subclass it in a test, with a fixture `executor` that returns one."""
# ruff: noqa: S101 -- a contract is made of assertions

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pytest
from msgspec import Struct

from geobatch.errors import CorruptObjectError, InterruptedRunError, SourceError
from geobatch.execute import Executor, TaskContext, passes
from geobatch.execute.executors.protocol import Outcome, RunningTasks
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.tasks.task import Task
from geobatch.model.assets.asset import AnyImage
from geobatch.model.observer import SilentObserver
from geobatch.model.published import ArrayKey
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan

_SMALL = 6
"""Images of one tile."""
_STILL = 0.2
"""Seconds for which a store is watched after a run was stopped."""


class ExecutorContract:
    """What a run relies on. The fixture `executor` returns a value; each run starts it again.

    An executor that needs a store on a local disk finds one: all stores are below `tmp_path`.
    """

    @pytest.fixture(autouse=True)
    def _several_tasks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have images computed in several regions and passes."""
        monkeypatch.setattr(passes, "REGION_PIXELS", 128)

    def test_the_store_is_the_same_as_from_one_task_at_a_time(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """Bit for bit: what is published, and each object; also when pixels and codecs change."""
        found, expected = _Bench(tmp_path / "a"), _Bench(tmp_path / "b")
        for change in (_Bench.write, _Bench.change_pixels, _Bench.change_policy, _Bench.recode):
            for bench, runs in ((found, executor), (expected, SerialExecutor())):
                change(bench)
                bench.apply(runs)
            assert found.state() == expected.state()
            assert found.is_current()

    def test_each_task_completes_once_and_few_are_in_flight(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """An executor takes as many tasks as its capacity, and no outcome is of another task."""
        bench = _Bench(tmp_path)
        bench.write()
        log, counted = _Log(), _Log()
        bench.apply(_Watched(executor=executor, log=log))
        bench.change_pixels()
        bench.apply(_Watched(executor=executor, log=log))
        again = _Bench(tmp_path / "again")
        again.write()
        again.apply(_Watched(executor=SerialExecutor(), log=counted))
        again.change_pixels()
        again.apply(_Watched(executor=SerialExecutor(), log=counted))
        assert log.completed == counted.completed > _SMALL
        assert log.most_in_flight >= counted.most_in_flight == 1

    def test_a_source_that_fails_is_named_and_the_others_are_published(
        self, executor: Executor, tmp_path: Path
    ) -> None:
        """The error is the source's own, from wherever the task ran."""
        bench = _Bench(tmp_path)
        bench.write(damaged="s2.tif")
        with pytest.raises(SourceError, match=r"s2\.tif"):
            bench.apply(executor)
        found = bench.apply(executor, keep_going=True)
        assert [failure.id for failure in found.failures] == ["small/s2"]
        with closing(TileStore.open(bench.store)) as store:
            assert len(store.head().tree.entries) == _SMALL + 1

    def test_a_damaged_tile_is_an_error(self, executor: Executor, tmp_path: Path) -> None:
        """Nothing is built upon it."""
        bench = _Bench(tmp_path)
        bench.write()
        bench.apply(SerialExecutor())
        before = bench.refs()
        bench.damage()
        bench.change_policy()
        with pytest.raises(CorruptObjectError):
            bench.apply(executor)
        assert bench.refs() == before

    @pytest.mark.parametrize("is_new", [True, False])
    def test_after_an_interrupt_nothing_is_written(
        self, executor: Executor, tmp_path: Path, is_new: bool
    ) -> None:
        """Tasks that wait are dropped; the next run makes what one run would have made."""
        found, expected = _Bench(tmp_path / "a"), _Bench(tmp_path / "b")
        for bench in (found, expected):
            bench.write()
            if not is_new:
                bench.apply(SerialExecutor())
                bench.change_policy()
        refs = found.refs()
        with pytest.raises(InterruptedRunError):
            found.apply(executor, observer=_Interrupt(2))
        objects = found.objects()
        time.sleep(_STILL)
        assert found.objects() == objects
        assert found.refs() == refs
        found.apply(executor)
        expected.apply(SerialExecutor())
        assert found.state() == expected.state()


class _Bench:
    """Rasters, a spec of them, and a store."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.store = folder / "store"
        self._spec = folder / "spec.yaml"
        self._random = np.random.default_rng(7)
        self._document: dict[str, Any] = {}

    def write(self, *, damaged: str = "") -> None:
        """Write a mosaic of two files, and some small images."""
        names = [f"s{number}" for number in range(_SMALL)]
        self._raster("west.tif", (300, 280))
        self._raster("east.tif", (300, 150), col=250)
        for number, name in enumerate(names):
            self._raster(f"{name}.tif", (40 + number, 50), is_damaged=damaged == f"{name}.tif")
        self._document = {
            "mosaic": _image("mosaic", "west.tif", "east.tif"),
            **{name: _image(f"small/{name}", f"{name}.tif") for name in names},
            "more": _image("more", "west.tif"),
        }
        self._save()

    def change_pixels(self) -> None:
        """Write other pixels into a part of the mosaic, and into a small image."""
        self._raster("east.tif", (300, 150), col=250)
        self._raster("s3.tif", (43, 50))

    def change_policy(self) -> None:
        """Have the levels of the mosaic computed again, from its tiles."""
        self._document["mosaic"]["pyramiding_policy"] = "SAMPLE"
        self._save()

    def recode(self) -> None:
        """Have the tiles of an image encoded again."""
        self._document["more"]["codec"] = {"name": "blosc", "level": 7}
        self._save()

    def damage(self) -> None:
        """Overwrite a byte of each object that is a tile."""
        with closing(TileStore.open(self.store)) as store:
            tiles = {
                bytes(tile["stored"]).hex()
                for entry in store.head().tree.entries
                for record in [store.record(entry)]
                for key, root in record.arrays
                for tile in store.index.entries(_plane(record.image, key), root)
            }
        for name in tiles:
            path = self.store / "objects" / name[:2] / name[2:]
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.chmod(0o644)
            path.write_bytes(data)

    def apply(self, executor: Executor, **more: Any) -> Any:
        """Apply the spec."""
        return apply([self._spec], store=self.store, executor=executor, **more)

    def is_current(self) -> bool:
        """Return whether the store has what the spec declares."""
        return plan([self._spec], store=self.store).is_empty

    def state(self) -> tuple[str, set[str]]:
        """Return what is published, and the names of all objects except commits."""
        with closing(TileStore.open(self.store)) as store:
            head = store.head()
            commits = {commit.digest for commit in store.log()}
        return repr(head.tree), self.objects() - commits

    def objects(self) -> set[str]:
        """Return the names of all objects."""
        return {path.parent.name + path.name for path in self.store.glob("objects/*/*")}

    def refs(self) -> set[str]:
        """Return the names of all commits."""
        return {path.name for path in self.store.glob("refs/main/*")}

    def _raster(
        self, name: str, shape: tuple[int, int], *, col: int = 0, is_damaged: bool = False
    ) -> None:
        pixels = self._random.integers(0, 5, shape).astype(np.uint8)
        write_raster(self.folder / name, pixels, col=col, is_damaged=is_damaged)

    def _save(self) -> None:
        self._spec.write_text("\n---\n".join(map(json.dumps, self._document.values())))


def _plane(asset: AnyImage, key: ArrayKey) -> tuple[int, int]:
    geobox = asset.grid(asset.band(key.band).grid).geobox
    return geobox.tile_shape(tile=asset.tile, level=key.level)


def _image(asset_id: str, *names: str) -> dict[str, Any]:
    return {
        "id": asset_id,
        "tilesets": [{"id": "t", "sources": [{"uris": [name]} for name in names]}],
        "bands": [{"id": "b", "tileset_id": "t"}],
        "tiling": {"tile": 64},
    }


class _Interrupt(SilentObserver):
    """Interrupts a run when some tasks have completed."""

    def __init__(self, moment: int) -> None:
        self._left = moment

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        """Count it, or interrupt."""
        del asset_id, tiles, bytes_read
        self._left -= 1
        if self._left <= 0:
            raise KeyboardInterrupt


class _Log(Struct, kw_only=True):
    """What an executor did with its tasks."""

    completed: int = 0
    most_in_flight: int = 0


class _Watched(Struct, frozen=True, kw_only=True):
    """Another executor, whose tasks are counted."""

    executor: Executor
    log: _Log

    def start(self, context: TaskContext) -> _WatchedTasks:
        return _WatchedTasks(self.executor.start(context), self.log)


class _WatchedTasks:
    """The tasks of one run."""

    def __init__(self, running: RunningTasks, log: _Log) -> None:
        self._running, self._log = running, log
        self._in_flight: set[int] = set()
        self.capacity = running.capacity
        assert self.capacity >= 1

    def __enter__(self) -> Self:
        self._running.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.__exit__(kind, error, trace)
        assert error is not None or not self._in_flight

    def submit(self, number: int, task: Task) -> None:
        self._in_flight.add(number)
        self._log.most_in_flight = max(self._log.most_in_flight, len(self._in_flight))
        assert len(self._in_flight) <= self.capacity == self._running.capacity
        self._running.submit(number, task)

    def completed(self) -> Sequence[Outcome]:
        found = self._running.completed()
        assert found, "it waits until there is an outcome"
        for outcome in found:
            self._in_flight.remove(outcome.number)
            assert (outcome.result is None) != (outcome.error is None)
        self._log.completed += len(found)
        return found
