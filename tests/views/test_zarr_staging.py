"""Folders of new assets that are staged show what a sync would make, and are not relied on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zarr_workbench as bench
from zarr_workbench import sync

from geobatch.errors import CorruptObjectError
from geobatch.model.assets.asset import AnyImage
from geobatch.model.published import ArrayKey, AssetRecord, Head, TreeEntry
from geobatch.model.tile import StoredTile
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.tilestore import TileStore
from geobatch.views.files import Files
from geobatch.views.protocol import ViewChange
from geobatch.views.zarr.check import walk
from geobatch.views.zarr.staging import Staging


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TileStore]:
    made = TileStore.create(tmp_path / "store")
    yield made
    made.close()


def root_of(store: TileStore) -> Path:
    root: Path = store.backend.root  # type: ignore[attr-defined]
    return root


def rows_of(store: TileStore, record: AssetRecord) -> dict[ArrayKey, list[StoredTile]]:
    """Return the tiles of an asset as the regions that put them tell of them."""
    asset = record.image
    return {
        key: [
            StoredTile(
                int(e["row"]), int(e["col"]), e["content"].tobytes(), e["stored"].tobytes(), 0
            )
            for e in store.index.entries(_plane(asset, key), root)
        ]
        for key, root in record.arrays
    }


def _plane(asset: AnyImage, key: ArrayKey) -> tuple[int, int]:
    geobox = asset.grid(asset.band(key.band).grid).geobox
    return geobox.tile_shape(tile=asset.tile, level=key.level)


def place(
    store: TileStore, staging: Staging, *assets: AnyImage, times: int = 3
) -> list[AssetRecord]:
    """Put tiles of some assets, a few at a time and by turns."""
    records = [bench.write(store, asset, bench.pixels(asset)) for asset in assets]
    found = [rows_of(store, record) for record in records]
    for turn in range(times):
        for record, rows in zip(records, found, strict=True):
            staging.tiles_put(record.image, {key: some[turn::times] for key, some in rows.items()})
    return records


def publish(store: TileStore, staging: Staging | None, *records: AssetRecord) -> Head:
    changes: dict[str, TreeEntry | None] = {}
    for record in records:
        entry = store.put_record(record)
        changes[record.asset.id] = entry
        if staging is not None:
            staging.asset_finished(entry)
    return store.publish(base=store.head(), changes=changes, message="", tools={})


def files(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


def made_anew(store: TileStore) -> dict[str, tuple[int, bytes]]:
    """Return the tree as a sync makes it that finds none."""
    shutil.rmtree(root_of(store) / "zarr")
    sync(store)
    return files(root_of(store) / "zarr")


ASSETS = [
    bench.asset("a", bench.band(), bench.band("b2", dtype="float32", fill=float("nan"))),
    bench.asset("a/b/c"),
    bench.asset("d/e", shape=(1, 1)),
    bench.asset(
        "two",
        bench.band(grid="one"),
        bench.band("b2", grid="other"),
        grids={"one": bench.geobox((130, 70)), "other": bench.geobox((65, 35))},
    ),
]


@pytest.mark.parametrize("chosen", [ASSETS[:1], ASSETS[1:2], ASSETS[2:3], ASSETS[3:], ASSETS])
def test_the_tree_is_the_one_that_a_sync_makes(store: TileStore, chosen: list[AnyImage]) -> None:
    staging = Staging(store.backend.local)
    records = place(store, staging, *chosen)
    inodes = {path.stat().st_ino for path in root_of(store).glob("runs/*/ahead/*")}
    assert len(inodes) == len(chosen)
    assert not (root_of(store) / "zarr").exists()

    head = publish(store, staging, *records)
    change = sync(store, head=head, staging=staging)

    found = files(root_of(store) / "zarr")
    assert change.assets == tuple(sorted(asset.id for asset in chosen))
    assert change.linked == sum(
        len(rows) for record in records for rows in rows_of(store, record).values()
    )
    for asset in chosen:
        # Moved as it stood; but where assets lie within others, the folder is there already.
        if not asset.id.startswith("a") or len(chosen) == 1:
            assert (root_of(store) / "zarr" / asset.id).stat().st_ino in inodes
    assert sync(store) == ViewChange()
    assert made_anew(store) == found


def test_the_names_that_staging_knows_are_those_in_the_folder(store: TileStore) -> None:
    staging = Staging(store.backend.local)
    records = place(store, staging, *ASSETS[1:])
    for record in records:
        entry = store.put_record(record)
        staging.asset_finished(entry)
        _, names = staging.known_of(entry)
        other = Staging(store.backend.local)
        other.unpack(entry.id, staging.pack(entry.id))
        other.asset_finished(entry)
        assert other.known_of(entry) == (b"", names)
        tree = Files(sources=root_of(store), folder=root_of(store) / "zarr")
        assert other.move(entry, tree)
        found = walk(f"{root_of(store)}/zarr/{entry.id}/")
        assert names.split("\n") == sorted(name for name, _ in found)


def test_of_what_is_in_the_tree_nothing_is_staged(store: TileStore) -> None:
    asset = ASSETS[0]
    publish(store, None, bench.write(store, asset, bench.pixels(asset)))
    sync(store)

    staging = Staging(store.backend.local)
    record = bench.write(store, asset, bench.pixels(asset, seed=1))
    staging.tiles_put(asset, rows_of(store, record))
    assert not list(root_of(store).glob("runs/*/ahead/*"))
    sync(store, head=publish(store, staging, record), staging=staging)

    found = files(root_of(store) / "zarr")
    assert made_anew(store) == found


def test_what_took_the_place_meanwhile_goes(store: TileStore) -> None:
    staging = Staging(store.backend.local)
    records = place(store, staging, ASSETS[0])
    head = publish(store, staging, *records)
    strange = root_of(store) / "zarr/a/0/strange"
    strange.parent.mkdir(parents=True)
    strange.write_text("from elsewhere")

    sync(store, head=head, staging=staging)

    found = files(root_of(store) / "zarr")
    assert "a/0/strange" not in found
    assert made_anew(store) == found


def test_another_asset_than_the_one_that_was_placed_is_built(store: TileStore) -> None:
    """Tiles of one state stand ready, but another one is published."""
    asset, staging = ASSETS[0], Staging(store.backend.local)
    publish(store, staging, *place(store, staging, asset))
    other = bench.write(store, asset, bench.pixels(asset, seed=1))
    head = publish(store, None, other)

    sync(store, head=head, staging=staging)

    found = files(root_of(store) / "zarr")
    assert made_anew(store) == found


def test_an_asset_that_was_not_finished_is_built(store: TileStore) -> None:
    staging = Staging(store.backend.local)
    records = place(store, staging, ASSETS[0])
    sync(store, head=publish(store, None, *records), staging=staging)
    found = files(root_of(store) / "zarr")
    assert made_anew(store) == found


def test_a_folder_that_is_gone_is_built(store: TileStore) -> None:
    staging = Staging(store.backend.local)
    records = place(store, staging, ASSETS[0])
    head = publish(store, staging, *records)
    for folder in root_of(store).glob("runs/*/ahead"):
        shutil.rmtree(folder)
    sync(store, head=head, staging=staging)
    found = files(root_of(store) / "zarr")
    assert made_anew(store) == found


def test_a_disk_that_refuses_is_no_failure_until_the_sync(
    store: TileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    staging = Staging(store.backend.local)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", full)
        records = place(store, staging, ASSETS[0])
    sync(store, head=publish(store, staging, *records), staging=staging)
    found = files(root_of(store) / "zarr")
    assert made_anew(store) == found


def test_a_missing_object_is_said_by_the_sync(store: TileStore) -> None:
    staging = Staging(store.backend.local)
    record = bench.write(store, ASSETS[0], bench.pixels(ASSETS[0]))
    rows = rows_of(store, record)
    key = ArrayKey(band="b1", level=0)
    digest = rows[key][0].stored.hex()
    (root_of(store) / "objects" / digest[:2] / digest[2:]).unlink()
    staging.tiles_put(record.image, rows)
    with pytest.raises(CorruptObjectError, match=digest[2:]):
        sync(store, head=publish(store, staging, record), staging=staging)


@pytest.mark.parametrize("most", [0, 60, 100])
def test_no_more_files_are_staged_than_a_killed_run_may_leave(store: TileStore, most: int) -> None:
    staging = Staging(store.backend.local, room=most)
    records = place(store, staging, *ASSETS)
    made = [path for path in root_of(store).glob("runs/*/ahead/**/*") if path.is_file()]
    most_documents = 60
    assert bool(most) == bool(made)
    assert len(made) <= most + most_documents

    sync(store, head=publish(store, staging, *records), staging=staging)
    found = files(root_of(store) / "zarr")
    assert made_anew(store) == found


def test_a_run_that_ends_without_a_commit_leaves_nothing(store: TileStore) -> None:
    place(store, Staging(store.backend.local), *ASSETS)
    assert list(root_of(store).glob("runs/*/ahead/*"))
    store.close()
    assert not list(root_of(store).glob("runs/*/ahead"))
    assert not (root_of(store) / "zarr").exists()


def damage(folder: Path, harm: str) -> None:
    """Harm what a killed run has made of an asset."""
    document = folder / "0/b1/zarr.json"
    chunk = next(folder.glob("0/b1/c/*/*"))
    if harm == "document":
        document.write_bytes(document.read_bytes().replace(b"zarr_format", b"Zarr_format"))
    elif harm == "cut":  # as a power loss leaves what was not synced
        document.write_bytes(b"")
    elif harm == "missing":
        chunk.unlink()
    elif harm == "bytes":
        data = chunk.read_bytes()
        chunk.unlink()  # it is a link to the object
        chunk.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    elif harm == "more":
        chunk.with_name("0.aside").write_bytes(b"")
    elif harm == "folder":
        shutil.rmtree(folder)
        folder.write_bytes(b"")


@pytest.mark.parametrize("harm", ["", "document", "cut", "missing", "bytes", "more", "folder"])
def test_the_run_after_a_killed_one_takes_a_folder_that_is_whole(
    store: TileStore, harm: str
) -> None:
    asset = ASSETS[0]
    (record,) = place(store, Staging(store.backend.local), asset)
    (left,) = root_of(store).glob("runs/*/ahead/*")
    inode = left.stat().st_ino
    damage(left, harm)
    store.backend.leave()  # type: ignore[attr-defined]
    assert list(root_of(store).glob("runs/*/ahead/*"))

    with closing(TileStore.open(root_of(store))) as again:
        staging = Staging(again.backend.local)
        staging.asset_reused(record, again.index)
        change = sync(again, head=publish(again, staging, record), staging=staging)

        found = files(root_of(store) / "zarr")
        assert ((root_of(store) / "zarr/a").stat().st_ino == inode) == (not harm)
        assert change.linked == sum(map(len, rows_of(again, record).values()))
        assert made_anew(again) == found
    assert not list(root_of(store).glob("runs/*/ahead"))


@pytest.mark.parametrize("is_taken_over", [False, True])
def test_what_a_killed_run_made_of_another_state_is_not_shown(
    store: TileStore, is_taken_over: bool
) -> None:
    asset = ASSETS[0]
    place(store, Staging(store.backend.local), asset)
    store.backend.leave()  # type: ignore[attr-defined]
    with closing(TileStore.open(root_of(store))) as again:
        staging = Staging(again.backend.local)
        record = bench.write(again, asset, bench.pixels(asset, seed=1))
        if is_taken_over:
            staging.asset_reused(record, again.index)
        else:
            staging.tiles_put(asset, rows_of(again, record))
        sync(again, head=publish(again, staging, record), staging=staging)
        found = files(root_of(store) / "zarr")
        assert made_anew(again) == found


def test_without_a_disk_there_is_no_tree() -> None:
    store = TileStore.create(MemoryBackend())
    staging = Staging(store.backend.local)
    staging.tiles_put(ASSETS[0], {ArrayKey(band="b1", level=0): [StoredTile(0, 0, b"", b"", 0)]})
    assert sync(store, staging=staging) == ViewChange()
