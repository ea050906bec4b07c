"""Small stores for tests of `gc`: assets of three tiles, any number of versions, any backend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np

from geobatch.model.assets.asset import Image
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import TILE_ENTRY, ArrayKey, AssetRecord, Head, TreeEntry
from geobatch.store.backends.protocol import Backend
from geobatch.store.maintenance.gc_plan import GcOptions
from geobatch.store.tilestore import TileStore

SHAPE = (65, 65)
ARRAY = ArrayKey(band="b", level=0)
ASSETS = ("a", "b")
POSITIONS = ((0, 0), (0, 64), (64, 64))


def options(**changes: Any) -> GcOptions:
    """Return what keeps the head alone, however young the rest is."""
    strict: dict[str, Any] = {
        "keep_last": 1,
        "keep_within": timedelta(0),
        "grace": timedelta(0),
    }
    return GcOptions(**{**strict, **changes})


def tile(asset_id: str, version: int, at: int) -> bytes:
    """Return the bytes of a tile; the first is the same in all versions."""
    return f"{asset_id} {version if at else 0} {at}".encode()


def put_asset(store: TileStore, asset_id: str, version: int) -> TreeEntry:
    """Do what an apply does: tiles, index pages, document."""
    entries = np.zeros(len(POSITIONS), dtype=TILE_ENTRY)
    for at, (row, col) in enumerate(POSITIONS):
        data = tile(asset_id, version, at)
        digest, _ = store.objects.put(data)
        name = list(bytes.fromhex(digest))
        entries[at] = (row, col, name, name, len(data))
    root = store.index.write(SHAPE, entries=entries)
    asset = Image(id=asset_id, grids=(), bands=(), tilesets=(), memo=str(version))
    return store.put_record(AssetRecord(asset=asset, arrays=((ARRAY, root),), fingerprints=()))


def apply(backend: Backend, version: int, ids: tuple[str, ...] = ASSETS) -> Head:
    """Publish a version of assets, as a run of its own."""
    store = TileStore.create(backend)
    return store.publish(
        base=store.head(),
        changes={asset_id: put_asset(store, asset_id, version) for asset_id in ids},
        message=f"version {version}",
        tools={},
        origins={asset_id: f"{asset_id}{version}.yaml" for asset_id in ids},
    )


def read(store: TileStore, head: Head) -> dict[str, str]:
    """Read every byte that a commit reaches, verified; return the version of each asset."""
    found = {}
    for entry in head.tree.entries:
        record = store.record(entry)
        rows = store.index.entries(SHAPE, record.root(ARRAY))
        assert len(rows) == len(POSITIONS)
        for at, row in enumerate(rows):
            digest = row["stored"].tobytes().hex()
            data = store.backend.get(store.objects.path(digest))
            assert data == tile(entry.id, int(record.asset.memo), at)
            assert digest_bytes(data) == digest
        for digest in store.index.pages(SHAPE, record.root(ARRAY)):
            assert store.objects.has(digest)
        assert store.objects.has(entry.stored)
        found[entry.id] = record.asset.memo
    if head.commit is not None:
        assert store.objects.has(head.commit.tree)
        store.origins(head)
    return found


def read_head(backend: Backend) -> dict[str, str]:
    """Read all that the head reaches; nothing of it may be in quarantine."""
    store = TileStore(backend)
    return read(store, store.head())


def objects(backend: Backend) -> set[Digest]:
    """Return the digests of all objects."""
    return {name[8:10] + name[11:] for name in backend.list("objects/")}


def fresh_objects(backend: Backend) -> set[Digest]:
    """Return what the head needs, and the documents of all commits, by the store's readers."""
    store = TileStore(backend)
    head = store.head()
    found = {store.commits.refs.digest(number) for number in store.commits.refs.numbers()}
    assert head.commit is not None
    found |= {head.commit.tree, *([head.commit.origins] if head.commit.origins else [])}
    for entry in head.tree.entries:
        root = store.record(entry).root(ARRAY)
        found |= {entry.stored, *store.index.pages(SHAPE, root)}
        found |= {row["stored"].tobytes().hex() for row in store.index.entries(SHAPE, root)}
    return found


def files(backend: Backend) -> Iterator[str]:
    """Yield all names but objects and refs: what may be litter."""
    for name in backend.list(""):
        if not name.startswith(("objects/", "refs/")):
            yield name
