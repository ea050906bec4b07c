"""Large images by squares on every executor, and after kills: one store, bit for bit."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from dask_cluster import Spy, cluster, state
from page_rasters import Bench, set_squares
from shuffling import ShufflingExecutor

from geobatch.execute import Executor
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.execute.executors.processes import ProcessExecutor
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.tasks.task import JoinTask, PagesTask
from geobatch.workflow.apply import apply

SQUARES = 16
MOST_SENT, MOST_RETURNED = 1536, 8192
"""Bytes of a task, and of its result."""


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def spy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spy]:
    with cluster(tmp_path_factory.mktemp("dask"), workers=request.param) as client:
        yield Spy(client)


def compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: Executor) -> None:
    """Compare the stores that a history makes, object by object."""
    set_squares(monkeypatch, paged=20, squares=SQUARES)
    bench = Bench(tmp_path)
    for step in bench.histories():
        one = apply([bench.spec], store=tmp_path / "serial", executor=SerialExecutor())
        two = apply([bench.spec], store=tmp_path / "other", executor=executor)
        assert state(tmp_path / "other") == state(tmp_path / "serial"), step
        # Two processes may put equal tiles at one time; both of them are then new.
        assert two.tiles.written + two.tiles.reused == one.tiles.written + one.tiles.reused, step
        assert (two.tiles.empty, two.bytes.read) == (one.tiles.empty, one.bytes.read), step


@pytest.mark.parametrize(
    "executor",
    [
        pytest.param(ThreadExecutor(3), id="3 threads"),
        pytest.param(ProcessExecutor(3), id="3 processes"),
        pytest.param(ShufflingExecutor(3, held=20), id="shuffled"),
    ],
)
def test_the_store_is_that_of_one_task_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executor: Executor
) -> None:
    compare(tmp_path, monkeypatch, executor)


def test_the_store_is_that_of_dask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spy: Spy
) -> None:
    """Squares are sent one by one, and what is sent and answered is small."""
    compare(tmp_path, monkeypatch, DaskExecutor(client=spy))
    kinds = [[type(task) for task in batch.tasks] for batch in spy.batches]
    assert [PagesTask] in kinds
    assert any(JoinTask in one for one in kinds)
    assert all(len(one) == 1 for one in kinds if PagesTask in one)
    per_task = zip(spy.sent, kinds, strict=True)
    assert all(size <= MOST_SENT * len(one) + 500 for size, one in per_task)
    assert max(spy.returned) <= MOST_RETURNED * max(map(len, kinds))


APPLY = """
import sys
import pytest
sys.path.insert(0, sys.argv[1])
from page_rasters import set_squares
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.workflow.apply import apply
set_squares(pytest.MonkeyPatch(), paged=20, squares=1)
apply([sys.argv[2]], store=sys.argv[3], executor=ThreadExecutor(2))
"""


def test_after_kills_the_root_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    """At any instant: between pages, within a square, while pages are joined."""
    bench = Bench(tmp_path)
    bench.pixels[:] = np.random.default_rng(2).integers(1, 5, bench.pixels.shape)
    bench.write()
    bench.declare()
    set_squares(monkeypatch, paged=20, squares=1)
    clean = apply([bench.spec], store=tmp_path / "clean")
    rng = random.Random(0)
    for number in range(10 if is_long else 2):
        store = tmp_path / f"store{number}"
        command = [
            sys.executable,
            "-c",
            APPLY,
            *map(str, (Path(__file__).parent, bench.spec, store)),
        ]
        for _ in range(4):
            running = subprocess.Popen(command)
            until = time.monotonic() + 60
            wanted = rng.randint(1, 40)
            while time.monotonic() < until and running.poll() is None:
                if len(list(store.glob("cache/regions/*"))) >= wanted:
                    break
                time.sleep(0.01)
            time.sleep(rng.random() / 2)
            running.send_signal(signal.SIGKILL)
            running.wait()
        found = apply([bench.spec], store=store)
        assert found.content_root == clean.content_root
        assert found.bytes.read < clean.bytes.read
