"""Damage is named wherever a command relies on it, and the hints mend it when they are pasted."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from shell import Done, geobatch
from workbench import Workbench, image, write_tiff

from geobatch import open_store
from geobatch.errors import CorruptObjectError
from geobatch.model.published import ArrayKey
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore

COMMANDS = (("plan", "SPEC"), ("status", "SPEC"), ("status",), ("info", "one"), ("info",))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A store of three commits."""
    bench = Workbench(folder=tmp_path_factory.mktemp("named"))
    values = np.random.default_rng(7).integers(1, 250, (150, 100)).astype(np.uint8)
    write_tiff(bench.folder / "a.tif", [values])
    for number in range(3):
        bench.apply(image("one", "a.tif", properties={"number": number}))
    return bench


@pytest.fixture
def bench(first: Workbench, tmp_path: Path) -> Workbench:
    shutil.copytree(first.folder, tmp_path, dirs_exist_ok=True)
    return Workbench(folder=tmp_path)


def run(bench: Workbench, *argv: str) -> Done:
    words = [str(bench.folder / "spec.yaml") if word == "SPEC" else word for word in argv]
    return geobatch("--store", bench.store, *words)


def parts(bench: Workbench) -> dict[str, Path]:
    """Return an object of the head of each kind."""
    store = TileStore.open(bench.store)
    entry = store.head().tree.entries[0]
    root = store.record(entry).root(ArrayKey(band="b1", level=0))
    assert root is not None
    tile = store.index.lookup((3, 2), root, row=2, col=1)
    assert tile is not None
    names = {
        "document": entry.stored, "page": root.stored, "tile": tile.stored.hex()
    }  # fmt: skip
    store.close()
    return {kind: bench.store / Objects.path(name) for kind, name in names.items()}


def harm(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.chmod(0o644)
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(data[:-1] if how == "cut" else data[:-1] + bytes([data[-1] ^ 1]))


def hint_of(done: Done) -> str:
    """Return the first command in the hint."""
    found = re.search(r"hint: .*?`([^`]+)`", done.err)
    assert found is not None, done.err
    return found[1]


def refs(bench: Workbench) -> list[str]:
    return sorted(path.name for path in (bench.store / "refs" / "main").iterdir())


@pytest.mark.parametrize("how", ["missing", "cut", "flipped"])
@pytest.mark.parametrize("kind", ["document", "page", "tile"])
def test_damage_of_the_head_is_named_and_mended_by_the_hint(
    bench: Workbench, kind: str, how: str
) -> None:
    path = parts(bench)[kind]
    harm(path, how)
    name = str(path.relative_to(bench.store))
    place = {
        "document": "`one`: its document, object", "page": "`one`, level 0, band `b1`: its index",
        "tile": "`one`, level 0, band `b1`, tile 2/1: object",
    }[kind]  # fmt: skip
    for argv in (*COMMANDS, ("apply", "SPEC")):
        done = run(bench, *argv)
        assert done.code == 6, (argv, done)
        assert place in done.err
        assert name in done.err
    assert len(refs(bench)) == 3
    words = hint_of(done).split()
    assert words[0] == "geobatch"
    mended = geobatch(*words[1:])
    assert mended.code == 0, mended
    for argv in COMMANDS:
        assert run(bench, *argv).code == 0
    assert len(refs(bench)) == 3, "what is there again is what was published"
    assert np.asarray(open_store(bench.store).open("one")["0/b1"][...]).shape == (150, 100)  # type: ignore[index]


def test_all_damages_are_named_at_once(bench: Workbench) -> None:
    for path in parts(bench).values():
        harm(path, "missing")
    done = run(bench, "plan", "SPEC")
    assert "commit 3 needs an object that is damaged or missing:" in done.err, "hides the others"
    assert run(bench, "apply", "SPEC", "--replace", "one").code == 0, "a document can be replaced"
    store = TileStore.open(bench.store)
    record = store.record(store.head().tree.entries[0])
    tiles = store.index.entries((3, 2), record.root(ArrayKey(band="b1", level=0)))
    store.close()
    for tile, how in zip(tiles, ("missing", "cut", "flipped") * 2, strict=True):
        harm(bench.store / Objects.path(tile["stored"].tobytes().hex()), how)
    done = run(bench, "plan", "SPEC")
    assert "commit 3 needs 6 objects that are damaged or missing:" in done.err
    assert [f"tile {row}/{col}: " in done.err for row in range(3) for col in range(2)] == [True] * 6


def test_damage_of_where_assets_are_declared(bench: Workbench) -> None:
    store = TileStore.open(bench.store)
    commit = store.head().commit
    store.close()
    assert commit is not None
    assert commit.origins is not None
    path = bench.store / Objects.path(commit.origins)
    before = path.read_bytes()
    harm(path, "flipped")
    for argv in (("plan", "SPEC"), ("status",), ("info",), ("apply", "SPEC")):
        done = run(bench, *argv)
        assert done.code == 6
        assert "where assets are declared: object" in done.err
    assert "--replace '*'" in hint_of(done)
    assert run(bench, "apply", "SPEC", "--replace", "*").code == 0
    assert path.read_bytes() == before
    assert run(bench, "plan", "SPEC").code == 0


def ref(bench: Workbench, number: int) -> Path:
    return bench.store / "refs" / "main" / f"{number:016x}"


def assert_restored_by(bench: Workbench, done: Done, before: list[bytes]) -> None:
    subprocess.run(hint_of(done), shell=True, check=True)
    assert [ref(bench, number).read_bytes() for number in (1, 2, 3)] == before
    assert run(bench, "log").code == 0
    assert run(bench, "plan", "SPEC").code == 0


@pytest.mark.parametrize("lost", [(3,), (2, 3), (1, 2, 3)])
def test_a_lost_newest_ref_is_no_older_head(bench: Workbench, lost: tuple[int, ...]) -> None:
    before = [ref(bench, number).read_bytes() for number in (1, 2, 3)]
    for number in lost:
        ref(bench, number).unlink()
    for argv in (*COMMANDS, ("apply", "SPEC"), ("ls",), ("log",)):
        done = run(bench, *argv)
        assert done.code == 6, (argv, done)
        assert "shows commit 3" in done.err
    with pytest.raises(CorruptObjectError, match=r"its ref .* is missing"):
        open_store(bench.store).assets()
    assert len(refs(bench)) == 3 - len(lost)
    assert_restored_by(bench, done, before)


def test_who_deletes_what_shows_the_lost_commit_goes_on_without_it(bench: Workbench) -> None:
    ref(bench, 3).unlink()
    (bench.tree / "zarr.json").unlink()
    assert run(bench, "apply", "SPEC").code == 0
    assert len(refs(bench)) == 3


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("how", ["missing", "empty", "garbage", "other"])
def test_a_damaged_ref_hinders_only_those_who_ask_for_it(
    bench: Workbench, number: int, how: str
) -> None:
    before = [ref(bench, at).read_bytes() for at in (1, 2, 3)]
    path = ref(bench, number)
    path.unlink()
    if how != "missing":
        other = before[1 if number == 1 else 0]
        path.write_bytes({"empty": b"", "garbage": b"x" * 65, "other": other}[how])
    log = run(bench, "log")
    assert log.code == 6
    if (number, how) != (3, "missing"):
        assert f"     {number}  damaged: " in log.out
    assert len(log.out.splitlines()) == 3
    store = open_store(bench.store)
    if number == 3:
        with pytest.raises(CorruptObjectError):
            store.assets()
        assert run(bench, "plan", "SPEC").code == 6
    else:
        assert store.open("one").attrs
        assert run(bench, "plan", "SPEC").code == run(bench, "ls").code == 0
        with pytest.raises(CorruptObjectError):
            store.assets(number)
        with pytest.raises(CorruptObjectError):
            store.assets(f"HEAD~{3 - number}")
    assert store.assets(2 if number == 1 else 1) == ("one",)
    assert_restored_by(bench, log, before)


@pytest.mark.parametrize("kind", ["commit", "tree"])
def test_a_damaged_old_commit(bench: Workbench, kind: str) -> None:
    store = TileStore.open(bench.store)
    head = store.at("2")
    store.close()
    assert head.commit is not None
    assert head.digest is not None
    name = head.digest if kind == "commit" else head.commit.tree
    harm(bench.store / Objects.path(name), "flipped")
    assert run(bench, "plan", "SPEC").code == run(bench, "info", "one").code == 0
    assert open_store(bench.store).open("one").attrs
    log = run(bench, "log")
    assert log.code == 6
    assert "     2  damaged: " in log.out
    assert "     1  " in log.out


@pytest.mark.parametrize("data", [None, b"", b"{}", b"garbage"])
def test_a_store_that_lost_its_identity_is_no_new_store(
    bench: Workbench, data: bytes | None
) -> None:
    path = bench.store / "geobatch.json"
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    for argv in (*COMMANDS, ("apply", "SPEC"), ("ls",), ("init",)):
        done = run(bench, *argv)
        assert done.code == 6, (argv, done)
        assert "geobatch.json" in done.err
    found = re.search(r"new id: `([^`]+)`", done.err)
    assert found is not None
    subprocess.run(found[1], shell=True, check=True)
    assert run(bench, "plan", "SPEC").code == 0
