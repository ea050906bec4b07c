"""A STAC catalog for a store, and none: the folder `stac/` is made or removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from geobatch.errors import StoreError
from geobatch.model.published import Head
from geobatch.stac.links import CATALOG, FOLDER
from geobatch.store.backends.file_lock import locked
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.location import StoreLocation
from geobatch.store.tilestore import TileStore
from geobatch.views.stac.documents import Documents, check_library
from geobatch.views.store_views import LOCK, StoreViews, has_catalog
from geobatch.views.zarr.survey import attributes_of

_ROOT = f"{FOLDER}/{CATALOG}"


def switch_catalog(store: TileStore, place: StoreLocation, *, is_on: bool) -> str:
    """Give a store a STAC catalog that shows its newest commit, or remove the one that it has.

    Returns:
        What was done, for a person; empty if nothing was to be done.

    Raises:
        CorruptObjectError: A document of the newest commit is damaged.
        StoreError: pyarrow is not installed, or the store cannot be written.
    """
    with _held(store):
        is_done = add_catalog(store) if is_on else remove_catalog(store.backend)
    if not is_done:
        return ""
    if not is_on:
        return "removed the STAC catalog `stac/`"
    with SourceCache(place) as cache:
        StoreViews(store, cache=cache).update()
    return "made the STAC catalog `stac/`; every apply updates it"


@contextmanager
def _held(store: TileStore) -> Iterator[None]:
    """Keep other processes from updating the views meanwhile, if that is possible."""
    if (disk := store.backend.local) is None:
        yield
        return
    with locked(disk.path(LOCK)):
        yield


def add_catalog(store: TileStore) -> bool:
    """Give a store an empty catalog, which the next update of its views fills.

    Returns:
        False if it has one.

    Raises:
        StoreError: pyarrow is not installed, or the store cannot be written.
    """
    check_library()
    if has_catalog(store.backend):
        return False
    empty = Documents(store, Head(), has_tree=True)
    store.backend.replace(_ROOT, empty.root(attributes_of(Head())))
    return True


def remove_catalog(backend: Backend) -> bool:
    """Remove the catalog of a store; nobody updates it any more.

    Returns:
        False if it has none.

    Raises:
        StoreError: The store cannot be written.
    """
    if not has_catalog(backend):
        return False
    backend.delete_all(list(_names(backend)))
    if backend.local is not None:
        try:
            _remove_folders(backend)
        except OSError as error:
            raise StoreError(f"cannot remove `{FOLDER}/`: {error.strerror or error}") from error
    return True


def _remove_folders(backend: Backend) -> None:
    if backend.local is not None:
        top = backend.local.path(FOLDER)
        for folder in sorted(top.rglob("*/"), reverse=True):
            folder.rmdir()
        top.rmdir()


def _names(backend: Backend) -> Iterator[str]:
    return backend.list(f"{FOLDER}/")
