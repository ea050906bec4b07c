"""`fsck` and `gc` by tasks: the same reports and stores, whoever reads, lists and deletes."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dask_cluster import Spy, cluster, runs_of, write_history
from distributed import Client
from hypothesis import given
from hypothesis import strategies as st
from shell import environment, geobatch

from geobatch.errors import ExecutionError, StoreError
from geobatch.execute import upkeep
from geobatch.execute.executors.dask.executor import DaskExecutor
from geobatch.execute.executors.processes import ProcessExecutor
from geobatch.execute.executors.serial import SerialExecutor
from geobatch.execute.executors.threads import ThreadExecutor
from geobatch.execute.upkeep import running
from geobatch.execute.upkeep.tasks import DeleteTask, ReadTask, SweepTask, UpkeepTask
from geobatch.model.digest import digest_bytes
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.maintenance.fsck.contents import EVERYTHING, Subset
from geobatch.store.maintenance.fsck.findings import Report
from geobatch.store.maintenance.gc_plan import GcOptions, plan_json
from geobatch.store.maintenance.reachable import DigestSet, digests_of, hex_of
from geobatch.store.maintenance.sweeping.sweep import joined, sweep
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.workflow.apply import apply
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.repair import repair
from geobatch.workflow.maintenance.upkeep import gc

MOST_SENT, MOST_RETURNED = 1536, 8192
"""Bytes of a task, and of its result."""
NOW = GcOptions(keep_last=1, keep_within=timedelta(0), grace=timedelta(0), is_now=True)
LATER = GcOptions(keep_last=1, keep_within=timedelta(0), grace=timedelta(0))


LONG = pytest.mark.attack


@pytest.fixture(
    params=[
        "threads",
        *(pytest.param(name, marks=LONG) for name in ("serial", "processes", "dask")),
    ]
)
def executor(request: pytest.FixtureRequest) -> Any:
    if request.param == "dask":
        return DaskExecutor(client=request.getfixturevalue("client"))
    return {
        "serial": SerialExecutor(),
        "threads": ThreadExecutor(2),
        "processes": ProcessExecutor(2),
    }[request.param]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_history(tmp_path_factory.mktemp("upkeep"))


@pytest.fixture
def store(built: Path, tmp_path: Path) -> Path:
    """A copy of it, with the times of its files: each `gc` starts from the same."""
    shutil.copytree(built, tmp_path / "store")
    return tmp_path / "store"


def damage(store: Path) -> list[Path]:
    """Flip a byte of some objects of every kind, and delete others."""
    objects = sorted(store.glob("objects/*/*"))
    for path in objects[::9]:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()  # a view has a hard link to it
        path.write_bytes(data)
    for path in objects[4::40]:
        path.unlink()
    (store / "objects" / "zz").write_bytes(b"foreign")
    return objects[::9]


def said(report: Report) -> Any:
    return report.findings, report.notes, report.totals


def names(store: Path) -> set[str]:
    return {path.relative_to(store).as_posix() for path in store.glob("objects/*/*")}


def test_fsck_finds_the_same_and_changes_nothing(store: Path, executor: Any) -> None:
    """Each byte of each object, or a part of them; progress reaches the total."""
    assert said(fsck(store, subset=EVERYTHING, executor=executor)) == said(
        fsck(store, subset=EVERYTHING)
    )
    damage(store)
    before = {path: path.stat() for path in store.rglob("*")}
    for subset in (EVERYTHING, Subset(2, 3)):
        told: list[tuple[int, int]] = []
        found = fsck(
            store,
            subset=subset,
            executor=executor,
            progress=lambda *one, told=told: told.append(one),
        )
        expected = fsck(store, subset=subset)
        assert said(found) == said(expected)
        assert not found.is_whole
        assert told[-1][1] == found.totals.objects
        assert [one for one, _ in told] == sorted(one for one, _ in told)
        assert subset is not EVERYTHING or told[-1][0] == told[-1][1]
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == {
        path: stat.st_mtime_ns for path, stat in before.items() if path.exists()
    }


@LONG
def test_a_repair_reads_and_computes_by_tasks(store: Path, built: Path, client: Any) -> None:
    """Of the newest commit; it is the store that threads repair.

    The newest commit and its tree stay whole: without them nothing can be computed. The names of
    commits go by the clock, so which of the others are damaged is another choice in each run.
    """
    spec = built.parent / "in" / "spec.yaml"
    apply([spec], store=store)
    gc(store, NOW, is_applied=True)
    with closing(TileStore.open(store)) as opened:
        head = opened.head()
    assert head.digest is not None
    assert head.commit is not None
    needed = {Objects.path(head.digest), Objects.path(head.commit.tree)}
    paths = [one for one in store.glob("objects/*/*") if str(one.relative_to(store)) not in needed]
    for path in sorted(paths)[::7]:
        path.unlink()
        path.write_bytes(b"rotten")
    shutil.copytree(store, store.parent / "other")
    spy = Spy(client)
    done = repair(store, [spec], subset=EVERYTHING, executor=DaskExecutor(client=spy))
    expected = repair(store.parent / "other", [spec], subset=EVERYTHING)
    assert done.after.is_whole == expected.after.is_whole
    assert said(done.before) == said(expected.before)
    assert said(done.after) == said(expected.after)
    kinds = {type(task).__name__ for batch in spy.batches for task in batch.tasks}
    assert {"ReadTask", "RegionTask"} <= kinds


def test_gc_plans_and_does_the_same(store: Path, executor: Any) -> None:
    expected, _ = gc(store, NOW, is_applied=False)
    assert expected.total.objects > 200
    before = {path for path in store.rglob("*") if path.is_file()}
    told: list[tuple[int, int]] = []
    plan, result = gc(
        store, NOW, is_applied=False, executor=executor, progress=lambda *one: told.append(one)
    )
    assert result is None
    assert without_time(plan_json(plan)) == without_time(plan_json(expected))
    assert told[-1] == (256, 256)
    assert {path for path in store.rglob("*") if path.is_file()} == before
    other = store.parent / "other"
    shutil.copytree(store, other)
    for options in (LATER, LATER):  # to quarantine, then away
        _, one = gc(store, options, is_applied=True, executor=executor)
        _, two = gc(other, options, is_applied=True)
        assert one is not None
        assert two is not None
        assert (one.moved, one.deleted, one.freed, one.restored, one.kept_batches) == (
            two.moved, two.deleted, two.freed, two.restored, two.kept_batches,
        )  # fmt: skip
        assert names(store) == names(other)
    assert not list(store.glob("quarantine/*/objects"))
    assert fsck(store, subset=EVERYTHING).is_whole
    assert runs_of(store) == []


def without_time(plan: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in plan.items() if key != "time"}


@LONG
def test_young_objects_stay_and_young_batches_too(store: Path, client: Any) -> None:
    """The grace time is the coordinator's: workers delete only what it names."""
    kept = names(store)
    week = GcOptions(keep_last=1, keep_within=timedelta(0), grace=timedelta(days=7))
    plan, result = gc(store, week, is_applied=True, executor=client)
    assert plan.young > 200
    assert result is not None
    assert (result.moved, result.deleted) == (0, 0)
    gc(store, LATER, is_applied=True, executor=client)
    held = len(list(store.glob("quarantine/*/objects/*/*")))
    assert len(names(store)) + held == len(kept)
    gc(store, week, is_applied=True, executor=client)
    assert len(list(store.glob("quarantine/*/objects/*/*"))) == held


@LONG
def test_the_work_is_done_by_the_workers(
    store: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In tasks that are small, as are their results: also if everything is damaged or garbage."""

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("it ran in the coordinator")

    monkeypatch.setattr(upkeep, "run_upkeep", never)
    for path in store.glob("objects/*/*"):
        path.unlink()
        path.write_bytes(b"x")
    spy = Spy(client)
    report = fsck(store, subset=EVERYTHING, executor=DaskExecutor(client=spy))
    assert len(report.findings) > 300
    assert kinds(spy) == {ReadTask}
    assert_small(spy)
    sizes = [len(task.digests) for batch in spy.batches for task in batch.tasks]  # type: ignore[union-attr]
    assert max(sizes) == 32 * 32


@LONG
def test_a_gc_is_done_by_the_workers(
    store: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "run_upkeep", None)
    one = store / "objects" / "ab"
    one.mkdir(exist_ok=True)
    for number in range(1000):  # more than one answer may name
        (one / digest_bytes(str(number).encode())[2:]).write_bytes(b"left by a killed run")
    spy = Spy(client)
    _, result = gc(store, NOW, is_applied=True, executor=DaskExecutor(client=spy))
    assert result is not None
    assert result.moved == result.deleted > 1200
    assert kinds(spy) == {SweepTask, DeleteTask}
    assert_small(spy)
    prefixes = [t.prefix for b in spy.batches for t in b.tasks if isinstance(t, SweepTask)]
    assert len(set(prefixes)) == 256
    assert prefixes.count("objects/ab/") >= 9


def kinds(spy: Spy) -> set[type]:
    return {type(task) for batch in spy.batches for task in batch.tasks}


def assert_small(spy: Spy) -> None:
    """Each task, and what comes back for it."""
    tasks = [task for batch in spy.batches for task in batch.tasks]
    assert all(isinstance(task, UpkeepTask) for task in tasks)
    assert max(len(pickle.dumps(task, protocol=5)) for task in tasks) <= MOST_SENT
    assert max(spy.returned) <= MOST_RETURNED * max(len(one.tasks) for one in spy.batches)
    alone = [len(one.tasks) == 1 for one in spy.batches]
    assert any(alone)
    assert min(spy.returned) <= MOST_RETURNED


@given(st.data())
def test_parts_of_a_list_are_the_whole(data: st.DataObject) -> None:
    """Cut anywhere: each object is counted once, and garbage is named in parts of any size."""
    backend = MemoryBackend()
    count = data.draw(st.integers(0, 40))
    digests = [f"{n % 3:02x}" + digest_bytes(bytes([n]))[2:] for n in range(count)]
    for number, digest in enumerate(digests):
        backend.put(Objects.path(digest), bytes(number))
    backend.put("objects/00/foreign", b"x")
    chosen = data.draw(st.sets(st.sampled_from(digests))) if digests else set()
    needed = DigestSet()
    needed.add(digests_of(chosen))
    until = data.draw(st.sampled_from([0, 1 << 62]))
    whole = sweep(backend, needed, until_ns=until)
    parts = []
    most = data.draw(st.integers(1, 9))
    for first in range(256):
        mine = DigestSet()
        mine.add(needed.beginning_with(bytes([first])))
        after = ""
        while True:
            part = sweep(
                backend, mine, until_ns=until, prefix=f"objects/{first:02x}/", after=after,
                most=most,
            )  # fmt: skip
            assert len(part.garbage.digests) <= most
            assert not part.rest or part.rest > after
            parts.append(part)
            if not part.rest:
                break
            after = part.rest
    found = joined(parts)
    assert (found.objects, found.bytes) == (whole.objects, whole.bytes) == (
        count, sum(range(count)),
    )  # fmt: skip
    assert (found.young, found.young_bytes) == (whole.young, whole.young_bytes)
    assert found.newest_ns == whole.newest_ns
    expected = sorted(set(digests) - chosen) if until else []
    assert list(hex_of(found.garbage.digests)) == list(hex_of(whole.garbage.digests)) == expected
    assert found.garbage.sizes.tolist() == whole.garbage.sizes.tolist()


def test_a_worker_with_bad_memory_makes_no_damage(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker cannot read, and the coordinator can, is whole: a note says so."""

    class Bad(Objects):
        def try_all(self, digests: Any) -> Iterator[Any]:
            for at, one in enumerate(super().try_all(digests)):
                yield StoreError("gone") if at % 2 else one

    monkeypatch.setattr(running, "Objects", Bad)
    report = fsck(store, subset=EVERYTHING, executor=ThreadExecutor(2))
    assert report.is_whole
    (note,) = [one for one in report.notes if "at fault" in one]
    assert "found" in note


@LONG
def test_workers_that_are_killed_do_not_matter(store: Path, tmp_path: Path) -> None:
    """Also while they delete: what was half deleted is deleted by the next."""
    shutil.copytree(store, tmp_path / "expected")
    gc(tmp_path / "expected", NOW, is_applied=True)
    with cluster(tmp_path / "dask") as client:
        done = threading.Event()

        def kill() -> None:
            with Client(client.scheduler.address, set_as_default=False) as own:
                for _ in range(4):
                    pids = sorted(own.run(os.getpid, on_error="ignore").values())
                    with suppress(ProcessLookupError, IndexError):
                        os.kill(pids[0], signal.SIGKILL)
                    if done.wait(0.7):
                        return

        thread = threading.Thread(target=kill)
        thread.start()
        try:
            while thread.is_alive():
                assert fsck(store, subset=EVERYTHING, executor=client).is_whole
                gc(store, NOW, is_applied=True, executor=client)
        finally:
            done.set()
            thread.join()
    assert names(store) == names(tmp_path / "expected")


@LONG
def test_a_cluster_that_is_lost_is_named(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that is kept is lost; the next `gc` does the rest."""
    monkeypatch.setattr("geobatch.execute.executors.dask.cluster.CONNECT_SECONDS", 0.5)
    before = names(store)
    with cluster(tmp_path / "dask", workers=1) as client:
        address = f"dask://{client.scheduler.address}"
    with pytest.raises(ExecutionError, match="no Dask scheduler answers"):
        fsck(store, subset=EVERYTHING, executor=address)
    with pytest.raises(ExecutionError, match="no Dask scheduler answers"):
        gc(store, NOW, is_applied=True, executor=address)
    assert names(store) == before
    assert runs_of(store) == []
    gc(store, NOW, is_applied=True)
    assert fsck(store, subset=EVERYTHING).is_whole


@LONG
@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.3, 2.0])
def test_a_killed_gc_harms_nothing(
    store: Path, tmp_path: Path, client: Any, seconds: float
) -> None:
    """Workers that still delete for it delete nothing that anybody needs."""
    shutil.copytree(store, tmp_path / "expected")
    gc(tmp_path / "expected", NOW, is_applied=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "geobatch", "--store", store, "gc", "--apply", "--keep-last", "1",
         "--keep-within", "0d", "--grace", "0d", "--now", "--executor",
         f"dask://{client.scheduler.address}"],
        env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert fsck(store, subset=EVERYTHING).is_whole
    gc(store, NOW, is_applied=True, executor=client)
    gc(store, NOW, is_applied=True, executor=client)
    assert names(store) == names(tmp_path / "expected")
    with closing(TileStore.open(store)) as opened:
        assert opened.head().number == 3


@LONG
def test_the_command_line(
    store: Path, tmp_path: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--executor`, and `executor:` of the project of the current folder."""
    address = f"dask://{client.scheduler.address}"
    assert geobatch("--store", store, "fsck", "--executor", address).code == 64
    plain = geobatch("--store", store, "--json", "gc", "--keep-last", "1", "--grace", "0d",
                     "--keep-within", "0d")  # fmt: skip
    found = geobatch("--store", store, "--json", "gc", "--keep-last", "1", "--grace", "0d",
                     "--keep-within", "0d", "--executor", address)  # fmt: skip
    assert [without_time(json.loads(one)) for one in found.out.splitlines()] == [
        without_time(json.loads(one)) for one in plain.out.splitlines()
    ]
    damage(store)
    done = geobatch("--store", store, "fsck", "--read-data", "--executor", address)
    assert done.code == 6
    monkeypatch.chdir(tmp_path)
    (tmp_path / "geobatch.yaml").write_text("executor: dask://tcp://127.0.0.1:9\n")
    refused = geobatch("--store", store, "gc", "--executor", "threads", "--keep-last", "1")
    assert refused.code in {0, 6}, refused.err
    monkeypatch.setattr("geobatch.execute.executors.dask.cluster.CONNECT_SECONDS", 0.5)
    for words in (["fsck", "--read-data"], ["gc"]):
        refused = geobatch("--store", store, *words)
        assert refused.code == 1, refused.err
        assert "no Dask scheduler answers at `tcp://127.0.0.1:9`" in refused.err
