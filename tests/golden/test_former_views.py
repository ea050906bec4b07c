"""The plain tree of a store of an earlier version becomes that of today, never a mixture."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest
import zarr
from golden import ARCHIVES, unpack
from shell import geobatch

from geobatch.store.backends.memory import MemoryBackend
from geobatch.store.copying.copy import CopyOptions, copy_commits
from geobatch.store.identity import ZarrView
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import ViewChange
from geobatch.views.store_views import StoreViews
from geobatch.views.zarr.metadata import VIEW
from geobatch.views.zarr.tree import MOST_SWAPPED
from geobatch.workflow.maintenance.fsck import fsck

Files = dict[str, bytes]


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(request.param, tmp_path_factory.mktemp("golden"))


def files(store: Path) -> Files:
    """Return the files of the plain tree, and its folders with nothing in them."""
    return {
        path.relative_to(store).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in (store / "zarr").rglob("*")
        if path.is_file() or not any(path.iterdir())
    }


@pytest.fixture(scope="module")
def fresh(golden: Path, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The tree of the same commit where there was none."""
    place = tmp_path_factory.mktemp("fresh") / "store"
    shutil.copytree(golden / "store", place, ignore=shutil.ignore_patterns("zarr", "cache"))
    with closing(TileStore.open(place)) as store:
        StoreViews(store).update(store.head())
    return files(place)


@pytest.mark.parametrize("most_swapped", [0, MOST_SWAPPED])
@pytest.mark.parametrize("is_thorough", [False, True])
def test_the_tree_on_a_disk(
    golden: Path, fresh: Files, tmp_path: Path, most_swapped: int, is_thorough: bool
) -> None:
    place = tmp_path / "store"
    shutil.copytree(golden / "store", place)
    before = files(place)
    assert json.loads(before["zarr/zarr.json"])["attributes"]["geobatch"]["view"] < VIEW
    assert any(".mask/" in name for name in before)
    (note,) = (one for one in fsck(place).notes if "layout of another version" in one)
    assert note.startswith("`zarr/`")
    with closing(TileStore.open(place)) as store:
        views = StoreViews(store, most_swapped=most_swapped)
        done = views.update(store.head(), is_thorough=is_thorough)
        assert set(done.assets) >= {"land/classes", "land/height", "scene/b"}
        assert files(place) == fresh
        assert views.update(store.head()) == ViewChange()
    assert fsck(place).findings == ()
    assert not fsck(place).notes


def test_a_command_that_has_nothing_to_do_brings_it_up_to_date(
    golden: Path, fresh: Files, tmp_path: Path
) -> None:
    for name in ("store", "sources"):
        shutil.copytree(golden / name, tmp_path / name)
    shutil.copy(golden / "specs.yaml", tmp_path)
    before = geobatch("status", "--store", tmp_path / "store")
    assert "has the layout of another version of geobatch" in before.out
    assert "does not belong here" not in before.out  # other rules say where files belong
    done = geobatch("apply", tmp_path / "specs.yaml", "--store", tmp_path / "store")
    assert done.code == 0, done.err
    assert files(tmp_path / "store") == fresh
    after = geobatch("status", "--store", tmp_path / "store")
    assert "another version" not in after.out
    group = zarr.open_group(tmp_path / "store/zarr/scene/b", mode="r")
    assert sorted(group.group_keys()) == ["0", "1", "masks"]


def test_the_names_in_a_bucket(golden: Path, fresh: Files) -> None:
    backend = MemoryBackend()
    how = CopyOptions(views=ZarrView.COPY)
    with closing(TileStore.open(golden / "store")) as store:
        copy_commits(store, backend, how, progress=lambda *_: None)
    for name, data in files(golden / "store").items():
        backend.replace(name, data)
    store = TileStore(backend)
    StoreViews(store).update(store.head())
    assert {name: backend.get(name) for name in backend.list("zarr/")} == fresh
    assert fsck(backend).is_whole
