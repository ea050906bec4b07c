"""The views of a store are updated in a row: to the newest commit, and an error names its view."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zarr_workbench as bench
from zarr_workbench import sync

from geobatch.errors import StoreError
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import ViewChange
from geobatch.views.store_views import LOCK, StoreViews


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TileStore]:
    made = TileStore.create(tmp_path / "store")
    yield made
    made.close()


def publish(store: TileStore, asset_id: str) -> None:
    asset = bench.asset(asset_id)
    entry = store.put_record(bench.write(store, asset, bench.pixels(asset)))
    store.publish(base=store.head(), changes={asset_id: entry}, message="", tools={})


def test_the_newest_commit_is_shown_whichever_was_asked_for(store: TileStore) -> None:
    publish(store, "a")
    old = store.head()
    publish(store, "b")
    views = StoreViews(store)
    assert views.update(old).assets == ("a", "b")
    state = views.compare(store.head())
    assert state is not None
    assert (state.number, state.is_current, state.behind, state.parts) == (2, True, (), ())
    assert views.update() == ViewChange()


def test_what_is_foreign_in_any_view_is_found_and_removed(store: TileStore) -> None:
    publish(store, "a")
    sync(store)
    local = store.backend.local
    assert local is not None
    foreign = ("parquet/gone.parquet", "zarr/a/strange", "zarr/strange")
    for name in foreign:
        path = local.path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    views = StoreViews(store)
    state = views.compare(store.head())
    assert state is not None
    assert tuple(part.path for part in state.parts) == foreign
    assert not state.is_current
    views.update()
    assert not any(local.path(name).exists() for name in foreign)
    assert views.update() == ViewChange()


@pytest.mark.parametrize("name", ["zarr", "parquet"])
def test_an_error_of_the_disk_names_the_view(
    store: TileStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(store, "a")
    sync(store)
    local = store.backend.local
    assert local is not None
    path = local.path(f"{name}/strange.parquet")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")

    def refuse(target: str, *arguments: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), target, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        patch.setattr(os, "rename", refuse)
        with pytest.raises(StoreError) as caught:
            sync(store)
    assert f"`{local.path(name)}`" in caught.value.message
    assert "geobatch apply" in str(caught.value.hint)
    sync(store)
    assert not path.exists()


def test_a_lock_that_cannot_be_taken_is_no_traceback(store: TileStore) -> None:
    publish(store, "a")
    local = store.backend.local
    assert local is not None
    local.path(LOCK).mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot check or complete the views of the store"):
        sync(store)
