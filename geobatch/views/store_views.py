"""The views of a store in a row: what apply updates after each commit, and status compares."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.model.published import Head
from geobatch.stac.links import FOLDER
from geobatch.store.backends.file_lock import locked
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.commits.refs import TREE
from geobatch.store.identity import ZarrView, read_views
from geobatch.store.tilestore import TileStore
from geobatch.views import stac
from geobatch.views.cubes.tree import CubeTree
from geobatch.views.parquet import ParquetFiles
from geobatch.views.protocol import View, ViewChange, ViewState
from geobatch.views.remote.copies import CopiedFiles
from geobatch.views.remote.cubes import CubeReferences
from geobatch.views.remote.lease import SECONDS
from geobatch.views.remote.references import SHOWN, ReferenceFiles
from geobatch.views.zarr.staging import Staging
from geobatch.views.zarr.tree import MOST_SWAPPED, ZarrTree

LOCK = "runs/zarr.lock"
"""File whose `flock` the one process holds that changes the views; the kernel drops it."""


class StoreViews:
    """The views of one store: those of its folder, or those that a bucket was created with."""

    def __init__(
        self,
        store: TileStore,
        *,
        cache: SourceCache | None = None,
        staging: Staging | None = None,
        most_swapped: int = MOST_SWAPPED,
        seconds: float = SECONDS,
    ) -> None:
        """Do nothing yet.

        Args:
            store: The store.
            cache: Where the states of folders are cached.
            staging: Folders of new assets; by default, an update finds those made through
                `self.staging`.
            most_swapped: Files of an asset whose folder is exchanged as a whole.
            seconds: In a bucket, the time after which a dead process no longer blocks others.
        """
        disk = store.backend.local
        self.staging = staging or Staging(disk)
        """Receives the tiles of new assets, so that the next update shows the assets sooner."""
        self._store = store
        self._disk = disk
        self.views: tuple[View, ...] = ()
        """The views, in the order in which they change."""
        if disk is not None:
            self.views = (
                ZarrTree(store, disk, staging=self.staging, cache=cache, most_swapped=most_swapped),
                ParquetFiles(store, disk),
                CubeTree(store, disk, cache=cache, most_swapped=most_swapped),
            )
            if has_catalog(store.backend):
                self.views += (stac.CatalogFolder(store, disk, cache=cache),)
        elif (chosen := read_views(store.backend)) is not None:
            kind = CopiedFiles if chosen is ZarrView.COPY else ReferenceFiles
            self.views = (
                kind(store, seconds=seconds),
                CubeReferences(store, seconds=seconds),
            )
            if has_catalog(store.backend):
                self.views += (stac.CatalogObjects(store, seconds=seconds),)

    def compare(self, head: Head) -> ViewState | None:
        """Return how the views differ from a head; nothing is changed. None if there are none.

        Raises:
            CorruptObjectError: A document of the head is damaged, or an object that should be
                shown.
            StoreError: The disk refused.
        """
        states = []
        for view in self.views:
            with _failing(view.name):
                states.append(view.compare(head))
        _raise_first(_merged([state.damaged for state in states]))
        if not states:
            return None
        numbers = [state.number for state in states if state.number is not None]
        comparable = [state for state in states if not state.is_former]
        return ViewState(
            number=numbers[0] if numbers else None,
            behind=tuple(sorted({one for state in states for one in state.behind})),
            parts=tuple(sorted(part for state in comparable for part in state.parts)),
            is_current=all(state.is_current for state in states),
            is_former=len(comparable) < len(states),
            refused={name: why for state in states for name, why in state.refused.items()},
        )

    def update(
        self,
        head: Head | None = None,
        *,
        is_thorough: bool = True,
        is_lenient: bool = False,
        again: Collection[str] = (),
    ) -> ViewChange:
        """Make all views show a head, one after the other; see `View.update`.

        One process updates at a time, others wait.

        Args:
            head: What to show; a newer commit, if there is one, is shown instead.
            is_thorough: Whether files that should exist already are compared.
            is_lenient: Whether damage is returned, not raised.
            again: Assets that are shown again, as if they differed.

        Raises:
            CorruptObjectError: What the head is made of is damaged; all else is shown.
            StoreError: The disk refused.
        """
        changes = []
        with _failing(f"the views of the store `{self._store.backend.location}`"), self._held():
            if not self.views:
                return ViewChange()
            # Another process may have published and updated while this one waited for the lock.
            newest = self._store.head()
            wanted = newest if head is None or newest.number > head.number else head
            for view in self.views:
                with _failing(view.name):
                    changes.append(view.update(wanted, is_thorough=is_thorough, again=again))
        damaged = _merged([change.damaged for change in changes])
        if not is_lenient:
            _raise_first(damaged)
        return ViewChange(
            assets=tuple(sorted({one for change in changes for one in change.assets})),
            linked=sum(change.linked for change in changes),
            copied=sum(change.copied for change in changes),
            removed=sum(change.removed for change in changes),
            damaged=damaged,
            refused={name: why for change in changes for name, why in change.refused.items()},
        )

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other processes from updating the views; in a bucket, each view has a lease."""
        if self._disk is None:
            yield
            return
        with locked(self._disk.path(LOCK)):
            yield


def has_catalog(backend: Backend) -> bool:
    """Return whether a store has a STAC catalog: if there is `stac/`, every apply updates it.

    Raises:
        StoreError: The store cannot be read.
    """
    if backend.local is not None:
        return backend.local.path(FOLDER).is_dir()
    return next(iter(backend.list(f"{FOLDER}/")), None) is not None


def views_there(backend: Backend) -> ZarrView | None:
    """Return which views a store in a bucket was created with, by what is there; None on a disk."""
    if backend.size(SHOWN) is not None:
        return ZarrView.NONE
    if backend.local is None and backend.size(TREE) is not None:
        return ZarrView.COPY
    if not backend.is_remote:
        return None
    # An update or a repair that could not end leaves copies without the document of the tree.
    copies = (name for folder in ("zarr/", "parquet/") for name in backend.list(folder))
    return ZarrView.COPY if any(copies) else ZarrView.NONE


def _merged(
    damages: Sequence[Mapping[str, CorruptObjectError]],
) -> dict[str, CorruptObjectError]:
    return {asset_id: error for damaged in damages for asset_id, error in damaged.items()}


def _raise_first(damaged: Mapping[str, CorruptObjectError]) -> None:
    """Raise the damage of the first asset, if there is any."""
    for asset_id, error in sorted(damaged.items()):
        raise error.with_hint(
            error.hint
            or f"`geobatch apply --replace {asset_id} SPECS` computes the asset again; or restore "
            "the object from a copy of the store"
        )


@contextmanager
def _failing(name: str) -> Iterator[None]:
    """Report what the disk refuses as an error of a view."""
    try:
        yield
    except OSError as error:
        is_forbidden = error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}
        remedy = "make the store writable" if is_forbidden else "remove the cause"
        raise StoreError(
            f"cannot check or complete {name}: {error}",
            hint=f"{remedy}, then run `geobatch apply` again: it completes what is missing",
        ) from error
