"""Rot: whatever file is flipped, cut, lost or added, fsck names it, and no pixel is wrong.

The store is the golden one, which has every kind of asset. Classes of files are listed by walking
it, so that a class that a later version adds is attacked without being named here.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from golden import NEWEST, unpack_current

from geobatch import open_store
from geobatch.errors import GeobatchError
from geobatch.store.maintenance.fsck.contents import EVERYTHING
from geobatch.store.maintenance.fsck.findings import Report
from geobatch.store.tilestore import TileStore
from geobatch.workflow.maintenance.fsck import fsck
from geobatch.workflow.maintenance.repair import repair

HARMS = ("flip", "cut", "lose", "add")
NOTED = {".gitignore"}
"""Files that no reader needs: what is wrong with them is a note."""


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_current(NEWEST, tmp_path_factory.mktemp("golden"))


def copy(source: Path, target: Path) -> Path:
    made: dict[int, Path] = {}
    for folder, _, names in os.walk(source):
        there = target / Path(folder).relative_to(source)
        there.mkdir(parents=True)
        for name in names:
            path = Path(folder, name)
            inode = path.stat().st_ino
            if inode in made:
                os.link(made[inode], there / name)
            else:
                made[inode] = Path(shutil.copy2(path, there / name))
    return target


def class_of(store: Path, path: Path) -> str:
    """Return the class of a file: its kind of name and of content."""
    name = path.relative_to(store).as_posix()
    data = path.read_bytes()
    if name.startswith("objects/"):
        if data.startswith(b"{"):
            return f"objects: {sorted(json.loads(data))}"
        return f"objects: {data[:4]!r}" if data[:4] in {b"GBIX", b"PAR1"} else "objects: a tile"
    if name.endswith("/zarr.json"):
        document = json.loads(data)
        own = sorted(document.get("attributes", {}).get("geobatch", {}))
        return f"zarr.json: {document['node_type']} {own} {'consolidated_metadata' in document}"
    if name.startswith("zarr/"):
        is_mask = "/masks/" in name
        return f"zarr: {re.sub('[0-9]+', '#', name[name.index('/c/') :])} {is_mask}"
    return re.sub("[0-9a-f]{16}|[0-9]+", "#", name)


def classes(store: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(store.rglob("*")):
        if path.is_file():
            found.setdefault(class_of(store, path), []).append(path)
    return found


def do_harm(path: Path, how: str, rng: random.Random) -> Path:
    """Harm a file in place, as a disk does; return the file to be found."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    if how == "flip":
        data[at] ^= 1 << rng.randrange(8)
        with path.open("r+b") as file:  # in the same file: links to it are harmed, too
            file.write(data)
    elif how == "cut":
        del data[at]
        with path.open("r+b") as file:
            file.write(data)
            file.truncate()
    elif how == "lose":
        path.unlink()
    else:
        path = path.with_name(f"{path.name}x")
        path.write_bytes(data)
    return path


Pixels = dict[tuple[str, str, str], bytes]


def read(store: Path) -> Iterator[tuple[tuple[str, str, str], bytes | GeobatchError]]:
    """Yield every array and table of every commit, as geobatch's reader gives it, or its error."""
    for at, ids in (
        ("1", ("land/classes", "picture")),
        ("2", ("land/classes", "land/height", "picture", "scene/a", "outside")),
        ("HEAD", ("land/classes", "land/height", "scene/b", "outside")),
    ):
        for asset_id in ids:
            try:
                group = open_store(store).open(asset_id, at=at)
            except GeobatchError as error:
                yield (at, asset_id, ""), error
                continue
            for path, node in bands_of(group):
                try:
                    yield (at, asset_id, path), np.asarray(node[...]).tobytes()
                except GeobatchError as error:
                    yield (at, asset_id, path), error


def bands_of(group: zarr.Group) -> Iterator[tuple[str, Any]]:
    for path, node in group.members(max_depth=None):
        if isinstance(node, zarr.Array) and path.rpartition("/")[2].startswith("b"):
            yield path, node


@pytest.fixture(scope="module")
def whole(golden: Path) -> Pixels:
    found = dict(read(golden / "store"))
    assert not [one for one in found.values() if isinstance(one, GeobatchError)]
    return {key: value for key, value in found.items() if isinstance(value, bytes)}


def assert_no_wrong_pixel(store: Path, whole: Pixels) -> None:
    for key, value in read(store):
        assert isinstance(value, GeobatchError) or value == whole[key], key


def assert_found(store: Path, report: Report, path: Path) -> None:
    name = path.relative_to(store).as_posix()
    if name in NOTED:
        assert any(name in note for note in report.notes), report
    else:
        assert name in {one.name for one in report.findings}, (name, report)


def assert_repaired(folder: Path, path: Path, whole: Pixels, root: str) -> None:
    """Assert that a repair restores a store, as far as anything can."""
    store = folder / "store"
    done = repair(store, subset=EVERYTHING)
    for number in (2, 1):  # what only earlier commits have, from their specs
        if not done.after.is_whole:
            done = repair(store, [folder / f"specs-{number}.yaml"], subset=EVERYTHING)
    if not done.after.is_whole:
        # Of an earlier commit whose own document is gone, nothing tells the time.
        assert is_earlier_commit(done.after), done
    opened = TileStore.open(store)
    head = opened.head()
    assert head.commit is not None
    assert head.commit.content_root == root, path
    opened.close()
    if done.after.is_whole:
        assert dict(read(store)) == whole
    assert fsck(store, subset=EVERYTHING).findings == done.after.findings


def is_earlier_commit(report: Report) -> bool:
    return all(
        one.problem.startswith(("the commit, ", "it is not known"))
        and all(number < 3 for hurt in one.hurts for number in hurt.commits)
        for one in report.findings
    )


def root_of(golden: Path) -> str:
    roots: list[str] = json.loads((golden / "expected.json").read_text())["content_roots"]
    return roots[-1]


def needs_tensorflow(kind: str, how: str) -> bool:
    """Return whether a repair reads the records of the table, which takes seconds to begin."""
    return "PAR1" in kind and how in {"flip", "cut"}


def attack(golden: Path, folder: Path, original: Path, how: str, rng: random.Random) -> Path:
    """Return a harmed file in a copy of the golden folder, which was found by fsck."""
    copy(golden, folder)
    path = do_harm(folder / original.relative_to(golden), how, rng)
    assert_found(folder / "store", fsck(folder / "store", subset=EVERYTHING), path)
    return path


@pytest.mark.parametrize("how", HARMS)
def test_a_file_of_each_class_is_found_and_never_read_wrong(
    golden: Path, tmp_path: Path, whole: Pixels, how: str
) -> None:
    rng = random.Random(f"rot {how}")
    found = classes(golden / "store")
    assert len(found) >= 20
    for number, (kind, paths) in enumerate(found.items()):
        folder = tmp_path / str(number)
        attack(golden, folder, rng.choice(paths), how, rng)
        if how == "flip" and kind.startswith(("objects", "refs", "geobatch")):
            assert_no_wrong_pixel(folder / "store", whole)


@pytest.mark.parametrize("how", HARMS)
def test_a_repair_restores_it(golden: Path, tmp_path: Path, whole: Pixels, how: str) -> None:
    rng = random.Random(f"repair {how}")
    found = {k: v for k, v in classes(golden / "store").items() if not needs_tensorflow(k, how)}
    kind = rng.choice(sorted(found))
    path = attack(golden, tmp_path / "golden", rng.choice(found[kind]), how, rng)
    assert_repaired(tmp_path / "golden", path, whole, root_of(golden))


@pytest.mark.attack
@pytest.mark.parametrize("how", HARMS)
def test_files_of_each_class_are_found_never_read_wrong_and_restored(
    golden: Path, tmp_path: Path, whole: Pixels, how: str
) -> None:
    """Some three hundred harms, other ones each time: some minutes."""
    rng = random.Random()
    for paths in classes(golden / "store").values():
        for original in rng.sample(paths, min(len(paths), 4)):
            folder = tmp_path / "golden"
            path = attack(golden, folder, original, how, rng)
            assert_no_wrong_pixel(folder / "store", whole)
            assert_repaired(folder, path, whole, root_of(golden))
            shutil.rmtree(folder)
