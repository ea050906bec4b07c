"""What fsck says of a store is exact, and what a repair does is all that it said."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import NEWEST, unpack_current
from shell import geobatch
from test_rot import copy, read
from workbench import Workbench, image, write_tiff

from geobatch.errors import CorruptObjectError, GeobatchError
from geobatch.model.published import TILE_ENTRY
from geobatch.store.backends.local import LocalBackend
from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.commits.refs import Refs
from geobatch.store.identity import read_identity
from geobatch.store.index import Index
from geobatch.store.maintenance.check import Checker, StateLeaves
from geobatch.store.maintenance.fsck.contents import EVERYTHING, NOTHING, Subset
from geobatch.store.maintenance.fsck.findings import Kind, Report
from geobatch.store.maintenance.quarantine import Quarantine
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.repair import RepairPlan, repair


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_current(NEWEST, tmp_path_factory.mktemp("golden"))


@pytest.fixture
def folder(golden: Path, tmp_path: Path) -> Path:
    return copy(golden, tmp_path / "golden")


def objects(store: Path) -> list[Path]:
    return sorted(path for path in (store / "objects").rglob("*") if path.is_file())


def flip(path: Path, at: int = 9, bit: int = 4) -> bytes:
    """Flip a bit in place, so that hard links are flipped, too; return the damaged bytes."""
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= bit
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(data)
    return bytes(data)


def snapshot(store: Path) -> dict[str, bytes]:
    return {
        path.relative_to(store).as_posix(): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != "sources.sqlite"
    }


def in_memory(store: Path) -> MemoryBackend:
    backend = MemoryBackend()
    for folder in ("objects/", "refs/", "geobatch.json", ".gitignore"):
        for name in LocalBackend(store).list(folder if folder.endswith("/") else ""):
            if name.startswith(folder):
                backend.put(name, (store / name).read_bytes())
    return backend


def test_hurts_are_what_readers_cannot_read(golden: Path, folder: Path) -> None:
    """The oracle: every array of every commit is read; those that fail are named, and no others."""
    store, rng = folder / "store", random.Random(3)
    tiles = [path for path in objects(store) if path.read_bytes()[:1] not in {b"{", b"P"}]
    at = {"1": 1, "2": 2, "HEAD": 3}
    for path in rng.sample(tiles, 4):
        flip(path)
        (finding,) = [
            one
            for one in fsck(store, subset=EVERYTHING).findings
            if one.name.startswith("objects/")
        ]
        said = {
            (number, hurt.asset, hurt.array.level, hurt.array.band, hurt.array.is_mask)
            for hurt in finding.hurts
            if hurt.array is not None
            for number in hurt.commits
        }
        failed = set()
        for (commit, asset_id, name), value in read(store):
            if isinstance(value, GeobatchError):
                assert name, (finding, commit, asset_id)
                level, band = name.split("/")[-2:]
                is_mask = "masks" in name.split("/")
                key = (at[commit], asset_id, int(level), band, is_mask)
                failed.add(key)
        assert said == failed
        flip(path)


def test_parts_of_the_bytes_cover_them_once(folder: Path) -> None:
    store = folder / "store"
    path = next(path for path in objects(store) if path.read_bytes()[:1] not in {b"{", b"G"})
    flip(path)
    assert fsck(store, subset=NOTHING).is_whole
    for count in (1, 3, 8):
        reports = [fsck(store, subset=Subset(n, count)) for n in range(1, count + 1)]
        assert sum(one.totals.read for one in reports) == reports[0].totals.objects
        assert sum(one.totals.read_bytes for one in reports) == reports[0].totals.bytes
        assert sum(not one.is_whole for one in reports) == 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1", "a/b", "1/3/3", "-1/3", "", "1/٣"])
def test_a_part_that_is_none_is_a_usage_error(folder: Path, text: str) -> None:
    done = geobatch("--store", folder / "store", "fsck", f"--read-data-subset={text}")
    assert (done.code, "2/7" in done.err) == (64, True)


def test_a_damaged_page_hurts_the_square_below_it() -> None:
    """A plane of two levels of pages: positions are those of the whole plane."""
    backend = MemoryBackend()
    index, shape = Index(Objects(backend)), (70, 200)
    entries = np.zeros(shape[0] * shape[1], dtype=TILE_ENTRY)
    entries["row"], entries["col"] = np.indices(shape).reshape(2, -1)
    stored, _ = Objects(backend).put(b"a tile")
    entries["stored"] = np.frombuffer(bytes.fromhex(stored), np.uint8)
    entries["content"][:, 0], entries["content"][:, 1] = entries["row"], entries["col"]
    entries["size"] = 6
    other, _ = Objects(backend).put(b"another tile")
    lost = (entries["row"] == 66) & (entries["col"] == 131)
    entries["stored"][lost] = np.frombuffer(bytes.fromhex(other), np.uint8)
    entries["size"][lost] = 12
    root = index.write(shape, entries=entries)
    assert root is not None
    pages = list(index.pages(shape, root))
    assert len(pages) == 1 + 2 * 4

    def wrong() -> list[tuple[Any, Any]]:
        found = Checker(Objects(backend), StateLeaves(Objects(backend), read_from=1 << 63))
        return [(one.tile, one.below) for one in found.array(root.stored)]

    assert wrong() == []
    backend.delete(Objects.path(other))
    assert wrong() == [((66, 131), None)]
    squares = []
    for page in pages[1:]:
        data = backend.get(Objects.path(page))
        backend.delete(Objects.path(page))
        squares += [below for _, below in wrong() if below is not None]
        backend.put(Objects.path(page), data)
    assert sorted(squares) == [(row, col, 64) for row in (0, 64) for col in (0, 64, 128, 192)]
    backend.delete(Objects.path(root.stored))
    assert wrong() == [(None, None)]


def test_each_bit_of_the_identity_is_noticed(folder: Path) -> None:
    backend = in_memory(folder / "store")
    data = backend.get("geobatch.json")
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            backend.replace("geobatch.json", bytes(changed))
            is_format = data[at - 9 : at] == b'"format":'
            if is_format or (at % 16 == 0 and bit == 3):  # the whole check is slow for each of them
                assert any(one.name == "geobatch.json" for one in fsck(backend).findings)
            try:
                read_identity(backend)
            except GeobatchError:
                continue
            assert any(one.name == "geobatch.json" for one in fsck(backend).findings), (at, bit)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_each_byte_of_a_ref_is_noticed_and_restored(folder: Path, number: int) -> None:
    store = folder / "store"
    path, rng = store / Refs.path(number), random.Random(number)
    data = path.read_bytes()
    changes = [data[:-1], data + b"\n", b"", data.upper(), (store / Refs.path(1)).read_bytes()]
    for at in rng.sample(range(65), 5):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.randrange(8)
        changes.append(bytes(changed))
    path.chmod(0o644)
    for one in changes:
        if one == data:
            continue
        path.write_bytes(one)
        found = fsck(store).findings
        assert [(one.kind, one.name) for one in found] == [(Kind.DAMAGED, Refs.path(number))]
    assert repair(store).after.is_whole
    assert path.read_bytes() == data


@pytest.mark.parametrize("number", [5, 1 << 40, (1 << 64) - 1])
def test_a_ref_that_is_added_is_foreign(folder: Path, number: int) -> None:
    store = folder / "store"
    path = store / Refs.path(number)
    path.write_bytes((store / Refs.path(3)).read_bytes())
    (found,) = fsck(store).findings
    assert (found.kind, found.name) == (Kind.FOREIGN, Refs.path(number))
    assert repair(store).after.is_whole
    assert TileStore.open(store).head().number == 3


def test_refs_that_are_lost_are_written_again(folder: Path) -> None:
    store = folder / "store"
    for number in (2, 3):
        (store / Refs.path(number)).unlink()
    assert [one.number for one in fsck(store).findings] == [2, 3]
    assert repair(store).after.is_whole
    assert TileStore.open(store).head().number == 3


def test_a_store_in_memory_is_checked_and_repaired(folder: Path) -> None:
    backend = in_memory(folder / "store")
    assert fsck(backend, subset=EVERYTHING).is_whole
    head = TileStore.open(backend).head()
    assert head.commit is not None
    backend.replace("objects/ab/what", b"")
    backend.delete(Refs.path(1))
    backend.delete(Objects.path(head.commit.tree))
    done = repair(backend, subset=EVERYTHING)
    assert {one.kind for one in done.before.findings} == {Kind.FOREIGN, Kind.MISSING}
    assert done.after.is_whole
    assert TileStore.open(backend).head() == head
    tile = next(n for n in backend.list("objects/") if backend.get(n)[:1] not in {b"{", b"G"})
    backend.replace(tile, b"x")
    left = repair(backend, subset=EVERYTHING)
    assert [one.name for one in left.after.findings] == [tile]
    assert "on a disk" in left.left[0]


@pytest.mark.parametrize("is_local", [False, True])
def test_an_object_in_quarantine_is_missing_and_put_back(folder: Path, *, is_local: bool) -> None:
    """A later gc deletes it there, though readers still find it; also if all of them are there."""
    store = folder / "store"
    whole = fsck(store).totals.objects
    for path in objects(store)[::5]:
        backend = LocalBackend(store) if is_local else in_memory(store)
        name = path.relative_to(store).as_posix()
        Quarantine(backend).move([name], why="test")
        found = fsck(backend).findings
        assert [(one.kind, one.name) for one in found][:1] == [(Kind.MISSING, name)]
        done = repair(backend)
        assert done.after.is_whole
        assert done.after.totals.objects == whole
        assert not list(backend.list("quarantine/2"))
    backend = LocalBackend(store) if is_local else in_memory(store)
    Quarantine(backend).move([o.relative_to(store).as_posix() for o in objects(store)], why="test")
    assert repair(backend).after.totals.objects == whole


def test_nothing_is_lost_by_a_repair(folder: Path) -> None:
    """What was damaged or foreign is in quarantine, byte for byte; the rest is as it was."""
    store = folder / "store"
    whole = snapshot(store)
    tile = store / "zarr/land/height/0/b1/c/0/0"
    bad = {flip(tile), flip(store / "zarr/scene/b/zarr.json")}
    for name in ("notes.txt", "objects/00/x", "refs/main/next", "zarr/land/new.tif", "parquet/a"):
        (store / name).parent.mkdir(exist_ok=True)
        (store / name).write_text(name)
        bad.add(name.encode())
    shown = geobatch("--store", store, "fsck", "--read-data", "--repair", "--dry-run")
    assert shown.code == 6
    assert not (store / "quarantine").exists()
    done = geobatch("--store", store, "fsck", "--read-data", "--repair", "--json")
    assert done.code == 0, done
    after = snapshot(store)
    moved = {v for k, v in after.items() if k.startswith("quarantine/") and ".json" not in k[11:]}
    kept = {v for k, v in after.items() if k.startswith("quarantine/")}
    assert bad <= kept
    assert moved <= bad
    own = ("quarantine/", "runs/", "cache/")
    assert {k: v for k, v in after.items() if not k.startswith(own)} == whole
    (repaired,) = [line for line in done.lines if line["type"] == "repaired"]
    assert repaired["findings_after"] == 0
    assert len(repaired["quarantine"]) == 2
    assert geobatch("--store", store, "fsck", "--read-data").code == 0


def test_only_damaged_tiles_are_computed(folder: Path) -> None:
    store = folder / "store"
    flip(store / "zarr/land/height/1/b1/c/0/0")
    plans: list[RepairPlan] = []

    def approve(plan: RepairPlan, _: Report) -> bool:
        plans.append(plan)
        return True

    assert repair(store, subset=EVERYTHING, approve=approve).after.is_whole
    (change,) = plans[0].recomputing.changes
    # The tile of level 1 is computed from 2 x 2 tiles of level 0, together with its mask.
    assert (change.id, change.tiles.compute) == ("land/height", 4 + 2)
    assert TileStore.open(store).head().number == 3


def test_a_source_that_moved_on_is_left_and_named(folder: Path) -> None:
    store = folder / "store"
    flip(store / "zarr/land/height/0/b1/c/0/0")
    shutil.copy(folder / "sources/classes.tif", folder / "sources/height.tif")
    done = geobatch("--store", store, "fsck", "--read-data", "--repair")
    assert done.code == 6
    assert "`land/height`, commit 3: its spec or its sources have changed" in done.out
    (folder / "sources/height.tif").unlink()
    done = geobatch("--store", store, "fsck", "--repair")
    assert done.code == 6
    assert "sources/height.tif" in done.out


def test_the_views_are_completed_by_the_repair_that_ends_the_damage(folder: Path) -> None:
    """A first repair takes a chunk out of the tree and cannot put it back: its source is away."""
    store, source = folder / "store", folder / "sources/height.tif"
    chunk, whole = store / "zarr/land/height/0/b1/c/0/0", fsck(store).notes
    before = chunk.read_bytes()
    flip(chunk)
    source.rename(folder / "away.tif")
    assert geobatch("--store", store, "fsck", "--read-data", "--repair").code == 6
    assert not chunk.exists()
    (folder / "away.tif").rename(source)
    assert geobatch("--store", store, "fsck", "--repair").code == 0
    assert chunk.read_bytes() == before
    assert fsck(store, subset=EVERYTHING).notes == whole


def test_notes_are_no_damage(folder: Path) -> None:
    store = folder / "store"
    (store / ".gitignore").unlink()
    for name in ("cache/sources.sqlite", "cache/regions/00", "cache/listing"):
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_bytes(b"torn")
    (store / "runs/dead").mkdir(parents=True)
    (store / "runs/dead/litter").touch()
    (store / "quarantine/x").mkdir(parents=True)
    (store / "quarantine/x/y").touch()
    (store / "zarr/land/height/0/b1/stat.aux.xml").touch()
    report = fsck(store, subset=EVERYTHING)
    assert report.is_whole, report
    assert len(report.notes) == 4


def test_names_that_no_terminal_takes_are_named_and_left(folder: Path) -> None:
    store = folder / "store"
    for name in (b"a\nb", b"\xff\xfe", b"objects/00\xff", b"zarr/\x1b[2J"):
        Path(os.fsdecode(os.fsencode(store) + b"/" + name)).write_bytes(b"")
    done = geobatch("--store", store, "fsck", "--repair")
    assert done.code == 6
    assert "\x1b" not in done.out
    assert "traceback" not in done.err.lower()
    assert done.out.count("it is not a valid name") >= 4
    assert len(json.loads(geobatch("--store", store, "fsck", "--json").out.splitlines()[0])) == 5


def test_a_tree_that_an_apply_left_behind_is_a_note(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    values = np.arange(90 * 80, dtype=np.uint16).reshape(90, 80)
    write_tiff(tmp_path / "a.tif", [values])
    bench.apply(image("one", "a.tif"))
    shutil.copytree(bench.tree, tmp_path / "before")
    bench.apply(image("one", "a.tif", properties={"a": 1}))
    shutil.rmtree(bench.tree)
    shutil.move(tmp_path / "before", bench.tree)
    report = fsck(bench.store, subset=EVERYTHING)
    assert report.is_whole
    assert any("shows commit 1" in note for note in report.notes)
    done = repair(bench.store, subset=EVERYTHING)
    assert done.after.is_whole
    assert done.after.notes == ()
    assert done.batches == ()
    assert repair(bench.store).before.notes == (), "it shows the newest commit now"
    shutil.rmtree(bench.tree)
    assert [one.name for one in fsck(bench.store).findings] == [
        "zarr/one/zarr.json",
        "zarr/zarr.json",
    ]
    assert repair(bench.store, subset=EVERYTHING).after.is_whole


@pytest.mark.parametrize("name", ["zarr.json", "one/zarr.json", "one/0/b1/c/0/0"])
def test_what_a_killed_update_left_aside_is_a_note(tmp_path: Path, name: str) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.ones((90, 80), dtype=np.uint8)])
    bench.apply(image("one", "a.tif"))
    left = bench.tree / f"{name}.aside"
    left.write_bytes(b"half of it")
    dead = bench.store / "runs" / "dead"
    dead.mkdir()
    (dead / "lock").touch()
    report = fsck(bench.store, subset=EVERYTHING)
    assert report.is_whole
    assert any("an update that could not end" in note for note in report.notes)
    done = repair(bench.store, subset=EVERYTHING, approve=lambda *_: False)
    assert left.exists()
    assert dead.exists(), "nothing is done that was not approved"
    done = repair(bench.store, subset=EVERYTHING)
    assert done.after.is_whole
    assert done.after.notes == ()
    assert not left.exists()
    assert not dead.exists()


def test_the_lost_document_of_the_newest_commit_is_replaced(folder: Path) -> None:
    store = folder / "store"
    head = TileStore.open(store).head()
    assert head.commit is not None
    assert head.digest is not None
    (store / Objects.path(head.digest)).unlink()
    with pytest.raises(CorruptObjectError):
        TileStore.open(store).head()
    assert repair(store, subset=EVERYTHING).after.is_whole
    found = TileStore.open(store).head()
    assert found.commit is not None
    assert (found.number, found.tree) == (3, head.tree)
    assert found.commit.content_root == head.commit.content_root
    assert found.commit.parent == head.commit.parent
    assert (
        geobatch("--store", store, "plan", folder / "specs.yaml", "--detailed-exitcode").code == 0
    )


def test_usage(folder: Path) -> None:
    store = folder / "store"
    assert geobatch("--store", store, "fsck", "--read-data", "--read-data-subset", "1/2").code == 64
    assert geobatch("--store", store, "fsck", "--dry-run").code == 64
    assert geobatch("--store", store, "fsck", folder / "specs.yaml").code == 64
    assert geobatch("--store", folder / "none", "fsck").code == 10
    assert geobatch("--store", store, "fsck", "--repair").code == 0
    done = geobatch("--store", store, "fsck", "--json", "--read-data")
    assert done.code == 0
    assert done.record("fsck")["objects_read"] == 140
