"""`gc` removes exactly what nothing kept needs, in two steps, and stops where it cannot be sure."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from gc_workbench import (
    apply,
    files,
    fresh_objects,
    objects,
    options,
    put_asset,
    read,
    read_head,
)

from geobatch.errors import (
    CorruptObjectError,
    FormatError,
    GeobatchError,
    NoStoreError,
    NotFoundError,
    ProtectedError,
)
from geobatch.model.published import Head
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.commits.refs import Refs
from geobatch.store.maintenance.check import check
from geobatch.store.maintenance.gc import collect, plan_gc
from geobatch.store.maintenance.quarantine import Quarantine
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.crash import CrashBackend, Fate, KilledError

DAY = timedelta(days=1)


def later(days: float = 0) -> datetime:
    return datetime.now(UTC) + days * DAY


@pytest.fixture(params=["memory", "local"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made: Backend = MemoryBackend()
    if request.param == "local":
        made = LocalBackend(tmp_path)
    for version in (1, 2, 3):
        apply(made, version)
    end_run(made)
    yield made
    made.close()


def end_run(backend: Backend) -> None:
    if backend.local is not None:
        backend.local.leave()


def contents(backend: Backend) -> dict[str, bytes]:
    return {name: backend.get(name) for name in backend.list("")}


def test_a_dry_run_changes_nothing(backend: Backend) -> None:
    before = contents(backend)
    plan = plan_gc(backend, options(is_now=True))
    assert contents(backend) == before
    assert plan.dropped == (2, 1)
    assert plan.total.objects == len(before) - len(list(files(backend))) - 3 - len(
        fresh_objects(backend)
    )
    if backend.local is not None:
        assert list(backend.local.path("runs").iterdir()) == []


def test_everything_but_the_head_goes_and_the_head_stays(backend: Backend) -> None:
    plan = plan_gc(backend, options())
    result = collect(backend, options())
    assert result.moved == plan.total.objects
    assert (result.deleted, result.freed) == (0, 0)
    assert objects(backend) == fresh_objects(backend)
    assert read_head(backend) == {"a": "3", "b": "3"}
    end_run(backend)
    result = collect(backend, options())
    assert (result.moved, result.deleted) == (0, plan.total.objects)
    assert result.freed == plan.total.bytes == plan.total.freed
    assert plan_gc(backend, options()).is_empty
    names = {name.split("/")[0] for name in files(backend)}
    assert names == {"geobatch.json", ".gitignore", "gc"}


def test_by_default_nothing_of_today_goes(backend: Backend) -> None:
    plan = plan_gc(backend, options(keep_last=10, keep_within=90 * DAY, grace=14 * DAY))
    assert plan.is_empty
    assert [kept.number for kept in plan.kept] == [3, 2, 1]
    plan = plan_gc(backend, options(grace=14 * DAY))
    assert plan.dropped == (2, 1)
    assert plan.total.objects == 0
    assert plan.young > 0


def test_the_plan_says_what_goes_by_asset_and_commit(backend: Backend) -> None:
    store = TileStore(backend)
    backend.put(Objects.path("ab" * 32), b"of a run that failed")
    end_run(backend)
    plan = plan_gc(backend, options())
    sizes = {(row.asset, row.commit): (row.objects, row.bytes) for row in plan.garbage}
    # Version 1 and 2 of `a`: its document, three pages or so, and two tiles that no other has.
    pages = len(
        set(store.index.pages((65, 65), store.record(store.head().tree.entries[0]).arrays[0][1]))
    )
    for commit in (1, 2):
        for asset in ("a", "b"):
            count, _ = sizes[asset, commit]
            assert pages + 3 - 1 <= count <= pages + 3
        assert sizes["", commit][0] == 2
    assert sizes["", None] == (1, len(b"of a run that failed"))
    assert sum(row.objects for row in plan.garbage) == plan.total.objects
    assert plan.objects == len(objects(backend))
    assert plan.bytes == sum(backend.size(Objects.path(digest)) or 0 for digest in objects(backend))


def test_pins_keep_commits(backend: Backend) -> None:
    store = TileStore(backend)
    first = store.at("1")
    store.pin("v1", "1")
    result = collect(backend, options(is_now=True))
    assert result.plan.dropped == (2,)
    assert {kept.number: kept.why for kept in result.plan.kept} == {
        3: ("head", "last"),
        1: ("pin v1",),
    }
    assert read(store, first) == {"a": "1", "b": "1"}
    assert read_head(backend) == {"a": "3", "b": "3"}
    store.pins.delete("v1")
    end_run(backend)
    collect(backend, options(is_now=True))
    assert objects(backend) == fresh_objects(backend)


def test_commits_of_some_time_are_kept(backend: Backend) -> None:
    assert plan_gc(backend, options(keep_within=DAY)).dropped == ()
    assert plan_gc(backend, options(keep_within=DAY), now=later(2)).dropped == (2, 1)
    assert plan_gc(backend, options(keep_last=2)).dropped == (1,)


def test_objects_younger_than_the_grace_time_stay_and_then_go(backend: Backend) -> None:
    weeks = options(grace=14 * DAY)
    assert collect(backend, weeks, now=later(13.9)).moved == 0
    end_run(backend)
    moved = collect(backend, weeks, now=later(14.1)).moved
    assert moved > 0
    end_run(backend)
    assert collect(backend, weeks, now=later(28)).deleted == 0
    end_run(backend)
    assert collect(backend, weeks, now=later(28.2)).deleted == moved
    assert objects(backend) == fresh_objects(backend)


def test_dropped_commits_are_explained(backend: Backend) -> None:
    digest = TileStore(backend).at("1").digest or ""
    collect(backend, options())
    store = TileStore(backend)
    for ref in ("1", "2", "HEAD~1", digest, digest[:8]):
        with pytest.raises(NotFoundError, match="was dropped by `geobatch gc`"):
            store.at(ref)
    assert [head.number for head in store.log()] == [3]
    everything = dict(store.commits.all())
    assert list(everything) == [3, 2, 1]
    assert all(isinstance(head, Head) for head in everything.values())
    assert [head.is_dropped for head in everything.values() if isinstance(head, Head)] == [
        False,
        True,
        True,
    ]
    (newest,) = store.log()
    assert [commit.message for commit in newest.dropped_before] == ["version 2", "version 1"]
    with pytest.raises(NotFoundError, match="dropped"):
        store.pin("late", "1")


def test_what_is_in_quarantine_can_be_read_and_put_again(backend: Backend) -> None:
    old = TileStore(backend)
    first = old.at("1")
    collect(backend, options())
    record = old.record(first.tree.entries[0])  # a reader that began before
    assert record.asset.memo == "1"
    assert len(old.index.entries((65, 65), record.arrays[0][1])) == 3
    end_run(backend)
    head = apply(backend, 1)
    assert read(TileStore(backend), head) == {"a": "1", "b": "1"}
    end_run(backend)
    collect(backend, options(is_now=True))
    assert read_head(backend) == {"a": "1", "b": "1"}
    assert objects(backend) == fresh_objects(backend)


def test_any_file_may_be_in_quarantine(backend: Backend) -> None:
    """`fsck` moves foreign and damaged files there: `gc` deletes them when they are old."""
    quarantine = Quarantine(backend)
    names = ["objects/README", f"objects/zz/{'z' * 62}", "objects/ab/short", "zarr/a/c/0/0"]
    for name in names:
        backend.put(name, b"foreign")
    batch = quarantine.move(names, why="fsck: foreign")
    end_run(backend)
    assert collect(backend, options(grace=DAY, is_now=True)).deleted == 0
    assert list(quarantine.held(batch.id)) == sorted(names)
    end_run(backend)
    result = collect(backend, options(grace=DAY), now=later(1.01))
    assert result.deleted == len(names)
    assert quarantine.get(batch.id) is None


@pytest.mark.parametrize("who", ["gc", "apply"])
def test_what_the_head_needs_is_put_back_if_it_is_in_quarantine(backend: Backend, who: str) -> None:
    """Two processes that were killed at one instant, where there is no lock."""
    store = TileStore(backend)
    needed = fresh_objects(backend) - {store.head().digest, store.commits.refs.digest(1)}
    documents = {store.commits.refs.digest(number) for number in (1, 2, 3)}
    names = [Objects.path(digest) for digest in sorted(needed - documents)]
    Quarantine(backend).move(names, why="gc")
    if who == "gc":
        assert collect(backend, options(grace=DAY)).restored > 0
    else:
        writer = TileStore.create(backend)
        check(writer, writer.head())
    assert read_head(backend) == {"a": "3", "b": "3"}


def harm_ref(backend: Backend) -> None:
    backend.replace(Refs.path(2), b"x")


def harm_lost_ref(backend: Backend) -> None:
    backend.delete(Refs.path(2))


def harm_commit(backend: Backend) -> None:
    backend.replace(Objects.path(TileStore(backend).commits.refs.digest(1)), b"{}")


def harm_tree(backend: Backend) -> None:
    commit = TileStore(backend).head().commit
    assert commit is not None
    backend.delete(Objects.path(commit.tree))


def harm_document(backend: Backend) -> None:
    backend.replace(Objects.path(TileStore(backend).head().tree.entries[0].stored), b"{}")


def harm_page(backend: Backend) -> None:
    store = TileStore(backend)
    root = store.record(store.head().tree.entries[1]).arrays[0][1]
    assert root is not None
    backend.delete(Objects.path(root.stored))


def harm_pin(backend: Backend) -> None:
    backend.replace("pins/v.json", b'{"format": 1, "commit": "zz"}')


def harm_pin_elsewhere(backend: Backend) -> None:
    text = {"format": 1, "commit": "ab" * 32, "number": 1, "time": "2020-01-01T00:00:00Z"}
    backend.replace("pins/v.json", json.dumps(text).encode())


def harm_drops(backend: Backend) -> None:
    backend.replace("gc/x.json", b"[]")


def harm_last(backend: Backend) -> None:
    backend.replace("gc/x.json", b'{"format": 1, "time": "x", "dropped": []}')


HARMS: list[Callable[[Backend], None]] = [
    harm_ref, harm_lost_ref, harm_commit, harm_tree, harm_document, harm_page, harm_pin,
    harm_pin_elsewhere, harm_drops, harm_last,
]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_an_unreadable_root_stops_it(backend: Backend, harm: Callable[[Backend], None]) -> None:
    harm(backend)
    before = contents(backend)
    for run in (plan_gc, collect):
        with pytest.raises(CorruptObjectError):
            run(backend, options(is_now=True))
        assert contents(backend) == before


def newer_pin(backend: Backend) -> None:
    backend.replace("pins/v.json", b'{"format": 2}')


def newer_store(backend: Backend) -> None:
    backend.replace("geobatch.json", b'{"format":3,"id":"x","digest":"blake3-256"}')


def newer_drops(backend: Backend) -> None:
    backend.replace("gc/x.json", b'{"format": 2}')


def newer_batch(backend: Backend) -> None:
    batch = Quarantine(backend).move([], why="")
    backend.replace(f"quarantine/batches/{batch.id}.json", b'{"format": 2}')


@pytest.mark.parametrize("harm", [newer_pin, newer_store, newer_drops, newer_batch])
def test_a_newer_format_stops_it(backend: Backend, harm: Callable[[Backend], None]) -> None:
    harm(backend)
    before = contents(backend)
    for run in (plan_gc, collect):
        with pytest.raises(FormatError):
            run(backend, options(is_now=True))
        assert contents(backend) == before


@pytest.mark.parametrize("days", [-1, 400])
def test_a_clock_that_jumped_stops_it(backend: Backend, days: int) -> None:
    before = contents(backend)
    for run in (plan_gc, collect):
        with pytest.raises(ProtectedError, match="clock"):
            run(backend, options(is_now=True), now=later(days))
        assert contents(backend) == before
    if days > 0:
        trusting = options(trusts_clock=True)
        assert plan_gc(backend, trusting, now=later(days)).dropped == (2, 1)


def test_a_gc_from_the_future_stops_it(backend: Backend) -> None:
    collect(backend, options(), now=later(5))
    end_run(backend)
    before = contents(backend)
    with pytest.raises(ProtectedError, match=r"the last `geobatch gc` is from|quarantine is from"):
        collect(backend, options(is_now=True))
    assert contents(backend) == before


def test_an_object_from_the_future_stops_it(tmp_path: Path) -> None:
    apply(LocalBackend(tmp_path), 1)
    path = next((tmp_path / "objects").glob("*/*"))
    os.utime(path, (time.time() + 86_400,) * 2)
    with pytest.raises(ProtectedError, match=f"objects/{path.parent.name}/{path.name}"):
        collect(LocalBackend(tmp_path), options())


def test_a_damaged_tree_that_is_dropped_does_not_stop_it(backend: Backend) -> None:
    commit = TileStore(backend).at("1").commit
    assert commit is not None
    backend.delete(Objects.path(commit.tree))
    collect(backend, options(is_now=True))
    assert objects(backend) == fresh_objects(backend)


def test_there_must_be_a_store(tmp_path: Path) -> None:
    for run in (plan_gc, collect):
        with pytest.raises(NoStoreError):
            run(tmp_path / "none", options())
    assert not (tmp_path / "none").exists()
    TileStore.create(tmp_path / "empty").close()
    assert plan_gc(tmp_path / "empty", options()).is_empty
    assert collect(tmp_path / "empty", options()).moved == 0


def test_foreign_files_stay_and_caches_of_dropped_commits_go(backend: Backend) -> None:
    store = TileStore(backend)
    first = store.at("1").digest or ""
    backend.put("objects/README", b"not ours")
    backend.put("objects/ab/short", b"not ours")
    ValueCache(backend, "cache/checked/").put(first, b"1")
    ValueCache(backend).put("cd" * 32, b"region")
    backend.replace("cache/sources.sqlite", b"kept")
    end_run(backend)
    collect(backend, options(is_now=True), now=later(0.01))
    left = set(backend.list(""))
    assert {"objects/README", "objects/ab/short", "cache/sources.sqlite"} <= left
    assert not [name for name in left if name.startswith(("cache/checked/", "cache/regions/"))]


def test_linked_files_free_nothing(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    for version in (1, 2):
        apply(backend, version)
    end_run(backend)
    digest = next(iter(objects(backend) - fresh_objects(backend)))
    path = tmp_path / Objects.path(digest)
    os.link(path, tmp_path / "elsewhere")
    data = path.read_bytes()
    plan = plan_gc(backend, options())
    assert plan.total.bytes - plan.total.freed == len(data)
    assert collect(backend, options(is_now=True)).freed == plan.total.freed
    assert (tmp_path / "elsewhere").read_bytes() == data
    backend.close()


@pytest.mark.parametrize("is_now", [False, True])
@pytest.mark.parametrize("fate", Fate)
def test_a_crash_at_any_operation(fate: Fate, is_now: bool, is_long: bool) -> None:
    """Whatever a killed `gc` leaves, all kept is whole, and the next one ends what it began."""

    def disk() -> MemoryBackend:
        made = MemoryBackend()
        for version in (1, 2, 3):
            apply(made, version)
        TileStore(made).pin("v1", "1")
        return made

    counting = CrashBackend(disk=disk())
    collect(counting, options(is_now=is_now))
    assert counting.operations > 30
    for crash_at in range(0, counting.operations, 1 if is_long else 5):
        for is_done in (False, True):
            crashing = CrashBackend(disk=disk(), crash_at=crash_at, is_done=is_done)
            with pytest.raises(KilledError):
                collect(crashing, options(is_now=is_now))
            left = crashing.reboot(lambda _: fate)
            store = TileStore(left)
            assert read(store, store.at("1")) == {"a": "1", "b": "1"}
            assert read_head(left) == {"a": "3", "b": "3"}
            collect(left, options(is_now=True))
            assert read(store, store.at("1")) == {"a": "1", "b": "1"}
            store.pins.delete("v1")
            collect(left, options(is_now=True))
            assert objects(left) == fresh_objects(left)
            assert {name.split("/")[0] for name in files(left)} == {
                "geobatch.json", ".gitignore", "gc",
            }  # fmt: skip


def test_a_run_that_was_not_noted_publishes_nothing_that_is_missing(backend: Backend) -> None:
    """Whoever opens a store to publish, and does not begin, is checked in full."""
    store = TileStore(backend)
    entry = put_asset(store, "a", 1)
    end_run(backend)
    collect(backend, options(is_now=True))
    with pytest.raises(GeobatchError):
        store.publish(base=store.head(), changes={"a": entry}, message="", tools={})
    assert read_head(backend) == {"a": "3", "b": "3"}
