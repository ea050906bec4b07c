"""A crash after any single operation leaves the old head whole; the same run again converges."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.model.assets.asset import Image
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import TILE_ENTRY, ArrayKey, AssetRecord, Head, TreeEntry
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.backends.protocol import Backend
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.crash import CrashBackend, Fate, KilledError

SHAPE = (65, 65)
ARRAY = ArrayKey(band="b", level=0)


def put_asset(store: TileStore, asset_id: str, version: int) -> TreeEntry:
    """Do what an apply does: tiles, index pages, document."""
    entries = np.zeros(3, dtype=TILE_ENTRY)
    for at, (row, col) in enumerate([(0, 0), (0, 64), (64, 64)]):
        data = f"{asset_id} {version} {at}".encode()
        digest, _ = store.objects.put(data)
        name = list(bytes.fromhex(digest))
        entries[at] = (row, col, name, name, len(data))
    root = store.index.write(SHAPE, entries=entries)
    asset = Image(id=asset_id, grids=(), bands=(), tilesets=(), memo=str(version))
    return store.put_record(AssetRecord(asset=asset, arrays=((ARRAY, root),), fingerprints=()))


def apply(backend: Backend, version: int) -> Head:
    store = TileStore.create(backend)
    return store.publish(
        base=store.head(),
        changes={asset_id: put_asset(store, asset_id, version) for asset_id in ("a", "b")},
        message=f"version {version}",
        tools={},
        time=datetime(2026, 1, version, tzinfo=UTC),
    )


def read_all(backend: Backend) -> Iterator[tuple[int, Digest]]:
    """Read every byte that every commit reaches, verified; yield numbers and content roots."""
    if backend.size("geobatch.json") is None:
        return
    store = TileStore.open(backend)
    for head in store.log():
        assert head.commit is not None
        for found in head.tree.entries:
            root = store.record(found).root(ARRAY)
            entries = store.index.entries(SHAPE, root)
            assert len(entries) == 3
            for entry in entries:
                data = store.objects.get(entry["stored"].tobytes().hex())
                assert digest_bytes(data) == entry["content"].tobytes().hex()
        yield head.number, head.commit.content_root


def applied(versions: int) -> MemoryBackend:
    backend = CrashBackend()
    for version in range(1, versions + 1):
        apply(backend, version)
    return backend.reboot()


def operations(before: int) -> int:
    backend = CrashBackend(disk=applied(before))
    apply(backend, before + 1)
    return backend.operations


@pytest.mark.parametrize("fate", Fate)
@pytest.mark.parametrize("is_done", [False, True])
@pytest.mark.parametrize("before", [0, 1])
def test_a_crash_at_any_operation(before: int, is_done: bool, fate: Fate) -> None:
    old = list(read_all(applied(before)))
    new = list(read_all(applied(before + 1)))
    count = operations(before)
    assert count > 20
    for crash_at in range(count):
        crashing = CrashBackend(disk=applied(before), crash_at=crash_at, is_done=is_done)
        with pytest.raises(KilledError):
            apply(crashing, before + 1)
        disk = crashing.reboot(lambda _: fate)
        found = list(read_all(disk))
        assert found == (new if is_done and crash_at == count - 1 else old)
        apply(disk, before + 1)
        assert list(read_all(disk)) == new


@settings(max_examples=50)
@given(st.data())
def test_a_crash_with_any_fate_of_each_name(data: st.DataObject) -> None:
    crash_at = data.draw(st.integers(0, operations(1) - 1))
    crashing = CrashBackend(disk=applied(1), crash_at=crash_at, is_done=data.draw(st.booleans()))
    with pytest.raises(KilledError):
        apply(crashing, 2)
    disk = crashing.reboot(lambda _: data.draw(st.sampled_from(Fate)))
    heads = list(read_all(disk))
    assert heads in (list(read_all(applied(1))), list(read_all(applied(2))))
    apply(disk, 2)
    assert list(read_all(disk)) == list(read_all(applied(2)))


def test_a_crash_during_the_second_try() -> None:
    new = list(read_all(applied(2)))
    count = operations(1)
    for first, second in itertools.product(range(0, count, 3), repeat=2):
        disk = applied(1)
        for crash_at in (first, second):
            crashing = CrashBackend(disk=disk, crash_at=crash_at)
            with pytest.raises(KilledError):
                apply(crashing, 2)
            disk = crashing.reboot(lambda _: Fate.TORN)
        apply(disk, 2)
        assert list(read_all(disk)) == new


def test_objects_are_durable_before_a_commit_names_them() -> None:
    backend = CrashBackend()
    apply(backend, 1)
    disk = backend.reboot(lambda _: Fate.LOST)
    assert list(read_all(disk)) == list(read_all(applied(1)))
    assert {name.split("/")[0] for name in disk.list("")} == {
        ".gitignore",
        "geobatch.json",
        "objects",
        "refs",
    }
    assert all(disk.get(name) for name in disk.list(Objects.path("")[:8]))
