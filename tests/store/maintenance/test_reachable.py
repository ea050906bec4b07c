"""Everything that commits reach is found once, against the store's own readers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.errors import CorruptObjectError
from geobatch.model.assets.asset import Image
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import TILE_ENTRY, ArrayKey, AssetRecord, Head, PageRef
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.maintenance.reachable import (
    DigestSet,
    Reachable,
    digests_of,
    hex_of,
    reachable,
)
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.testing.assets import records

SHAPES = [(3, 3), (65, 65), (4097, 2)]


@given(st.lists(st.lists(st.integers(0, 300), max_size=60), max_size=12))
def test_a_set_of_digests_is_a_set(parts: list[list[int]]) -> None:
    def digest(number: int) -> Digest:  # some end with zeros, which NumPy would drop
        return digest_bytes(b"%d" % number)[:60] + f"{number % 3:04x}"[::-1]

    found, expected = DigestSet(), set[Digest]()
    for part in parts:
        digests = {digest(number) for number in part}
        new = list(hex_of(found.add(digests_of([digest(number) for number in part]))))
        assert new == sorted(digests - expected)
        expected |= digests
        assert len(found) == len(expected)
    everything = [digest(number) for number in range(301)]
    assert found.has(digests_of(everything)).tolist() == [one in expected for one in everything]


def publish(store: TileStore, version: int) -> Head:
    changes = {}
    for number, shape in enumerate(SHAPES):
        arrays: list[tuple[ArrayKey, PageRef | None]] = []
        for level in range(2):
            positions = sorted({(0, 0), (2, 1), (shape[0] - 1, shape[1] - 1)})
            entries = np.zeros(3, dtype=TILE_ENTRY)
            for at, (row, col) in enumerate(positions):
                data = b"%d %d %d" % (number if at else 0, level, at + version)
                name = list(bytes.fromhex(store.objects.put(data)[0]))
                entries[at] = (row, col, name, name, len(data))
            arrays.append(
                (ArrayKey(band="b", level=level), store.index.write(shape, entries=entries))
            )
        arrays.append((ArrayKey(band="b", level=2), None))
        asset = Image(id=f"a{number}", grids=(), bands=(), tilesets=(), memo=str(version))
        record = AssetRecord(asset=asset, arrays=tuple(arrays), fingerprints=())
        changes[asset.id] = store.put_record(record)
    return store.publish(
        base=store.head(),
        changes=changes,
        message=f"{version}",
        tools={},
        origins={"a0": "a.yaml"} if version else {},
    )


def expected_of(store: TileStore, head: Head) -> set[Digest]:
    """Return what a commit needs, by the readers of the store."""
    assert head.digest is not None
    assert head.commit is not None
    found = {head.digest, head.commit.tree}
    found |= {head.commit.origins} if head.commit.origins else set()
    for entry in head.tree.entries:
        found.add(entry.stored)
        shape = SHAPES[int(entry.id[1:])]
        for _, root in store.record(entry).arrays:
            found |= set(store.index.pages(shape, root))
            found |= {one["stored"].tobytes().hex() for one in store.index.entries(shape, root)}
    return found


def test_each_object_of_each_commit_is_found_once() -> None:
    store = TileStore.create(MemoryBackend())
    heads = [publish(store, version) for version in range(3)]
    sets = [expected_of(store, head) for head in heads]
    for head, expected in zip(heads, sets, strict=True):
        found = list(reachable(store.objects, [head.digest or ""]))
        assert len(found) == len(set(found))
        assert set(found) == set(map(Objects.path, expected))
    walk = Reachable(store.objects)
    so_far = set[Digest]()
    for head, expected in zip(heads, sets, strict=True):
        found = [one for part in walk.commits([head.digest or ""]) for one in hex_of(part)]
        assert len(found) == len(set(found))
        assert set(found) == expected - so_far
        so_far |= expected
        assert set(hex_of(np.concatenate(walk.digests._sorted))) == so_far
    assert len(walk.digests) == len(list(store.backend.list("objects/")))


def test_a_tile_with_the_bytes_of_a_page_hides_nothing() -> None:
    store = TileStore.create(MemoryBackend())
    tile, size = store.objects.put(b"tile")[0], 4
    entries = np.zeros(1, dtype=TILE_ENTRY)
    entries[0] = (0, 0, list(bytes.fromhex(tile)), list(bytes.fromhex(tile)), size)
    page = store.index.write((1, 1), entries=entries)
    assert page is not None
    entries[0] = (0, 0, list(bytes.fromhex(page.stored)), list(bytes.fromhex(page.stored)), size)
    above = store.index.write((1, 1), entries=entries)
    assert above is not None
    walk = Reachable(store.objects)
    found = [one for part in walk.pages([above.stored]) for one in hex_of(part)]
    assert set(found) == {above.stored, page.stored}
    found = [one for part in walk.pages([page.stored]) for one in hex_of(part)]
    assert found == [tile]


@pytest.mark.parametrize("kind", ["commit", "tree", "document", "page"])
@pytest.mark.parametrize("harm", ["missing", "damaged"])
def test_what_cannot_be_read_is_an_error_or_reported(kind: str, harm: str) -> None:
    store = TileStore.create(MemoryBackend())
    head = publish(store, 1)
    assert head.digest is not None
    assert head.commit is not None
    entry = head.tree.entries[1]
    _, root = store.record(entry).arrays[0]
    assert root is not None
    digest = {
        "commit": head.digest,
        "tree": head.commit.tree,
        "document": entry.stored,
        "page": root.stored,
    }[kind]
    if harm == "missing":
        store.backend.delete(Objects.path(digest))
    else:
        store.backend.replace(Objects.path(digest), b"{}")
    with pytest.raises(CorruptObjectError, match=Objects.path(digest)):
        list(reachable(store.objects, [head.digest]))
    damaged = []
    walk = Reachable(store.objects, on_damage=lambda *found: damaged.append(found))
    list(walk.commits([head.digest]))
    assert [one for one, _ in damaged] == [digest]
    assert digest in walk.digests


def test_the_rows_of_a_table_are_reached() -> None:
    objects = Objects(MemoryBackend())
    rows = objects.put(b"rows")[0]
    text = {"format": 1, "visible": {}, "recorded": {"rows": {"stored": rows, "size": 4}}}
    document = objects.put(json.dumps(text).encode())[0]
    found = [one for part in Reachable(objects).documents([document]) for one in hex_of(part)]
    assert found == [document, rows]


@given(records())
def test_all_that_any_document_names_is_reached(record: AssetRecord) -> None:
    store = TileStore.create(MemoryBackend())
    entry = store.put_record(record)
    named = {root.stored for _, root in record.arrays if root is not None}
    walk = Reachable(store.objects, on_damage=lambda *_: None)
    found = {one for part in walk.documents([entry.stored]) for one in hex_of(part)}
    assert found == {entry.stored} | named
