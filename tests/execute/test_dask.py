"""Tasks on a Dask cluster: the contract of executors, the same results, what is sent."""

from __future__ import annotations

import os
import shutil
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import rasterio
from dask_cluster import ROOT, SPECS, Silent, Spy, children, runs_of, state, write_images
from distributed import Client
from msgspec.structs import replace

from geobatch.execute import Executor, passes
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.tasks.task import RegionTask
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore
from geobatch.testing.executor import ExecutorContract
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request
from geobatch.workflow.plan import plan
from geobatch.workflow.rehearsal.rehearse import rehearse_specs
from geobatch.workflow.request import Request

MOST_SENT, MOST_RETURNED = 1536, 8192
"""Bytes of a task, and of its result."""


@pytest.fixture
def _small_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tasks and passes."""
    monkeypatch.setattr(passes, "REGION_PIXELS", 128)


class TestDask(ExecutorContract):
    @pytest.fixture
    def executor(self, client: Any) -> Executor:
        return DaskExecutor(client=client)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_the_examples_are_the_same_as_on_threads(tmp_path: Path, workers: int) -> None:
    """With several levels of one asset, masks, mosaics, other grids, and TFRecord."""
    expected, found = tmp_path / "threads", tmp_path / "dask"
    before = children()
    one = apply([SPECS], store=expected, executor=ThreadExecutor(2))
    two = apply([SPECS], store=found, executor="dask://local", workers=workers)
    assert one.content_root == two.content_root == ROOT
    assert state(found) == state(expected)
    assert (two.tiles, two.rows) == (one.tiles, one.rows)
    assert two.bytes.written == one.bytes.written
    assert plan([SPECS], store=found).is_empty
    assert runs_of(found) == []
    until = time.monotonic() + 10
    while children() - before and time.monotonic() < until:
        time.sleep(0.1)
    left = [Path(f"/proc/{one}/cmdline").read_bytes() for one in children() - before]
    assert all(b"resource_tracker" in one for one in left), left


def test_what_verify_finds_is_the_same(tmp_path: Path, client: Any) -> None:
    """Nothing is put; tiles that differ come back to be compared."""
    spec, store = write_images(tmp_path / "in"), tmp_path / "store"
    apply([spec], store=store)
    names = state(store)
    request = VerifyRequest(store=StoreLocation.of(store), workers=2)
    runs = [replace(request, executor=one) for one in (None, client)]
    whole = [verify_request(one) for one in runs]
    assert [one.is_different for one in whole] == [False, False]
    assert whole[0].assets == whole[1].assets
    # The file says the same as before by its stat, and other pixels are in it.
    path = tmp_path / "in" / "large.tif"
    before = path.stat()
    with rasterio.open(path, "r+") as file:
        pixels = file.read(1)
        pixels[100:140, 100:300] += 1
        file.write(pixels, 1)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with closing(TileStore.open(store)) as opened:
        record = opened.record(opened.head().tree.entries[0])
    assert record.asset.id == "large"
    changed = [verify_request(replace(one, rehash=True)) for one in runs]
    assert changed[0].assets == changed[1].assets
    assert state(store) == names
    assert runs_of(store) == []


def test_a_rehearsal_is_the_same(tmp_path: Path, client: Any) -> None:
    spec = write_images(tmp_path / "in")
    found = []
    for name, executor in (("a", SerialExecutor()), ("b", client)):
        request = Request.of([spec], store=tmp_path / name, executor=executor)
        done = rehearse_specs(request, observer=Silent(), locate=lambda *_: None)
        assert done.rehearsal is not None
        found.append((done.rehearsal.content_root, done.rehearsal.tiles_put))
    assert found[0] == found[1]


def test_progress_and_the_summary_are_those_of_threads(tmp_path: Path, client: Any) -> None:
    spec = write_images(tmp_path / "in")
    summaries, events = [], []
    for name, executor in (("a", ThreadExecutor(2)), ("b", client)):
        listener = Counted()
        summaries.append(apply([spec], store=tmp_path / name, executor=executor, observer=listener))
        events.append((listener.tiles, listener.read, sorted(listener.finished)))
    one, two = summaries
    assert (one.tiles, one.bytes, one.rows) == (two.tiles, two.bytes, two.rows)
    assert events[0] == events[1]


class Counted(Silent):
    def __init__(self) -> None:
        self.tiles = self.read = 0
        self.finished: list[str] = []

    def tiles_done(self, asset_id: str, *, tiles: int, bytes_read: int) -> None:
        self.tiles += tiles
        self.read = max(self.read, bytes_read)

    def asset_finished(self, asset_id: str) -> None:
        self.finished.append(asset_id)


def test_tasks_are_small_and_few_are_in_flight(tmp_path: Path, client: Any) -> None:
    """With regions of the real size; the asset is sent once, apart from the tasks."""
    spy = Spy(client)
    names = ("elevation", "orthophoto", "optical")
    specs = [SPECS / f"{name}.yaml" for name in names]
    apply(specs, store=tmp_path / "store", executor=DaskExecutor(client=spy))
    for batch, sent in zip(spy.batches, spy.sent, strict=True):
        own = sum(map(len, batch.inputs.values()))
        assert sent - own <= MOST_SENT * len(batch.tasks)
        assert all(isinstance(one, RegionTask) and one.is_whole for one in batch.tasks) or not own
    tasks = sum(len(batch.tasks) for batch in spy.batches)
    assert sum(spy.returned) <= MOST_RETURNED * tasks
    assert max(spy.returned) <= MOST_RETURNED * max(len(one.tasks) for one in spy.batches)
    assert len(spy.inputs) == len(set(spy.inputs)), "each input is sent once"


@pytest.mark.usefixtures("_small_regions")
def test_few_batches_are_in_flight_and_equal_work_has_equal_keys(
    tmp_path: Path, client: Any
) -> None:
    """The same work for the same store has the same keys, so that Dask computes it once."""
    spec = write_images(tmp_path / "in", small=60)
    TileStore.create(tmp_path / "empty").close()
    spies = []
    for _ in range(2):
        shutil.rmtree(tmp_path / "store", ignore_errors=True)
        shutil.copytree(tmp_path / "empty", tmp_path / "store")
        spy = Spy(client)
        apply([spec], store=tmp_path / "store", executor=DaskExecutor(client=spy))
        spies.append(spy)
        assert len(spy.batches) < sum(len(batch.tasks) for batch in spy.batches), "no batches"
        assert spy.most_in_flight <= 2 * 2 + 2
        assert not spy.in_flight
    one, two = ({key for key, batch in zip(spy.keys, spy.batches, strict=True)
                 if len(batch.tasks) == 1} for spy in spies)  # fmt: skip
    assert len(one & two) > 0
    prefixes = {key[0] for spy in spies for key in spy.keys}
    assert {"large L0", "large L1", "small_images/* L0"} <= prefixes
    shutil.rmtree(tmp_path / "store")
    apply([spec], store=tmp_path / "store", executor=DaskExecutor(client=(other := Spy(client))))
    assert not set(other.keys) & (one | two), "another store has other keys"


@pytest.mark.usefixtures("_small_regions")
def test_two_runs_at_a_time_share_workers(tmp_path: Path, client: Any) -> None:
    """Also if one of them ends first, and what it sent was wanted by the other, too."""
    spec = write_images(tmp_path / "in")
    expected = apply([spec], store=tmp_path / "expected").content_root
    found: list[str] = []

    def run() -> None:
        with Client(client.scheduler.address, set_as_default=False) as own:
            found.append(apply([spec], store=tmp_path / "store", executor=own).content_root)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3
    assert runs_of(tmp_path / "store") == []
