"""`gc` against whoever publishes: no head ever lacks an object, at whatever instant both meet."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from gc_workbench import apply, files, fresh_objects, objects, options, read, read_head

from geobatch.errors import ConflictError, GeobatchError, LockedError
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.maintenance import guard
from geobatch.store.maintenance.gc import collect
from geobatch.store.maintenance.quarantine import Quarantine
from geobatch.store.tilestore import TileStore

OPERATIONS = ("get", "put", "create", "replace", "size", "state", "list", "delete", "sync")


class Interleaved:
    """A backend that lets somebody else run before its n-th operation."""

    def __init__(self, backend: Backend, *, at: int | None, other: Callable[[], object]) -> None:
        self._backend = backend
        self._at = at
        self._other = other
        self.count = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._backend, name)
        if name not in OPERATIONS:
            return found

        def operation(*arguments: Any, **more: Any) -> Any:
            self.count += 1
            if self.count - 1 == self._at:
                self._other()
            return found(*arguments, **more)

        return operation


def published(backend: Backend) -> Backend:
    """Return a store whose head is version 3; versions 1 and 2 are garbage to come."""
    for version in (1, 2, 3):
        apply(backend, version)
    return backend


def assert_whole(backend: Backend, expected: dict[str, str]) -> None:
    """Assert that the head is whole, and stays so when `gc` runs again and leaves nothing else."""
    assert read_head(backend) == expected
    collect(backend, options(is_now=True))
    assert read_head(backend) == expected
    assert objects(backend) == fresh_objects(backend)


@pytest.mark.parametrize("is_old_again", [True, False])
def test_an_apply_before_any_operation_of_gc(is_old_again: bool, is_long: bool) -> None:
    """Version 1 again: all its objects are there, unreferenced, and about to be moved."""
    version = 1 if is_old_again else 4
    at, step = 0, 1 if is_long else 7
    while True:
        backend = published(MemoryBackend())
        beside = Interleaved(backend, at=at, other=lambda b=backend: apply(b, version, ("a",)))  # type: ignore[misc]
        collect(beside, options())
        if beside.count <= at:
            break
        assert_whole(backend, {"a": str(version), "b": "3"})
        at += step
    assert at > 60


@pytest.mark.parametrize("is_old_again", [True, False])
def test_a_gc_before_any_operation_of_an_apply(is_old_again: bool) -> None:
    version = 1 if is_old_again else 4
    at = 0
    while True:
        backend = published(MemoryBackend())
        beside = Interleaved(backend, at=at, other=lambda b=backend: collect(b, options()))  # type: ignore[misc]
        apply(beside, version, ("a",))
        if beside.count <= at:
            break
        assert_whole(backend, {"a": str(version), "b": "3"})
        at += 1
    assert at > 15


def test_a_deleting_gc_before_any_operation_of_an_apply() -> None:
    """Without locks nobody knows of live runs: then the apply fails, or all is there."""
    at = 0
    while True:
        backend = published(MemoryBackend())
        beside = Interleaved(
            backend,
            at=at,
            other=lambda b=backend: collect(b, options(is_now=True)),  # type: ignore[misc]
        )
        try:
            apply(beside, 1, ("a",))
        except GeobatchError:
            apply(backend, 1, ("a",))
        if beside.count <= at:
            break
        at += 1
    assert at > 15


class Beside:
    """Somebody else on a local disk: who waits for a lock goes on when it is free."""

    def __init__(self, run: Callable[[], object]) -> None:
        self._run = run
        self._errors: list[BaseException] = []
        self._thread = threading.Thread(target=self._do)

    def _do(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001 - asserted below
            self._errors.append(error)

    def __call__(self) -> None:
        self._thread.start()
        self._thread.join(0.08)

    def end(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()
        assert not self._errors, self._errors


def local(root: Path, run: Callable[[Backend], object]) -> Callable[[], None]:
    """Return what runs on a backend of its own, as a process would."""

    def do() -> None:
        backend = LocalBackend(root)
        try:
            run(backend)
        finally:
            backend.close()

    return do


def age(root: Path) -> None:
    """Make all files an hour old: they are older than any run that is live."""
    for path in root.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(time.time_ns() - 3600 * 10**9,) * 2)


@pytest.mark.parametrize("is_now", [True, False])
@pytest.mark.parametrize("who", ["gc", "apply"])
def test_both_on_a_local_disk(tmp_path: Path, who: str, is_now: bool, is_long: bool) -> None:
    """The head is whole at the instant when the other has ended, too: the lock sees to that."""
    strict = options(is_now=is_now)

    def old_again(backend: Backend) -> None:
        apply(backend, 1, ("a",))

    def clean(backend: Backend) -> None:
        collect(backend, strict)

    at, step = 0, 1 if is_long else 41 if who == "gc" else 9
    while True:
        root = tmp_path / f"{at}"
        local(root, published)()
        age(root)
        first, second = (clean, old_again) if who == "gc" else (old_again, clean)
        other = Beside(local(root, second))
        backend = LocalBackend(root)
        beside = Interleaved(backend, at=at, other=other)
        first(beside)
        other.end()
        backend.close()
        if beside.count <= at:
            break
        local(root, lambda b: assert_whole(b, {"a": "1", "b": "3"}))()
        at += step
    assert at > 15


def test_gc_deletes_nothing_that_a_live_run_may_put_back(tmp_path: Path) -> None:
    local(tmp_path, published)()
    age(tmp_path)
    running = LocalBackend(tmp_path)
    store = TileStore.create(running)
    running.put("objects/aa/" + "b" * 62, b"of a run that lives")
    result = collect(LocalBackend(tmp_path), options(is_now=True))
    assert result.plan.live_runs == 1
    assert result.kept_batches == 1
    assert result.deleted == 0
    assert result.plan.young >= 1
    assert apply_in(store, 1) == {"a": "1", "b": "3"}
    running.close()
    again = collect(LocalBackend(tmp_path), options(is_now=True))
    assert again.plan.live_runs == 0
    assert_whole(LocalBackend(tmp_path), {"a": "1", "b": "3"})


def test_a_batch_of_a_killed_gc_is_kept_for_a_run_that_began_while_it_moved(
    tmp_path: Path,
) -> None:
    """The run saw objects that were moved after it began: the time of the batch is too early."""
    local(tmp_path, published)()
    age(tmp_path)
    killed = LocalBackend(tmp_path)
    made = datetime.now(UTC) - timedelta(hours=1)
    batch = Quarantine(killed).move([], why="gc", time=made)
    killed.close()
    document = tmp_path / f"quarantine/batches/{batch.id}.json"
    begun = document.read_bytes().replace(b'"complete":true,', b"")
    assert begun != document.read_bytes()
    document.chmod(0o644)
    document.write_bytes(begun)
    age(tmp_path)
    running = LocalBackend(tmp_path)
    running.scratch("begin")
    plan = collect(LocalBackend(tmp_path), options(is_now=True)).plan
    assert [one.is_due for one in plan.batches] == [False]
    running.close()
    plan = collect(LocalBackend(tmp_path), options(is_now=True)).plan
    assert [one.is_due for one in plan.batches if one.id == batch.id] == [True]


def apply_in(store: TileStore, version: int) -> dict[str, str]:
    from gc_workbench import put_asset  # noqa: PLC0415

    head = store.publish(
        base=store.head(), changes={"a": put_asset(store, "a", version)}, message="", tools={}
    )
    return read(store, head)


def test_the_commits_that_a_live_run_may_build_upon_are_kept(tmp_path: Path) -> None:
    local(tmp_path, published)()
    age(tmp_path)
    running = LocalBackend(tmp_path)
    running.scratch("begin")
    local(tmp_path, lambda backend: apply(backend, 4))()
    local(tmp_path, lambda backend: apply(backend, 5))()
    result = collect(LocalBackend(tmp_path), options())
    kept = {one.number: one.why for one in result.plan.kept}
    # The margin of a coarse clock may keep one more.
    assert {3, 4, 5} <= kept.keys()
    assert "live run" in kept[3]
    running.close()


def test_only_one_gc_runs(tmp_path: Path) -> None:
    local(tmp_path, published)()
    backend = LocalBackend(tmp_path)
    with guard.only_gc(backend), pytest.raises(LockedError, match="another `geobatch gc`"):
        collect(LocalBackend(tmp_path), options())
    backend.close()
    assert not (tmp_path / "runs/gc.lock").exists()


def test_nobody_waits_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local(tmp_path, published)()
    age(tmp_path)
    monkeypatch.setattr(guard, "WAIT_SECONDS", 0.1)
    with guard.moving(LocalBackend(tmp_path)), pytest.raises(LockedError, match="moving objects"):
        apply(LocalBackend(tmp_path), 4)
    with (
        guard.Guard(LocalBackend(tmp_path)).publishing(),
        pytest.raises(LockedError, match="publishing"),
    ):
        collect(LocalBackend(tmp_path), options())


def test_what_cannot_be_put_back_is_not_published() -> None:
    backend = published(MemoryBackend())
    store = TileStore.create(backend)
    from gc_workbench import put_asset  # noqa: PLC0415

    entry = put_asset(store, "a", 1)
    collect(backend, options())
    for name in list(backend.list("quarantine/")):
        if "/objects/" in name and backend.get(name) == b"a 1 2":
            backend.replace(name, b"damaged")
    with pytest.raises(ConflictError, match="nothing was published"):
        store.publish(base=store.head(), changes={"a": entry}, message="", tools={})
    assert read_head(backend) == {"a": "3", "b": "3"}


_WORKER = """
import random, sys, time
from datetime import timedelta
sys.path.insert(0, sys.argv[1])
from gc_workbench import apply, options, read_head
from geobatch.errors import ConflictError, LockedError
from geobatch.store.backends.local import LocalBackend
from geobatch.store.maintenance import gc_survey
from geobatch.store.maintenance.gc import collect
gc_survey._RUN_MARGIN = timedelta(0)  # so that runs of a few milliseconds meet
who, root, seconds, seed = sys.argv[2], sys.argv[3], float(sys.argv[4]), int(sys.argv[5])
chosen, until, count, moved = random.Random(seed), time.monotonic() + seconds, 0, 0
while time.monotonic() < until:
    backend = LocalBackend(root)
    try:
        if who == "gc":
            moved += collect(backend, options(is_now=chosen.random() < 0.5)).moved
        elif who == "read":
            read_head(backend)
        else:
            apply(backend, chosen.randrange(1, 6), (who,))
        count += 1
    except (ConflictError, LockedError):
        pass
    finally:
        backend.close()
print(moved if who == 'gc' else count)
"""


def start(root: Path, who: str, seconds: float, seed: int) -> subprocess.Popen[str]:
    oracle = str(Path(__file__).parents[2] / "oracle")
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, oracle, who, str(root), str(seconds), str(seed)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_real_processes(tmp_path: Path, is_long: bool) -> None:
    """Two writers go through five versions of their assets, while `gc` and a reader run."""
    local(tmp_path, published)()
    seconds = 60.0 if is_long else 1.5
    running = [start(tmp_path, who, seconds, at) for at, who in enumerate(("a", "b", "gc"))]
    counts = []
    for process in running:
        out, err = process.communicate(timeout=seconds + 60)
        assert process.returncode == 0, err
        counts.append(int(out))
    assert min(counts) > 0, counts
    versions = read_head(LocalBackend(tmp_path))
    local(tmp_path, lambda backend: assert_whole(backend, versions))()


def test_readers_of_the_head_never_fail(tmp_path: Path, is_long: bool) -> None:
    local(tmp_path, published)()
    seconds = 30.0 if is_long else 1.0
    running = [start(tmp_path, who, seconds, at) for at, who in enumerate(("read", "gc"))]
    for process in running:
        _, err = process.communicate(timeout=seconds + 60)
        assert process.returncode == 0, err


def test_gc_killed_and_stopped_at_any_time(tmp_path: Path, is_long: bool) -> None:
    local(tmp_path, published)()
    chosen = random.Random(4)
    for round_ in range(60 if is_long else 4):
        process = start(tmp_path, "gc", 30, round_)
        version = round_ % 5 + 1
        time.sleep(0.25 + chosen.random() * 0.15)
        if round_ % 2:
            os.kill(process.pid, signal.SIGSTOP)
            other = Beside(local(tmp_path, lambda b, v=version: apply(b, v)))  # type: ignore[misc]
            other()
            os.kill(process.pid, signal.SIGCONT)
            other.end()
            process.kill()
        else:
            process.kill()
        process.communicate(timeout=60)
        local(tmp_path, lambda b, v=version: apply(b, v))()  # type: ignore[misc]
        local(
            tmp_path,
            lambda b, v=version: assert_whole(b, {"a": str(v), "b": str(v)}),  # type: ignore[misc]
        )()
        left = {name.split("/")[0] for name in files(LocalBackend(tmp_path))}
        assert left <= {"gc", ".gitignore", "geobatch.json"}
        assert not [entry for entry in (tmp_path / "runs").iterdir() if entry.is_dir()]
