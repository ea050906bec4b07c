"""Each executor passes the contract that `geobatch.testing` has for those of other programs."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.errors
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace
from shuffling import ShuffledTasks, ShufflingExecutor

from geobatch.errors import GeobatchError, SourceError
from geobatch.execute import Executor, TaskContext, passes
from geobatch.execute.executors.processes import ProcessExecutor
from geobatch.execute.executors.protocol import Outcome
from geobatch.execute.executors.serial import SerialExecutor, run
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.testing.executor import ExecutorContract
from geobatch.testing.rasters import PIXEL, write_raster


class TestSerial(ExecutorContract):
    @pytest.fixture
    def executor(self) -> Executor:
        return SerialExecutor()


class TestThreads(ExecutorContract):
    @pytest.fixture(params=[pytest.param(1, marks=pytest.mark.attack), 3])
    def executor(self, request: pytest.FixtureRequest) -> Executor:
        return ThreadExecutor(request.param)


class TestProcesses(ExecutorContract):
    @pytest.fixture(params=[pytest.param(1, marks=pytest.mark.attack), 3])
    def executor(self, request: pytest.FixtureRequest) -> Executor:
        return ProcessExecutor(request.param)


class TestShuffling(ExecutorContract):
    @pytest.fixture(params=[1, pytest.param(40, marks=pytest.mark.attack)])
    def executor(self, request: pytest.FixtureRequest) -> Executor:
        return ShufflingExecutor(request.param, held=7 + request.param)


# --- what the contract refuses --------------------------------------------------------------------


class Broken(ShuffledTasks):
    """Takes one task at a time, and does something wrong."""

    def __init__(self, context: TaskContext) -> None:
        super().__init__(context, random.Random(0), 4)

    def completed(self) -> Sequence[Outcome]:
        return self.wrong(list(super().completed()))

    def wrong(self, found: list[Outcome]) -> list[Outcome]:
        raise NotImplementedError


class Empty(Broken):
    def wrong(self, found: list[Outcome]) -> list[Outcome]:
        return []


class Twice(Broken):
    def wrong(self, found: list[Outcome]) -> list[Outcome]:
        return [*found, found[0]]


class Nothing(Broken):
    def wrong(self, found: list[Outcome]) -> list[Outcome]:
        return [Outcome(number=one.number) for one in found]


class Others(Broken):
    """Returns the results of other tasks."""

    def wrong(self, found: list[Outcome]) -> list[Outcome]:
        numbers = sorted(one.number for one in found)
        return [replace(one, number=number) for one, number in zip(found, numbers, strict=True)]


class Vague(Broken):
    """Does not say which source failed."""

    def wrong(self, found: list[Outcome]) -> list[Outcome]:
        error = SourceError("a source failed")
        return [one if one.error is None else replace(one, error=error) for one in found]


class Late(Broken):
    """Runs the tasks that wait after the run was stopped."""

    def wrong(self, found: list[Outcome]) -> list[Outcome]:
        return found

    def __exit__(self, *arguments: object) -> None:
        waiting, context = self._waiting, self._context

        def go_on() -> None:
            time.sleep(0.05)
            for number, task in waiting:
                run(number, task, context)

        threading.Thread(target=go_on).start()


class BrokenExecutor(Struct, frozen=True):
    tasks: type[Broken]

    def start(self, context: TaskContext) -> Broken:
        return self.tasks(context)


CONTRACT = ExecutorContract()


@pytest.mark.parametrize(
    ("tasks", "error", "promise"),
    [
        (Empty, AssertionError, CONTRACT.test_each_task_completes_once_and_few_are_in_flight),
        (Twice, KeyError, CONTRACT.test_each_task_completes_once_and_few_are_in_flight),
        (Nothing, AssertionError, CONTRACT.test_each_task_completes_once_and_few_are_in_flight),
        (
            Others,
            (AssertionError, ValueError, GeobatchError),
            CONTRACT.test_the_store_is_the_same_as_from_one_task_at_a_time,
        ),
        (
            Vague,
            AssertionError,
            CONTRACT.test_a_source_that_fails_is_named_and_the_others_are_published,
        ),
        (
            Late,
            AssertionError,
            partial(CONTRACT.test_after_an_interrupt_nothing_is_written, is_new=False),
        ),
    ],
)
def test_an_executor_that_breaks_a_promise_fails(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tasks: type[Broken],
    error: type[Exception],
    promise: Any,
) -> None:
    monkeypatch.setattr(passes, "REGION_PIXELS", 128)
    with pytest.raises(error):
        promise(BrokenExecutor(tasks), tmp_path)


# --- its rasters ----------------------------------------------------------------------------------


@given(height=st.integers(1, 70), width=st.integers(1, 70), seed=st.integers(0, 99))
def test_its_rasters_are_what_gdal_reads(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, seed: int
) -> None:
    path = tmp_path_factory.mktemp("raster") / "a.tif"
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.uint8)
    write_raster(path, pixels, col=seed)
    with rasterio.open(path) as file:
        assert np.array_equal(file.read(1), pixels)
        assert (file.crs.to_epsg(), file.nodata) == (32632, 0)
        assert file.transform[:6] == (PIXEL, 0, 500_000 + PIXEL * seed, 0, -PIXEL, 5_000_000)
    write_raster(path, pixels, is_damaged=True)
    with rasterio.open(path) as file, pytest.raises(rasterio.errors.RasterioError):
        file.read(1)
