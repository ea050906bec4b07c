"""A rollback and a checkout that are killed at any operation leave a whole state behind them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import zarr
from mortal import KILLED, Mortal
from workbench import Workbench, image, write_tiff

from geobatch.model.assets.asset import Image
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import AssetRecord, Head
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.maintenance.rollback import plan_rollback, publish_rollback
from geobatch.store.tilestore import TileStore
from geobatch.testing.crash import CrashBackend, Fate, KilledError
from geobatch.views.checkout import check_out
from geobatch.workflow.maintenance.rollback import rollback


def publish(backend: Backend, version: int) -> None:
    store = TileStore.create(backend)
    names = {"a", "b", *(["c"] if version == 2 else [])}
    changes = {
        name: store.put_record(
            AssetRecord(
                asset=Image(id=name, grids=(), bands=(), tilesets=(), memo=str(version)),
                arrays=(),
                fingerprints=(),
            )
        )
        for name in names
    }
    store.publish(
        base=store.head(), changes=changes, message="", tools={}, origins={"a": "a.yaml"},
        time=datetime(2026, 1, version, tzinfo=UTC),
    )  # fmt: skip


def published() -> MemoryBackend:
    backend = CrashBackend()
    publish(backend, 1)
    publish(backend, 2)
    return backend.reboot()


def roll_back(backend: Backend) -> Head:
    store = TileStore.open(backend)
    return publish_rollback(store, plan_rollback(store, "1"), tools={})


def roots(backend: Backend) -> list[Digest]:
    """Return the content roots of all commits, every document read and verified."""
    store = TileStore.open(backend)
    found = []
    for head in store.log():
        assert head.commit is not None
        for entry in head.tree.entries:
            store.record(entry)
        store.origins(head)
        found.append(head.commit.content_root)
    return found[::-1]


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("is_done", [False, True])
def test_a_crash_at_any_operation_of_the_backend(is_done: bool, fate: Fate) -> None:
    old = roots(published())
    whole = CrashBackend(disk=published())
    roll_back(whole)
    assert roots(whole) == [*old, old[0]]
    assert whole.operations >= 4
    for crash_at in range(whole.operations):
        crashing = CrashBackend(disk=published(), crash_at=crash_at, is_done=is_done)
        with pytest.raises(KilledError):
            roll_back(crashing)
        disk = crashing.reboot(lambda _: fate)
        is_published = is_done and crash_at == whole.operations - 1
        assert roots(disk) == ([*old, old[0]] if is_published else old)
        roll_back(disk)
        assert roots(disk) == [*old, old[0]]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(folder=tmp_path_factory.mktemp("killed"))
    rng = np.random.default_rng(1)
    for number in range(2):
        write_tiff(bench.folder / "a.tif", [rng.integers(1, 9, (40, 70)).astype(np.uint8)])
        bench.apply(
            image("x/a", "a.tif", tile=32), *([image("b", "a.tif", tile=64)] if number else [])
        )
    return bench


def files(folder: Path) -> dict[str, Digest]:
    return {
        str(path.relative_to(folder)): digest_bytes(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / "zarr.json"
    }


def endings(mortal: Mortal, job: Mapping[str, object], step: int) -> Iterator[int]:
    """Yield how a job ended that is killed at its n-th operation, for ever higher n."""
    for die_at in range(0, 1_000, step):
        ending = mortal.run({**job, "die_at": die_at})
        assert ending.status in {0, KILLED}, ending.said
        yield ending.status
        if ending.status == 0:
            assert die_at > 10
            return
    pytest.fail("it never ended")


def test_a_rollback_that_is_killed_at_any_operation_on_a_file(
    bench: Workbench, tmp_path: Path, is_long: bool
) -> None:
    store = tmp_path / "store"
    shutil.copytree(bench.store, store, symlinks=True)
    with closing(TileStore.open(store)) as opened:
        second, first = opened.log()
    done = rollback(store, "1")
    assert done.head.tree == first.tree
    wanted = files(store / "zarr")
    with Mortal() as mortal:
        job = {"do": "rollback", "store": str(store)}
        shutil.rmtree(store)
        shutil.copytree(bench.store, store)
        for _ in endings(mortal, job, 1 if is_long else 7):
            with closing(TileStore.open(store)) as opened:
                head = opened.head()
                assert head.tree in (first.tree, second.tree)
                for entry in head.tree.entries:
                    opened.record(entry)
            rollback(store, "1")
            with closing(TileStore.open(store)) as opened:
                assert opened.head().tree == first.tree
                assert opened.head().number == 3
            assert files(store / "zarr") == wanted
            assert [path for path in (store / "runs").iterdir() if path.is_dir()] == []
            shutil.rmtree(store)
            shutil.copytree(bench.store, store)


def test_a_checkout_that_is_killed_at_any_operation_on_a_file(
    bench: Workbench, tmp_path: Path, is_long: bool
) -> None:
    with closing(TileStore.open(bench.store)) as store:
        check_out(store, store.at("1"), "x/a", tmp_path / "whole")
    wanted = files(tmp_path / "whole")
    target = tmp_path / "out"
    with Mortal() as mortal:
        job = {"do": "checkout", "store": str(bench.store), "target": str(target)}
        for _ in endings(mortal, job, 1 if is_long else 5):
            if target.exists():
                assert files(target) == wanted
            with closing(TileStore.open(bench.store)) as store:
                check_out(store, store.at("1"), "x/a", target)
            assert files(target) == wanted
            assert zarr.open_group(target, mode="r")["0/b1"].shape == (40, 70)  # type: ignore[union-attr]
            assert {path.name for path in tmp_path.iterdir()} == {"whole", "out"}
            shutil.rmtree(target)
