"""One cluster for all that a command does, and results of tables that stay small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dask_cluster import Spy, cluster, runs_of, state, write_images
from shell import geobatch

from geobatch.errors import ExecutionError
from geobatch.execute.executors.dask import cluster as cluster_room
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.store.maintenance.fsck.contents import EVERYTHING
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.repair import repair

MOST_RETURNED = 8192
"""Bytes of the result of a task."""
TABLE = "---\nkind: table\nid: rows\nsources: [{uris: [rows.csv], crs: EPSG:4326}]\n"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The clusters of processes that are made meanwhile."""
    found: list[Any] = []
    room: Any = cluster_room
    make = room.LocalCluster

    def noted(**settings: Any) -> Any:
        found.append(make(**settings))
        return found[-1]

    monkeypatch.setattr(room, "LocalCluster", noted)
    return found


def write_all(folder: Path, *, columns: int = 3, name: str = "c{}") -> Path:
    """Write images, a table, and a spec of both."""
    spec = write_images(folder, small=3)
    names = [name.format(number) for number in range(columns)]
    rows = [",".join(str(row * number) for number in range(columns)) for row in range(1, 9)]
    (folder / "rows.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    spec.write_text(spec.read_text() + TABLE)
    return spec


def test_images_and_tables_share_a_cluster(tmp_path: Path, made: list[Any]) -> None:
    spec = write_all(tmp_path / "in")
    apply([spec], store=tmp_path / "a", executor=ThreadExecutor(2))
    apply([spec], store=tmp_path / "b", executor="dask://local", workers=2)
    assert len(made) == 1
    assert made[0].status.name == "closed"
    assert state(tmp_path / "a") == state(tmp_path / "b")
    assert runs_of(tmp_path / "b") == []
    apply([spec], store=tmp_path / "b", executor="dask://local")
    assert len(made) == 1, "nothing was to be computed"


def test_a_repair_reads_and_computes_on_one_cluster(tmp_path: Path, made: list[Any]) -> None:
    """It reads all objects, computes the tiles that are damaged, and reads all again."""
    spec, store = write_all(tmp_path / "in"), tmp_path / "store"
    apply([spec], store=store)
    tiles = sorted(store.glob("objects/*/*"), key=lambda path: path.stat().st_size)[-3:]
    for path in tiles:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = repair(store, [spec], subset=EVERYTHING, executor="dask://local", workers=2)
    assert len(made) == 1
    assert made[0].status.name == "closed"
    assert not done.before.is_whole
    assert done.after.is_whole, done.left
    assert fsck(store, subset=EVERYTHING).is_whole


@pytest.mark.parametrize(
    ("columns", "name"), [(1000, "column {}"), (81, "c{}"), (12, "é" * 900 + "{}")]
)
def test_a_table_of_many_columns_returns_little(
    tmp_path: Path, client: Any, columns: int, name: str
) -> None:
    """Also names are bounded; the store is the same, object by object."""
    spec = write_all(tmp_path / "in", columns=columns, name=name)
    spy = Spy(client)
    apply([spec], store=tmp_path / "a")
    apply([spec], store=tmp_path / "b", executor=SerialExecutor())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("geobatch.workflow.executors._is_client", lambda asked: asked is spy)
        done = apply([spec], store=tmp_path / "c", executor=spy)
    assert done.rows == 8
    assert state(tmp_path / "a") == state(tmp_path / "b") == state(tmp_path / "c")
    assert max(spy.returned) <= MOST_RETURNED * max(len(batch.tasks) for batch in spy.batches)
    assert sum(spy.returned) <= MOST_RETURNED * len(spy.batches)
    assert geobatch("--store", tmp_path / "c", "verify").code == 0


def test_a_closed_client_is_named(tmp_path: Path) -> None:
    spec = write_images(tmp_path / "in", small=1)
    with cluster(tmp_path / "dask", workers=1) as closed:
        pass
    with pytest.raises(ExecutionError, match="client of `executor` is closed") as caught:
        apply([spec], store=tmp_path / "store", executor=closed)
    assert "while the client is open" in str(caught.value.hint)
