"""Every kind of source and of work on Dask: in other processes, in small tasks, bit for bit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from dask_cluster import SPECS, Silent, Spy, image, state, write_images
from rasterio import Affine
from whole_rasters import write_jp2, write_netcdf

from geobatch.errors import SourceError
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.tasks import runner
from geobatch.execute.tasks.task import CheckTask, RecodeTask, RegionTask, TableTask
from geobatch.store.location import StoreLocation
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.verify import VerifyRequest, verify_request
from geobatch.workflow.rehearsal.rehearse import rehearse_specs
from geobatch.workflow.request import Request

MOST_SENT, MOST_RETURNED = 1536, 8192
"""Bytes of a task, and of its result."""


@pytest.fixture
def spy(client: Any) -> Spy:
    return Spy(client)


def on_workers(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return an executor; a task that is run in this process fails."""

    def never(*_: Any) -> Any:
        raise AssertionError("a task ran in the coordinator")

    monkeypatch.setattr(runner, "begin_task", never)
    return DaskExecutor(client=spy)


def assert_small(spy: Spy, *kinds: type) -> None:
    """Tasks of these kinds were sent, and each is small, as is what came back."""
    tasks = [task for batch in spy.batches for task in batch.tasks]
    assert {type(task) for task in tasks} == set(kinds)
    for batch, sent in zip(spy.batches, spy.sent, strict=True):
        assert sent - sum(map(len, batch.inputs.values())) <= MOST_SENT * len(batch.tasks)
    assert sum(spy.returned) <= MOST_RETURNED * len(tasks)
    assert max(spy.returned) <= MOST_RETURNED * max(len(batch.tasks) for batch in spy.batches)


def compare(
    folder: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch, *kinds: type, again: Any = None
) -> None:
    """Apply a spec on threads and on the cluster, to new stores, and again after a change."""
    spec = folder / "spec.yaml"
    apply([spec], store=folder / "threads", executor=ThreadExecutor(2))
    if again is not None:
        apply([spec], store=folder / "dask", executor=ThreadExecutor(2))
        again()
        apply([spec], store=folder / "threads", executor=ThreadExecutor(2))
    with monkeypatch.context() as patch:
        apply([spec], store=folder / "dask", executor=on_workers(spy, patch))
    assert state(folder / "dask") == state(folder / "threads")
    if kinds:
        assert_small(spy, *kinds)


def test_netcdf(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 99, (300, 200)).astype(np.int16)
    write_netcdf(tmp_path / "a.nc", {"t2m": pixels})
    (tmp_path / "spec.yaml").write_text(
        "id: a\ntilesets: [{id: t, variable: t2m, crs: EPSG:4326, sources: [{uris: [a.nc]}]}]\n"
        "bands: [{id: b, tileset_id: t}]\ntiling: {tile: 64}\n"
    )
    compare(tmp_path, spy, monkeypatch, RegionTask)


def test_jpeg_2000(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 99, (1, 300, 200)).astype(np.uint16)
    write_jp2(tmp_path / "a.jp2", pixels)
    (tmp_path / "spec.yaml").write_text(image("a", "a.jp2"))
    compare(tmp_path, spy, monkeypatch, RegionTask)


def test_tables(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    """CSV and TFRecord, each as a task; also verified, and with a row that is no row."""
    lines = [f"{n},{n / 7},{50 + n / 100},plot {n}" for n in range(300)]
    (tmp_path / "rows.csv").write_text("\n".join(["n,longitude,latitude,name", *lines]))
    shutil.copy(SPECS / "data" / "plots.tfrecord", tmp_path)
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "kind: table\nid: rows\nsources: [{uris: [rows.csv], crs: EPSG:4326}]\n---\n"
        "kind: table\nid: plots\nsources:\n- {uris: [plots.tfrecord], crs: EPSG:32627,"
        " x_column: easting, y_column: northing}\n"
    )
    compare(tmp_path, spy, monkeypatch, TableTask)
    with monkeypatch.context() as patch:
        asked = VerifyRequest(
            store=StoreLocation.of(tmp_path / "dask"), executor=on_workers(spy, patch)
        )
        found = verify_request(asked)
    assert [one.regions_checked for one in found.assets] == [1, 1]
    assert not found.is_different
    with (tmp_path / "rows.csv").open("a") as file:
        file.write("\n300,7,50,x,one value too many")
    with monkeypatch.context() as patch, pytest.raises(SourceError, match=r"rows\.csv") as caught:
        apply([spec], store=tmp_path / "dask", executor=on_workers(spy, patch))
    assert "the worker `tcp://127.0.0.1:" in str(caught.value.hint)


def test_all_examples(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    """TIFFs, mosaics, masks, grids, TFRecord shards: all of it is small."""
    apply([SPECS], store=tmp_path / "threads", executor=ThreadExecutor(2))
    with monkeypatch.context() as patch:
        apply([SPECS], store=tmp_path / "dask", executor=on_workers(spy, patch))
    assert state(tmp_path / "dask") == state(tmp_path / "threads")
    names = {task.asset for batch in spy.batches for task in batch.tasks
             if isinstance(task, RegionTask)}  # fmt: skip
    assert len(names) >= 4


def test_partial_updates(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(1).integers(0, 9, (900, 700)).astype(np.uint8)
    write_tiles(tmp_path / "a.tif", pixels)
    (tmp_path / "spec.yaml").write_text(image("a", "a.tif"))

    def again() -> None:
        pixels[100:120, 200:230] += 1
        write_tiles(tmp_path / "a.tif", pixels)

    compare(tmp_path, spy, monkeypatch, RegionTask, again=again)
    computed = sum(
        band.dirty[0].count
        for batch in spy.batches
        for task in batch.tasks
        if isinstance(task, RegionTask)
        for band in task.bands
    )
    assert 0 < computed < 15 * 11, "the whole image was computed again"


def write_tiles(path: Path, pixels: Any) -> None:
    height, width = pixels.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8", tiled=True,
        blockxsize=64, blockysize=64, crs="EPSG:32632",
        transform=Affine(10, 0, 500000, 0, -10, 5200000),
    ) as file:  # fmt: skip
        file.write(pixels, 1)


def test_other_codecs(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    write_images(tmp_path, small=0)

    def again() -> None:
        spec = tmp_path / "spec.yaml"
        spec.write_text(spec.read_text() + "codec: {name: zstd, level: 3}\n")

    compare(tmp_path, spy, monkeypatch, RecodeTask, again=again)


def test_counts_for_checks(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that is new counts tiles that are stored."""
    write_images(tmp_path, small=0)

    def again() -> None:
        spec = tmp_path / "spec.yaml"
        spec.write_text(spec.read_text() + "checks: [{range: [0, 9]}]\n")

    compare(tmp_path, spy, monkeypatch, CheckTask, again=again)


def test_rehearsals_and_verify(tmp_path: Path, spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = write_images(tmp_path / "in", small=3)
    with monkeypatch.context() as patch:
        request = Request.of([spec], store=tmp_path / "a", executor=on_workers(spy, patch))
        done = rehearse_specs(request, observer=Silent(), locate=lambda *_: None)
    assert done.rehearsal is not None
    expected = apply([spec], store=tmp_path / "b", executor=ThreadExecutor(2))
    assert done.rehearsal.content_root == expected.content_root
    assert_small(spy, RegionTask)
    other = Spy(spy._client)
    with monkeypatch.context() as patch:
        asked = VerifyRequest(
            store=StoreLocation.of(tmp_path / "b"), executor=on_workers(other, patch)
        )
        found = verify_request(asked)
    assert not found.is_different
    assert found.regions_checked == found.regions > 3
    assert_small(other, RegionTask)
