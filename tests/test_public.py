"""The Python door: what it offers, and that what it returns is verified and read-only."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import zarr
from workbench import Workbench, image, write_tiff

import geobatch
from geobatch.errors import CorruptObjectError, NoStoreError, NotFoundError


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    pixels = np.random.default_rng(2).integers(0, 900, (300, 280)).astype(np.int16)
    write_tiff(tmp_path / "a.tif", [pixels])
    write_tiff(tmp_path / "b.tif", [pixels[::-1].copy()])
    return Workbench(folder=tmp_path)


def test_what_is_public() -> None:
    assert geobatch.__all__ == ["Store", "open_store"]
    assert [name for name in vars(geobatch.Store) if not name.startswith("_")] == [
        "assets",
        "open",
        "open_table",
    ]
    assert str(inspect.signature(geobatch.Store.open)) == (
        "(self, asset_id: 'str', at: 'str | int | None' = None) -> 'zarr.Group'"
    )


def test_what_is_public_is_documented() -> None:
    for found in (geobatch, geobatch.open_store, geobatch.Store, *vars(geobatch.Store).values()):
        if callable(found) and getattr(found, "__name__", "_").startswith("_"):
            continue
        if callable(found) or inspect.ismodule(found):
            assert (found.__doc__ or "").strip()


def test_types_are_shipped() -> None:
    assert files(geobatch).joinpath("py.typed").is_file()


def test_an_asset_opens_as_a_read_only_group(bench: Workbench) -> None:
    bench.apply(image("x/a", "a.tif"))
    store = geobatch.open_store(str(bench.store))
    assert store.assets() == ("x/a",)
    group = store.open("x/a")
    assert isinstance(group, zarr.Group)
    assert group.read_only
    for level in ("0", "1"):
        array = group[f"{level}/b1"]
        assert isinstance(array, zarr.Array)
        assert np.array_equal(array[...], bench.array(f"x/a/{level}/b1"))
        with pytest.raises(ValueError, match="read-only"):
            array[:1, :1] = 7
    with pytest.raises(ValueError, match="read-only"):
        group.create_group("mine")
    again = pickle.loads(pickle.dumps(group))
    assert np.array_equal(np.asarray(again["1/b1"]), bench.array("x/a/1/b1"))


def test_any_commit_opens_and_stays_as_it_is(bench: Workbench) -> None:
    first = bench.apply(image("a", "a.tif"))
    old = bench.array("a/0/b1")
    bench.apply(image("a", "b.tif"))
    bench.apply(image("b", "b.tif"))
    store = geobatch.open_store(bench.store)
    assert first.commit is not None
    for at in ("1", "HEAD~2", first.commit, first.commit[:8]):
        assert store.assets(at) == ("a",)
        assert np.array_equal(np.asarray(store.open("a", at)["0/b1"]), old)
        with pytest.raises(NotFoundError):
            store.open("b", at=at)
    assert store.assets() == store.assets("HEAD") == ("a", "b")
    assert np.array_equal(np.asarray(store.open("a")["0/b1"]), old[::-1])
    for at in ("4", "HEAD~3", "abcdef0", "", "main"):
        with pytest.raises(NotFoundError, match="no commit"):
            store.open("a", at=at)


def chunks(bench: Workbench) -> Iterator[Path]:
    """Yield the tile objects of the asset, through the links of the plain tree."""
    inodes = {path.stat().st_ino for path in (bench.tree / "a/0/b1").rglob("*") if path.is_file()}
    for path in (bench.store / "objects").rglob("*"):
        if path.is_file() and path.stat().st_ino in inodes:
            yield path


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_damage_is_an_error_and_never_pixels(bench: Workbench, how: str) -> None:
    bench.apply(image("a", "a.tif"))
    array = geobatch.open_store(bench.store).open("a")["0/b1"]
    assert isinstance(array, zarr.Array)
    whole = np.asarray(array[...])
    paths = list(chunks(bench))
    assert len(paths) == 25
    path = paths[7]
    data = bytearray(path.read_bytes())
    path.unlink()
    if how == "flipped":
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
    elif how == "cut":
        path.write_bytes(data[:-3])
    with pytest.raises(CorruptObjectError, match=path.name) as caught:
        array[...]
    assert caught.value.hint
    errors = 0
    for row in range(0, 300, 64):
        for col in range(0, 280, 64):
            place = (slice(row, row + 64), slice(col, col + 64))
            try:
                assert np.array_equal(array[place], whole[place])
            except CorruptObjectError:
                errors += 1
    assert errors == 1


def test_a_name_that_is_not_there_is_suggested(bench: Workbench) -> None:
    bench.apply(image("island/north", "a.tif"))
    with pytest.raises(NotFoundError, match="island/nort") as caught:
        geobatch.open_store(bench.store).open("island/nort")
    assert "island/north" in str(caught.value.hint)


def test_a_commit_by_its_number(tmp_path: Path) -> None:
    bench = Workbench(folder=tmp_path)
    write_tiff(tmp_path / "a.tif", [np.full((9, 9), 4, dtype=np.uint8)])
    bench.apply(image("a", "a.tif"))
    bench.apply(image("a", "a.tif"), image("b", "a.tif"))
    store = geobatch.open_store(bench.store)
    assert store.assets(at=1) == store.assets(at="1") == ("a",)
    assert np.asarray(store.open("a", at=1)["0/b1"][...]).max() == 4  # type: ignore[index]
    with pytest.raises(NotFoundError):
        store.open("b", at=1)


def test_a_place_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(NoStoreError) as caught:
        geobatch.open_store(tmp_path / "none")
    assert caught.value.hint
    assert not list(tmp_path.iterdir())
    (tmp_path / "geobatch.json").write_text("{}")
    with pytest.raises(CorruptObjectError):
        geobatch.open_store(tmp_path)
