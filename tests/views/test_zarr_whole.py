"""Each asset of the Zarr tree is one state of it, and every file of it comes back."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zarr_workbench as bench
from msgspec.structs import replace
from zarr_workbench import look, sync

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.model.assets.asset import AnyImage
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Head
from geobatch.store.backends import exchange as exchanging
from geobatch.store.backends.exchange import exchange
from geobatch.store.backends.file_lock import locked
from geobatch.store.caches.cache import SourceCache
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import ViewChange
from geobatch.views.zarr.keys import Keys

SMALL = bench.asset("f/a", bench.band(), bench.band("b2"), shape=(40, 30), tile=16)


@pytest.fixture
def store() -> Iterator[TileStore]:
    """A store in memory where there is such a place: each sync waits for the disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        made = TileStore.create(Path(folder) / "store")
        yield made
        made.close()


def tree(store: TileStore) -> Path:
    root: Path = store.backend.root  # type: ignore[attr-defined]
    return root / "zarr"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def publish(store: TileStore, *assets: AnyImage, seed: int = 0) -> Head:
    return bench.publish(store, {one.id: (one, bench.pixels(one, seed=seed)) for one in assets})


def assert_shows(store: TileStore, head: Head) -> None:
    keys = Keys(store, head)
    wanted = {key: keys.read(key) for key in keys.starting_with("") if key != "zarr.json"}
    found = files(tree(store))
    assert found.pop("zarr.json")
    assert found == wanted
    assert look(store, head=head).is_current  # type: ignore[union-attr]


def cut(path: Path) -> None:
    """Put a shorter file in the place of one; the object that it was a link to stays whole."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[: len(data) // 2])


def fake(path: Path) -> None:
    """Put other bytes, as many, in the place of a file."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes(byte ^ 1 for byte in data))


def make_folder(path: Path) -> None:
    path.unlink()
    (path / "within").mkdir(parents=True)


DAMAGES: list[Callable[[Path], object]] = [Path.unlink, cut, fake, make_folder]


@pytest.mark.parametrize(("has_cache", "most_swapped"), [(True, 0), (False, 10_000)])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_file_comes_back(
    store: TileStore, damage: Callable[[Path], object], has_cache: bool, most_swapped: int
) -> None:
    head = publish(store, SMALL)
    with SourceCache(tree(store).parent if has_cache else None) as cache:
        sync(store, cache=cache)
        clean = files(tree(store))
        assert len(clean) > 20
        for name in sorted(clean):
            damage(tree(store) / name)
            state = look(store, head=head, cache=cache)
            assert state is not None
            assert not state.is_current, name
            if name != "zarr.json":
                assert f"zarr/{name}" in {part.path for part in state.parts}
            sync(store, cache=cache, most_swapped=most_swapped)
            assert files(tree(store)) == clean, name
            state = look(store, head=head, cache=cache)
            assert state is not None
            assert state.is_current, name
        assert sync(store, cache=cache) == ViewChange()


@pytest.mark.parametrize("most_swapped", [0, 10_000])
@pytest.mark.parametrize(
    "name",
    ["stray", "f/stray", "f/stray/0/zarr.json", "f/a/0/b1/c/0/9", "f/a/0/b9/c/0/0", "f/a/0/b1/x",
     "f/a/1/b1/c/0/0.aside", "zarr.json.aside", "f/a/9/8/7/6"],
)  # fmt: skip
def test_what_does_not_belong_there_goes(store: TileStore, name: str, most_swapped: int) -> None:
    head = publish(store, SMALL)
    with SourceCache(None) as cache:
        sync(store, cache=cache)
        clean = files(tree(store))
        path = tree(store) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("strange")
        state = look(store, head=head, cache=cache)
        assert state is not None
        assert any(f"zarr/{name}".startswith(part.path) for part in state.parts)
        sync(store, cache=cache, most_swapped=most_swapped)
        assert files(tree(store)) == clean
        assert_shows(store, head)


@pytest.mark.parametrize("is_thorough", [False, True])
@pytest.mark.parametrize("most_swapped", [0, 10_000])
@pytest.mark.parametrize(
    "name",
    ["0/b1/zarr.json.aux.xml", "0/zarr.json.aux.xml", "zarr.json.aux.xml", "0.aux.xml",
     "masks/1/b1/zarr.json.aux.xml", "1/x/zarr.json.aux.xml"],
)  # fmt: skip
def test_statistics_of_other_programs_stay_until_the_asset_changes(
    store: TileStore, name: str, most_swapped: int, is_thorough: bool
) -> None:
    """Of an asset that is exchanged, and of one that is changed in place."""
    made = bench.asset("f/a", shape=(300, 40))
    publish(store, made)
    with SourceCache(None) as cache:
        sync(store, cache=cache)
        guest = tree(store) / "f/a" / name
        guest.write_text("<PAMDataset/>")
        assert sync(store, cache=cache) == ViewChange()
        assert guest.exists()
        head = publish(store, made, seed=1)
        sync(store, cache=cache, is_thorough=is_thorough, most_swapped=most_swapped)
        assert_shows(store, head)


def test_what_is_remembered_costs_no_look_into_the_index(store: TileStore) -> None:
    """And is not believed of another state of the folder."""
    head = publish(store, SMALL)
    with SourceCache(None) as cache:
        sync(store, cache=cache)
        page = store.record(head.tree.entries[0]).arrays[0][1]
        assert page is not None
        store.backend.delete(Objects.path(page.stored))
        assert sync(store, cache=cache) == ViewChange()
        (tree(store) / "f/a/0/x/c/0").unlink()
        with pytest.raises(CorruptObjectError, match="missing"):
            sync(TileStore.open(tree(store).parent), cache=cache)


def test_an_object_that_is_cut_is_named_and_all_else_is_shown(store: TileStore) -> None:
    other = bench.asset("other", shape=(20, 20), tile=16)
    head = publish(store, SMALL, other)
    sync(store)
    chunk = tree(store) / "f/a/0/b1/c/1/1"
    name = Objects.path(digest_bytes(chunk.read_bytes()))
    chunk.chmod(0o644)
    os.truncate(chunk, 20)
    (tree(store) / "other/0/x/c/0").unlink()
    with pytest.raises(
        CorruptObjectError, match=f"{name}.*20 bytes, expected.*f/a/0/b1/c/1/1"
    ) as e:
        look(store, head=head)
    assert "--replace f/a" in str(e.value.hint)
    with pytest.raises(CorruptObjectError, match=name):
        sync(store)
    assert (tree(store) / "other/0/x/c/0").exists()
    assert sync(store, is_lenient=True).damaged.keys() == {"f/a"}
    bench.write(store, SMALL, bench.pixels(SMALL))  # writes the object over where it is
    sync(store)
    assert_shows(store, head)


def test_assets_within_assets(store: TileStore) -> None:
    outer = bench.asset("a", shape=(40, 30), tile=16)
    inner, third = bench.asset("a/x/b", shape=(20, 20), tile=16), bench.asset("a/x/c")
    states = [(outer,), (outer, inner), (inner,), (outer, inner, third), (outer, third), (third,)]
    for seed, assets in enumerate([*states, *reversed(states), (inner,), (outer,), ()]):
        for is_thorough in (False, True):
            head = publish(store, *assets, seed=seed + is_thorough)
            sync(store, is_thorough=is_thorough, most_swapped=10_000 if seed % 2 else 0)
            assert_shows(store, head)


def test_a_lock_that_goes_meanwhile_hides_no_error(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "lock"
    with pytest.raises(FileNotFoundError, match="the real one"), locked(path):  # noqa: PT012
        path.unlink()
        raise FileNotFoundError("the real one")
    with locked(path):
        shutil.rmtree(path.parent)
    with locked(path):
        assert path.exists()


@pytest.mark.parametrize("call", ["link", "rename", "replace", "mkdir"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_is_said_and_the_next_sync_completes(
    store: TileStore, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    publish(store, SMALL)
    sync(store)
    head = publish(store, SMALL, bench.asset("g/b", shape=(20, 20), tile=16), seed=1)
    real, left = getattr(os, call), 0

    def refuse(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    for most_swapped, calls in ((0, 1), (0, 3), (10_000, 0), (10_000, 2)):
        left = calls
        with monkeypatch.context() as patch:
            patch.setattr(os, call, refuse)
            try:
                sync(store, most_swapped=most_swapped)
            except StoreError as error:
                assert os.strerror(code) in error.message  # noqa: PT017
                assert "run `geobatch apply` again" in str(error.hint)  # noqa: PT017
    sync(store)
    assert_shows(store, head)


def test_something_else_than_a_folder_is_refused(store: TileStore, tmp_path: Path) -> None:
    head = publish(store, SMALL)
    tree(store).write_text("mine")
    for act in (lambda: sync(store), lambda: look(store, head=head)):
        with pytest.raises(StoreError, match="is a file; expected a folder"):
            act()
    assert tree(store).read_text() == "mine"
    tree(store).unlink()
    tree(store).symlink_to(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"is a link to .*nowhere"):
        sync(store)
    (tmp_path / "nowhere").mkdir()
    sync(store)
    assert_shows(store, head)


def test_exchanged_in_one_step_or_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for is_new in (True, False):
        if not is_new:
            monkeypatch.setattr(exchanging, "_in_one_step", None)
        for name in ("a", "b"):
            (tmp_path / name).mkdir(exist_ok=True)
            (tmp_path / name / "said").write_text(name)
        exchange(str(tmp_path / "a"), str(tmp_path / "b"))
        assert [(tmp_path / name / "said").read_text() for name in "ab"] == ["b", "a"]
        with pytest.raises(FileNotFoundError):
            exchange(str(tmp_path / "a"), str(tmp_path / "c"))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


READER = """
import os, sys, hashlib
top, stop = sys.argv[1], sys.argv[2]

def read(folder, fd, out):
    for name in sorted(os.listdir(fd)):
        try:
            below = os.open(name, os.O_RDONLY, dir_fd=fd)
        except FileNotFoundError:
            return
        try:
            if os.path.isdir(f"/proc/self/fd/{below}"):
                read(f"{folder}{name}/", below, out)
            else:
                with os.fdopen(os.dup(below), "rb") as file:
                    out.update((folder + name).encode() + b"=" + file.read())
        finally:
            os.close(below)

while not os.path.exists(stop):
    fd = os.open(top, os.O_RDONLY)  # never missing
    out = hashlib.sha256()
    read("", fd, out)
    # Who met an exchange on the way held a folder that was on its way out.
    if os.path.samestat(os.fstat(fd), os.stat(top)):
        print(out.hexdigest())
    os.close(fd)
"""


def test_a_plain_reader_meets_no_mixture(store: TileStore, tmp_path: Path) -> None:
    """A process that reads all files of a folder meanwhile reads one state or the other."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("the reader asks /proc what it has opened")
    publish(store, SMALL)
    sync(store)
    stop = tmp_path / "stop"
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, tree(store) / "f/a", stop], stdout=subprocess.PIPE, text=True
    )
    states = [bench.pixels(SMALL, seed=seed) for seed in (0, 1)]
    end = time.monotonic() + 2
    turn = 0
    while time.monotonic() < end:
        turn += 1
        made = replace(SMALL, properties=(("turn", turn % 2),))
        bench.publish(store, {made.id: (made, states[turn % 2])})
        sync(store, is_thorough=False)
    stop.touch()
    said, _ = reader.communicate(timeout=20)
    assert reader.returncode == 0
    assert turn > 5
    assert 2 <= len(set(said.split())) <= 3, "the first state, and those of even and odd turns"
