"""What was moved to quarantine can be put back whole, whatever interrupts it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from geobatch.errors import FormatError
from geobatch.model.digest import digest_bytes
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.maintenance.quarantine import BATCHES, Quarantine
from geobatch.store.objects import Objects
from geobatch.testing.crash import CrashBackend, Fate, KilledError

DATA = [b"%d" % number * 100 for number in range(5)]
NAMES = [Objects.path(digest_bytes(data)) for data in DATA]


@pytest.fixture(params=["memory", "local"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made: Backend = LocalBackend(tmp_path) if request.param == "local" else MemoryBackend()
    yield filled(made)
    made.close()


def filled(backend: Backend) -> Backend:
    for name, data in zip(NAMES, DATA, strict=True):
        backend.put(name, data)
    backend.sync()
    return backend


def test_moved_names_are_gone_and_come_back(backend: Backend) -> None:
    quarantine = Quarantine(backend)
    batch = quarantine.move([*NAMES[:3], "objects/no/thing"], why="for\na test")
    assert list(backend.list("objects/")) == sorted(NAMES[3:])
    assert quarantine.ids() == [batch.id]
    assert list(quarantine.batches()) == [batch]
    assert batch.is_complete
    assert (batch.why, batch.names) == ("for a test", (*NAMES[:3], "objects/no/thing"))
    assert list(quarantine.held(batch.id)) == sorted(NAMES[:3])
    assert quarantine.find(NAMES[0]) == batch.id
    assert quarantine.find(NAMES[4]) is None
    assert quarantine.restore(batch.id, [NAMES[0], NAMES[4]]) == 1
    assert quarantine.restore(batch.id) == 2
    assert [backend.get(name) for name in NAMES] == DATA
    assert list(backend.list("quarantine/")) == []


def test_a_deleted_batch_leaves_no_trace(backend: Backend) -> None:
    quarantine = Quarantine(backend)
    batch = quarantine.move(NAMES[:2], why="")
    removed = quarantine.delete(batch.id)
    assert (removed.names, removed.freed) == (2, 200)
    assert list(backend.list("quarantine/")) == []
    assert quarantine.delete(batch.id).names == 0
    if backend.local is not None:
        assert [*backend.local.path("quarantine").iterdir()] == [backend.local.path(BATCHES[:-1])]


def test_linked_files_free_nothing(tmp_path: Path) -> None:
    backend = filled(LocalBackend(tmp_path))
    os.link(tmp_path / NAMES[0], tmp_path / "shown")
    quarantine = Quarantine(backend)
    assert quarantine.delete(quarantine.move(NAMES[:2], why="").id).freed == 100
    assert (tmp_path / "shown").read_bytes() == DATA[0]
    backend.close()


def test_whole_objects_are_not_replaced_by_damaged_ones(backend: Backend) -> None:
    quarantine = Quarantine(backend)
    backend.replace(NAMES[0], b"damaged")
    first = quarantine.move(NAMES[:1], why="")
    backend.put(NAMES[0], DATA[0])
    assert quarantine.restore(first.id) == 0
    assert backend.get(NAMES[0]) == DATA[0]
    assert list(quarantine.held(first.id)) == NAMES[:1]
    second = quarantine.move(NAMES[:1], why="")
    backend.replace(NAMES[0], b"torn")
    assert quarantine.restore(second.id) == 1
    assert backend.get(NAMES[0]) == DATA[0]


def test_ages_and_documents_that_are_damaged_or_newer(backend: Backend) -> None:
    quarantine = Quarantine(backend)
    old = quarantine.move([], why="", time=datetime(2020, 1, 1, tzinfo=UTC))
    future = quarantine.move([], why="", time=datetime(2120, 1, 1, tzinfo=UTC))
    state = backend.state(f"{BATCHES}{old.id}.json")
    assert state is not None
    assert old.time_ns == state.modified_ns
    assert future.time_ns == datetime(2120, 1, 1, tzinfo=UTC).timestamp() * 1e9
    assert quarantine.ids() == [old.id, future.id]
    backend.replace(f"{BATCHES}{old.id}.json", b"{")
    found = quarantine.get(old.id)
    assert found is not None
    assert (found.why, found.names) == ("", ())
    backend.replace(f"{BATCHES}{old.id}.json", b'{"format": 2}')
    with pytest.raises(FormatError, match="format 2"):
        quarantine.get(old.id)
    assert quarantine.get("20200101T000000Z-00000000") is None


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("is_done", [False, True])
def test_a_crash_at_any_operation_loses_nothing(is_done: bool, fate: Fate) -> None:
    def do(backend: Backend) -> None:
        quarantine = Quarantine(backend)
        batch = quarantine.move(NAMES[:3], why="")
        quarantine.restore(batch.id, NAMES[:1])
        quarantine.restore(batch.id)

    counting = CrashBackend(disk=_disk())
    do(counting)
    assert counting.operations > 15
    for crash_at in range(counting.operations):
        crashing = CrashBackend(disk=_disk(), crash_at=crash_at, is_done=is_done)
        with pytest.raises(KilledError):
            do(crashing)
        disk = crashing.reboot(lambda _: fate)
        quarantine = Quarantine(disk)
        for batch_id in quarantine.ids():
            quarantine.restore(batch_id)
        assert [disk.get(name) for name in NAMES] == DATA
        # Only copies that a loss of power has torn stay there.
        left = [name for name in disk.list("quarantine/") if not name.startswith(BATCHES)]
        assert {disk.get(name) for name in left} <= {b""}


def _disk() -> MemoryBackend:
    made = MemoryBackend()
    filled(made)
    return made
