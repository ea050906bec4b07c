"""Workers that must not compute, and what fails on them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dask_cluster import Spy, cluster, runs_of, write_images
from distributed.diagnostics.plugin import WorkerPlugin
from flaky_backend import FlakyBackend
from shell import environment

from geobatch.errors import ExecutionError, SourceError
from geobatch.execute import TaskContext
from geobatch.execute.executors.dask import session
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.execute.tasks import runner
from geobatch.execute.tasks.task import BandTask, Region, RegionTask
from geobatch.model.digest import digest_bytes
from geobatch.model.tiles import TileSet
from geobatch.sources.reader import Sources
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.rasters import write_raster
from geobatch.workflow.apply import apply
from geobatch.workflow.plan import plan


@contextmanager
def workers_of(package: Path, folder: Path) -> Iterator[Any]:
    """Give a client of a worker that was started by itself, with another geobatch."""
    with cluster(folder, workers=0) as client:
        process = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", client.scheduler.address,
             "--nthreads", "1", "--no-dashboard", "--local-directory", folder],
            env={**environment(), "PYTHONPATH": str(package)}, cwd=package,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield client
        finally:
            process.terminate()
            process.wait()


def test_a_worker_with_other_code_is_refused_by_name(tmp_path: Path) -> None:
    """Its geobatch has the same version, and one more line."""
    package = Path(session.__file__).parents[3]
    shutil.copytree(package, tmp_path / "other" / "geobatch")
    with (tmp_path / "other" / "geobatch" / "pyramid" / "mean.py").open("a") as file:
        file.write("# other\n")
    spec = write_images(tmp_path / "in")
    with (
        workers_of(tmp_path / "other", tmp_path / "dask") as client,
        pytest.raises(ExecutionError) as caught,
    ):
        apply([spec], store=tmp_path / "store", executor=client)
    (line,) = caught.value.message.splitlines()
    assert line.startswith("the worker `tcp://")
    assert "geobatch is `" in line
    assert "expected `" in line
    assert runs_of(tmp_path / "store") == []


def test_a_worker_without_geobatch_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "other" / "geobatch").mkdir(parents=True)
    (tmp_path / "other" / "geobatch" / "__init__.py").touch()
    spec = write_images(tmp_path / "in")
    with (
        workers_of(tmp_path / "other", tmp_path / "dask") as client,
        pytest.raises(
            ExecutionError, match=r"the worker `tcp://.*has not the same geobatch installed"
        ),
    ):
        apply([spec], store=tmp_path / "store", executor=client)


def test_a_worker_with_too_little_memory_is_refused(tmp_path: Path) -> None:
    spec = write_images(tmp_path / "in")
    with (
        cluster(tmp_path / "dask", workers=1, threads_per_worker=4, memory_limit="700MB") as client,
        pytest.raises(ExecutionError, match=r"has 667 MiB of memory for 4 threads, expected"),
    ):
        apply([spec], store=tmp_path / "store", executor=client)


def test_a_store_in_memory_cannot_be_shared(tmp_path: Path, client: Any) -> None:
    store = TileStore.create(MemoryBackend())
    context, task = region(tmp_path, store.objects)
    with DaskExecutor(client=client).start(context) as running:
        running.submit(0, task)
        with pytest.raises(ExecutionError, match="workers cannot open the store in `memory`"):
            running.completed()


def region(folder: Path, objects: Objects) -> tuple[TaskContext, RegionTask]:
    """Return a task of one image, and what it is run with."""
    spec = write_images(folder / "in", small=1)
    change = next(c for c in plan([spec], store=folder / "x").changes if c.id != "large")
    store = TileStore(objects.backend)
    reader = Sources(folder=folder, cache=SourceCache.memory())
    context = TaskContext(objects=objects, index=store.index, reader=reader)
    task = RegionTask(
        key=digest_bytes(os.urandom(8)),
        asset=context.inputs.add(change.image),
        roots=None,
        grid=change.image.grids[0].name,
        region=Region(level=0, row=0, col=0, span=0),
        bands=(
            BandTask(
                band="b",
                dirty=(TileSet.from_mask(np.ones((1, 1), dtype=np.bool_)),),
                from_sources=True,
            ),
        ),
        is_cached=False,
    )
    return context, task


@pytest.mark.parametrize("failures", [2, 9])
def test_what_the_store_fails_is_tried_again(tmp_path: Path, client: Any, failures: int) -> None:
    """Three times; then the error names the worker."""
    TileStore.create(tmp_path / "store").close()
    backend = FlakyBackend(tmp_path / "store", failures)
    context, task = region(tmp_path, Objects(backend))
    with DaskExecutor(client=client).start(context) as running:
        running.submit(0, task)
        (outcome,) = running.completed()
    backend.close()
    tries = len(list(tmp_path.glob("store/try-*")))
    if failures == 2:
        assert outcome.result is not None
        assert outcome.result.written == 1
        assert tries == 3
    else:
        assert "the disk is tired" in str(outcome.error)
        assert "the worker `tcp://127.0.0.1:" in str(getattr(outcome.error, "hint", ""))
        assert tries == 3


def test_a_source_that_is_damaged_is_read_once_and_names_the_worker(
    tmp_path: Path, client: Any
) -> None:
    spec = write_images(tmp_path / "in", small=2)
    write_raster(tmp_path / "in" / "s1.tif", np.ones((41, 50), np.uint8), is_damaged=True)
    spy = Spy(client)
    with pytest.raises(SourceError, match=r"s1\.tif") as caught:
        apply([spec], store=tmp_path / "store", executor=DaskExecutor(client=spy))
    assert "the worker `tcp://127.0.0.1:" in str(caught.value.hint)
    tasks = [task for batch in spy.batches for task in batch.tasks]
    assert len(tasks) == len({task.key for task in tasks if isinstance(task, RegionTask)})


@pytest.mark.soak
def test_a_task_that_kills_its_workers_is_named(tmp_path: Path) -> None:
    """It is sent alone once the workers of its batch were killed; the others finish.

    A task of `large` that runs beside it when the worker dies may be the one that is named: Dask
    does not say which of them was it.
    """
    spec = write_images(tmp_path / "in", small=3)
    with cluster(tmp_path / "dask", workers=1, failures=0) as client:
        client.register_plugin(Deadly("small-images/s1"))
        with pytest.raises(ExecutionError, match=r"(small_images/s1|large) L0.*every worker"):
            apply([spec], store=tmp_path / "store", executor=client)


class Deadly(WorkerPlugin):
    """Each worker that is started dies of one image."""

    def __init__(self, name: str) -> None:
        self._name = name

    def setup(self, worker: Any) -> None:
        compute, name = runner.compute_region, self._name  # type: ignore[attr-defined]

        def deadly(task: Any, inputs: Any, **more: Any) -> Any:
            if inputs.asset(task.asset).id == name:
                os.kill(os.getpid(), signal.SIGKILL)
            return compute(task, inputs, **more)

        runner.compute_region = deadly  # type: ignore[attr-defined]
