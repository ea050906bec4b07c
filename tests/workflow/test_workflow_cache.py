"""The cache and all that it leads to may be damaged in any way: what is published is right."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from shell import geobatch
from workbench import Document, Workbench, image, write_tiff

from geobatch import open_store
from geobatch.model.assets.fingerprint import band_fingerprint
from geobatch.model.digest import Digest
from geobatch.store.caches.band_cache import find_bands
from geobatch.store.caches.cache import SourceCache
from geobatch.store.caches.value_cache import ValueCache
from geobatch.store.maintenance.check import READ_ALL, Checker, StateLeaves
from geobatch.store.tilestore import TileStore


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    """A store of two commits: state A, then B, which shares nothing with it but the head's past."""
    bench = Workbench(folder=tmp_path_factory.mktemp("cache"))
    values = np.random.default_rng(7).integers(1, 250, (270, 100)).astype(np.uint8)
    values[:40, :40] = 0
    write_tiff(bench.folder / "a.tif", [values], nodata=0)
    write_tiff(bench.folder / "b.tif", [values[::-1, ::-1].copy()], nodata=0)
    bench.apply(*state("a"))
    shutil.copytree(bench.store, bench.folder / "expected", ignore=lambda *_: {"cache"})
    only_a = objects(bench.store)
    bench.apply(*state("b"))
    assert len(only_a) > 10
    return bench


def state(name: str) -> list[Document]:
    return [image("one", f"{name}.tif", tile=128)]


def objects(store: Path) -> list[Path]:
    found = (path.relative_to(store) for path in (store / "objects").rglob("*") if path.is_file())
    return sorted(found)


def reached(store: Path, *, at: str) -> set[Path]:
    """Return the tiles, pages and documents of a commit's assets."""
    opened = TileStore.open(store)
    names: list[Digest] = []
    for entry in opened.at(at).tree.entries:
        record = opened.record(entry)
        names.append(entry.stored)
        for key, root in record.arrays:
            grid = record.image.grid(record.image.band(key.band).grid)
            shape = grid.geobox.tile_shape(tile=record.image.tile, level=key.level)
            names += opened.index.pages(shape, root)
            names += [one["stored"].tobytes().hex() for one in opened.index.entries(shape, root)]
    opened.close()
    return {Path("objects", name[:2], name[2:]) for name in names}


def copied(first: Workbench, folder: Path) -> Workbench:
    shutil.copytree(first.folder, folder, dirs_exist_ok=True)
    return Workbench(folder=folder)


def assert_right(bench: Workbench, *, number: int) -> None:
    """Assert that the head is whole, and its pixels those of its source for every reader."""
    store = TileStore.open(bench.store)
    head = store.head()
    assert head.number == number
    checker = Checker(store.objects, StateLeaves(store.objects, read_from=READ_ALL))
    assert [str(found) for entry in head.tree.entries for found in checker.asset(entry)] == []
    store.close()
    kept = open_store(bench.folder / "expected")
    store = TileStore.open(bench.folder / "expected")
    assert head.tree.entries[0].content == store.head().tree.entries[0].content
    store.close()
    for path in ("0/b1", "1/b1", "masks/1/b1"):
        expected = np.asarray(kept.open("one")[path][...])  # type: ignore[index]
        found = np.asarray(open_store(bench.store).open("one")[path][...])  # type: ignore[index]
        assert np.array_equal(found, expected)
        assert np.array_equal(bench.array(f"one/{path}"), expected)


def harm(path: Path, how: str, other: Path) -> None:
    """Damage a file as a disk or a hand does; a time may tell of it or not."""
    kept = path.stat()
    data = path.read_bytes()
    path.chmod(0o644)
    if how == "missing":
        path.unlink()
        return
    changed = {
        "cut": data[:-1], "empty": b"", "longer": data + b"\0", "other": other.read_bytes(),
        "flipped": data[:-1] + bytes([data[-1] ^ 1]), "rotten": data[:-1] + bytes([data[-1] ^ 4]),
    }[how]  # fmt: skip
    path.write_bytes(changed)
    if how == "rotten":
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))


HOWS = ("missing", "cut", "flipped", "rotten", "empty", "other")


def only_of_a(bench: Workbench) -> list[Path]:
    return sorted(reached(bench.store, at="1") - reached(bench.store, at="2"))


@pytest.mark.parametrize("how", HOWS)
def test_back_to_an_earlier_state_of_which_something_is_damaged(
    first: Workbench, tmp_path: Path, how: str
) -> None:
    """Each object in turn would take long: each third, and another third for each kind of harm."""
    paths = only_of_a(first)
    for number, path in enumerate(paths[HOWS.index(how) % 3 :: 3]):
        bench = copied(first, tmp_path / str(number))
        harm(bench.store / path, how, bench.store / paths[-1 - number])
        bench.apply(*state("a"))
        assert_right(bench, number=3)
        assert bench.apply(*state("a")).commit is None


def test_back_to_a_state_all_of_which_is_damaged(first: Workbench, tmp_path: Path) -> None:
    """What is shown is what is done; a warning says why, once."""
    bench = copied(first, tmp_path)
    for path in only_of_a(bench):
        if path not in documents(bench):
            harm(bench.store / path, "flipped", bench.store / path)
    spec = bench.write_spec(state("a"))
    planned = geobatch("--store", bench.store, "plan", spec)
    applied = geobatch("--store", bench.store, "apply", spec)
    assert planned.code == applied.code == 0
    for done in (planned, applied):
        assert done.err.count("warning: ") == 1
        assert "damaged-tiles: tiles of band `b1` that an earlier run made are damaged" in done.err
    assert "  ~ one  7 of 7 tiles  update" in planned.out, planned.out
    assert_right(bench, number=3)


def documents(bench: Workbench) -> set[Path]:
    store = TileStore.open(bench.store)
    names = [entry.stored for entry in store.at("1").tree.entries]
    store.close()
    return {Path("objects", name[:2], name[2:]) for name in names}


def test_back_to_a_state_that_is_whole_computes_nothing(first: Workbench, tmp_path: Path) -> None:
    """So the tests above attack what is taken over."""
    bench = copied(first, tmp_path)
    assert bench.apply(*state("a")).tiles.written == 0
    assert_right(bench, number=3)


def cached_files(bench: Workbench) -> Iterator[Path]:
    yield from (path for path in (bench.store / "cache").rglob("*") if path.is_file())


@pytest.mark.parametrize("how", ["missing", "cut", "flipped", "empty", "longer"])
def test_a_damaged_cache_changes_nothing(first: Workbench, tmp_path: Path, how: str) -> None:
    bench = copied(first, tmp_path)
    for path in list(cached_files(bench)):
        harm(path, how, path)
    bench.apply(*state("a"))
    assert_right(bench, number=3)


def test_a_row_of_the_cache_that_names_another_band(first: Workbench, tmp_path: Path) -> None:
    """Well formed and sealed: it points to tiles that are there, and are others'."""
    bench = copied(first, tmp_path)
    store = TileStore.open(bench.store)
    old, new = (store.record(store.at(at).tree.entries[0]) for at in ("1", "2"))
    names = [band_fingerprint(one.image, "b1").pyramid for one in (old, new)]
    with SourceCache(bench.store) as cache:
        texts = cache.get_bands(names)
        assert len(texts) == 2
        cache.put_bands({names[0]: texts[names[1]], names[1]: texts[names[0]]})
        assert find_bands(cache, names, objects=store.objects) == {}
        for text in ("", "[]", "{}", '["x", "b1"]', '{"arrays": []}', f'["{"0" * 64}", "b1"]'):
            cache.put_bands(dict.fromkeys(names, text))
            assert find_bands(cache, names, objects=store.objects) == {}
    store.close()
    bench.apply(*state("a"))
    assert_right(bench, number=3)


def test_remembered_values_do_not_serve_under_another_name(tmp_path: Path) -> None:
    store = TileStore.create(tmp_path)
    memory = ValueCache(store.backend)
    names = ["aa" * 32, "bb" * 32]
    for name in names:
        memory.put(name, name.encode())
    assert [memory.get(name) for name in names] == [name.encode() for name in names]
    paths = [tmp_path / "cache" / "regions" / name for name in names]
    kept = [path.read_bytes() for path in paths]
    for path, data in zip(paths, reversed(kept), strict=True):
        path.write_bytes(data)
    assert [memory.get(name) for name in names] == [None, None]
    other = ValueCache(store.backend, "cache/")
    for name, data in itertools.product(("listing",), kept):
        (tmp_path / "cache" / name).write_bytes(data)
        assert other.get(name) is None
    store.close()
