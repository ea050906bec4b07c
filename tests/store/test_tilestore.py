"""Publishing is one step: races, conflicts, references, and stores that are none."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from geobatch.errors import (
    ConflictError,
    CorruptObjectError,
    FormatError,
    NoStoreError,
    NotFoundError,
    StoreError,
)
from geobatch.format.documents import content_root
from geobatch.model.assets.asset import Image
from geobatch.model.published import AssetRecord, Head, TreeEntry
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.tilestore import TileStore
from geobatch.testing.assets import records

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def entry(store: TileStore, asset_id: str, memo: str = "") -> TreeEntry:
    asset = Image(id=asset_id, grids=(), bands=(), tilesets=(), memo=memo)
    return store.put_record(AssetRecord(asset=asset, arrays=(), fingerprints=()))


def publish(store: TileStore, *ids: str, memo: str = "", base: Head | None = None) -> Head:
    return store.publish(
        base=base or store.head(),
        changes={asset_id: entry(store, asset_id, memo) for asset_id in ids},
        message=f"put {' '.join(ids)}",
        tools={"geobatch": "0"},
        time=NOON,
    )


@pytest.fixture
def store() -> TileStore:
    return TileStore.create(MemoryBackend())


def ids(head: Head) -> list[str]:
    return [entry.id for entry in head.tree.entries]


def test_a_store_begins_without_commits(store: TileStore) -> None:
    assert store.head() == Head(number=0, digest=None)
    assert list(store.log()) == []
    with pytest.raises(NotFoundError, match="`HEAD`"):
        store.at("HEAD")


@settings(max_examples=40)
@given(records())
def test_what_was_published_is_read_back(record: AssetRecord) -> None:
    store = TileStore.create(MemoryBackend())
    made = store.put_record(record)
    head = store.publish(
        base=store.head(), changes={made.id: made}, message="m", tools={}, time=NOON
    )
    assert head == TileStore.open(store.backend).head()
    again = store.record(head.tree.entries[0])
    assert store.put_record(again) == made == head.tree.entry(record.asset.id)
    assert head.commit is not None
    assert head.commit.content_root == content_root(head.tree)


def test_commits_are_numbered_and_chained(store: TileStore) -> None:
    first = publish(store, "b", "a")
    second = publish(store, "c")
    third = store.publish(base=second, changes={"a": None}, message=" x\ny ", tools={}, time=NOON)
    assert [ids(head) for head in (first, second, third)] == [
        ["a", "b"],
        ["a", "b", "c"],
        ["b", "c"],
    ]
    assert [head.number for head in (first, second, third)] == [1, 2, 3]
    assert list(store.log()) == [third, second, first]
    assert second.commit is not None
    assert third.commit is not None
    assert (second.commit.parent, third.commit.parent) == (first.digest, second.digest)
    assert third.commit.message == "x y"
    assert store.head() == third


def test_the_time_is_in_utc(store: TileStore) -> None:
    made = entry(store, "a")
    when = datetime(2026, 1, 1, 1, 2, 3, 999, tzinfo=timezone(timedelta(hours=2)))
    head = store.publish(base=store.head(), changes={"a": made}, message="", tools={}, time=when)
    assert head.commit is not None
    assert head.commit.time == "2025-12-31T23:02:03Z"


def test_a_commit_has_several_names(store: TileStore) -> None:
    heads = [publish(store, f"a{number}") for number in range(12)]
    for number, head in enumerate(heads, start=1):
        assert head.digest is not None
        names = [head.digest, head.digest[:12], str(number), f"HEAD~{12 - number}"]
        assert [store.at(name) for name in names] == [head] * 4
    assert store.at("HEAD") == heads[-1]
    for name in ("HEAD~12", "0", "13", "", "abc", "zzzz", "HEAD~", "HEAD~-1", "refs/main/1", "٣"):
        with pytest.raises(NotFoundError, match=f"`{name}`"):
            store.at(name)


def test_a_prefix_of_several_commits_is_refused(store: TileStore) -> None:
    for digest in ("abcd" + "0" * 60, "abcd" + "1" * 60):
        number = len(list(store.backend.list("refs/main/"))) + 1
        store.backend.create(f"refs/main/{number:016x}", f"{digest}\n".encode())
    with pytest.raises(NotFoundError, match="matches 2 commits"):
        store.at("abcd")


def test_changing_nothing_makes_no_commit(store: TileStore) -> None:
    head = publish(store, "a")
    assert publish(store, "a") == head
    assert store.publish(base=head, changes={"b": None}, message="", tools={}) == head
    assert store.head() == head


def test_a_lost_race_over_other_assets_is_made_good(store: TileStore) -> None:
    base = publish(store, "a", "b")
    publish(store, "a", memo="theirs", base=base)
    mine = publish(store, "b", "c", memo="mine", base=base)
    assert mine.number == 3
    assert mine.tree.entry("a") == entry(store, "a", "theirs")
    assert mine.tree.entry("b") == entry(store, "b", "mine")
    assert store.head() == mine


@pytest.mark.parametrize("theirs", ["changed", "deleted", "made"])
def test_a_lost_race_over_the_same_asset_is_a_conflict(store: TileStore, theirs: str) -> None:
    base = publish(store, "other") if theirs == "made" else publish(store, "other", "same")
    made = None if theirs == "deleted" else entry(store, "same", "theirs")
    published = store.publish(base=base, changes={"same": made}, message="", tools={})
    with pytest.raises(ConflictError, match="asset `same`"):
        publish(store, "other", "same", memo="mine", base=base)
    assert store.head() == published


def test_a_lost_race_to_the_same_change_is_no_conflict(store: TileStore) -> None:
    base = publish(store, "a")
    theirs = publish(store, "b", base=base)
    assert publish(store, "b", base=base) == theirs


def test_all_racing_publishers_of_different_assets_win(tmp_path: Path) -> None:
    TileStore.create(tmp_path).close()
    base = TileStore.open(tmp_path).head()

    def work(worker: int) -> None:
        store = TileStore.open(tmp_path)
        for turn in range(3):
            publish(store, f"asset-{worker}-{turn}", base=base)
        store.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    store = TileStore.open(tmp_path)
    assert ids(store.head()) == sorted(f"asset-{w}-{t}" for w in range(4) for t in range(3))
    assert [head.number for head in store.log()] == list(range(12, 0, -1))


def test_one_of_racing_publishers_of_an_asset_wins(tmp_path: Path) -> None:
    base = TileStore.create(tmp_path).head()

    def work(worker: int) -> Head | None:
        store = TileStore.open(tmp_path)
        try:
            return publish(store, "same", memo=str(worker), base=base)
        except ConflictError:
            return None

    with ThreadPoolExecutor(4) as pool:
        winners = [head for head in pool.map(work, range(4)) if head]
    assert winners == [TileStore.open(tmp_path).head()]


PUBLISH_FOR_EVER = """
import itertools, sys
from geobatch.model.assets.asset import Image
from geobatch.model.published import AssetRecord
from geobatch.store.tilestore import TileStore

store = TileStore.open(sys.argv[1])
for turn in itertools.count():
    asset = Image(id="a", grids=(), bands=(), tilesets=(), memo=str(turn))
    made = store.put_record(AssetRecord(asset=asset, arrays=(), fingerprints=()))
    store.publish(base=store.head(), changes={"a": made}, message="", tools={})
"""


def test_a_killed_publisher_leaves_a_whole_store(tmp_path: Path) -> None:
    TileStore.create(tmp_path).close()
    for delay in (0.0, 0.03, 0.1):
        before = TileStore.open(tmp_path).head().number
        process = subprocess.Popen([sys.executable, "-c", PUBLISH_FOR_EVER, str(tmp_path)])
        while TileStore.open(tmp_path).head().number == before:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(delay)
        process.kill()
        process.wait()
        store = TileStore.open(tmp_path)
        for head in store.log():
            assert [store.record(found).asset.id for found in head.tree.entries] == ["a"]
        head = publish(store, "a", memo=f"after {delay}")
        assert head.number == len(list(store.log()))
        store.close()
    assert list((tmp_path / "runs").iterdir()) == []


def test_creating_a_store_twice_keeps_it(tmp_path: Path) -> None:
    first = TileStore.create(tmp_path / "store")
    assert (
        TileStore.create(tmp_path / "store").id
        == first.id
        == TileStore.open(str(tmp_path / "store")).id
    )
    assert len({TileStore.create(MemoryBackend()).id for _ in range(3)}) == 3


def test_where_there_is_no_store(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NoStoreError, match=str(place)) as caught:
            TileStore.open(place)
        assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(StoreError, match=r"`thesis\.txt`"):
        TileStore.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "change", [{"format": 3}, {"format": "1"}, {"digest": "sha256"}, {"id": None, "format": None}]
)
def test_another_format_is_refused(store: TileStore, change: dict[str, object]) -> None:
    document = json.loads(store.backend.get("geobatch.json")) | change
    store.backend.replace("geobatch.json", json.dumps(document).encode())
    with pytest.raises(FormatError):
        TileStore.open(store.backend)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'"x"', b"\xff"])
def test_another_geobatch_json_is_refused(data: bytes) -> None:
    backend = MemoryBackend()
    backend.create("geobatch.json", data)
    with pytest.raises(CorruptObjectError):
        TileStore.open(backend)


def test_strange_names_among_the_refs_are_passed_over(store: TileStore) -> None:
    head = publish(store, "a")
    store.backend.put("refs/main/zz", b"x")
    store.backend.put("refs/main/0000000000000009.tmp", b"x")
    assert store.head() == head


@given(st.data())
def test_any_damage_on_the_way_is_found(data: st.DataObject) -> None:
    store = TileStore.create(MemoryBackend())
    head = publish(store, "a")
    passed = ("geobatch.json", ".gitignore")
    names = [name for name in store.backend.list("") if name not in passed]
    name = data.draw(st.sampled_from(names))
    whole = store.backend.get(name)
    bit = data.draw(st.integers(0, 8 * len(whole) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    store.backend.replace(name, damaged)
    with pytest.raises(CorruptObjectError):
        store.record(store.head().tree.entries[0])
    store.backend.replace(name, whole)
    assert store.record(store.head().tree.entries[0]) == store.record(head.tree.entries[0])


def test_an_entry_under_another_name_is_a_mistake(store: TileStore) -> None:
    with pytest.raises(ValueError, match="`a` is given for `b`"):
        store.publish(base=store.head(), changes={"b": entry(store, "a")}, message="", tools={})


def test_protection_is_recorded(store: TileStore) -> None:
    asset = Image(id="a", grids=(), bands=(), tilesets=(), is_protected=True)
    made = store.put_record(AssetRecord(asset=asset, arrays=(), fingerprints=()))
    assert made.is_protected
    open_asset = replace(asset, is_protected=False)
    other = store.put_record(AssetRecord(asset=open_asset, arrays=(), fingerprints=()))
    assert not other.is_protected
    assert other.content == made.content
    assert other.fingerprint != made.fingerprint
