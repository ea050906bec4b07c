"""Commits of one store copied to another, which then shows them."""

from __future__ import annotations

import os
from contextlib import closing
from itertools import chain
from pathlib import Path

from msgspec import Struct

from geobatch.errors import InterruptedRunError, StoreError
from geobatch.logs import Logger
from geobatch.model.assets.asset import Kind
from geobatch.model.published import Head
from geobatch.store.backends.protocol import Backend
from geobatch.store.caches.cache import SourceCache
from geobatch.store.copying.copy import Copied, CopyOptions, Progress, copy_commits
from geobatch.store.location import StoreLocation, StoreText
from geobatch.store.maintenance.sync_repair import settle
from geobatch.store.tilestore import TileStore
from geobatch.views.stac.switch import switch_catalog
from geobatch.views.store_views import has_catalog
from geobatch.workflow.views import open_views, show

_LOG = Logger(__name__)


class StoreCopy(Struct, frozen=True, kw_only=True):
    """A copy of a store."""

    source: str
    """Where the source is."""
    target: str
    """Where the receiver is."""
    copied: Copied
    """What was copied."""
    unfound: tuple[str, ...]
    """External images of the newest commit whose files are named relative to the source."""


def copy(
    source: StoreText,
    target: StoreText,
    options: CopyOptions,
    *,
    progress: Progress = lambda *_: None,
) -> StoreCopy:
    """Copy commits to a store that is new, or has a part of them; see `copy_commits`.

    Args:
        source: Folder or url of the store that is copied.
        target: That of the one that receives.
        options: What is copied.
        progress: Notified while objects are sent.

    Raises:
        NoStoreError: There is no source.
        InterruptedRunError: The user stopped it.
        StoreError: Both are the same; or one cannot be read or written; or all is copied, and the
            views are not updated.
    """
    place = StoreLocation.of(target)
    with (
        closing(TileStore.open(StoreLocation.of(source))) as store,
        closing(place.open_backend()) as there,
    ):
        _check_different(store.backend, there)
        try:
            copied = copy_commits(store, there, options, progress=progress)
        except KeyboardInterrupt:
            raise InterruptedRunError(
                "interrupted while objects were copied",
                hint="run the same command again: what was sent is not sent again",
            ) from None
        unfound = tuple(_unfound(store, copied))
        if not options.is_dry_run:
            is_on = options.has_catalog
            if is_on is None and copied.is_new:
                is_on = has_catalog(store.backend)
            _show(place, is_new=bool(copied.histories.missing), is_on=is_on)
        return StoreCopy(
            source=store.backend.location,
            target=there.location,
            copied=copied,
            unfound=unfound,
        )


def _check_different(one: Backend, other: Backend) -> None:
    """Refuse a store that would be copied to itself, or into itself."""
    ours, theirs = (
        backend.location if backend.local is None else os.path.realpath(backend.local.root)
        for backend in (one, other)
    )
    if ours == theirs:
        raise StoreError(f"`{ours}` is named twice", hint="name a store and another location")
    for inner, outer in ((ours, theirs), (theirs, ours)):
        if inner.startswith(f"{outer.rstrip('/')}/"):
            raise StoreError(
                f"`{inner}` is inside `{outer}`; everything in a store belongs to it",
                hint="name a location beside the store",
            )


def _show(place: StoreLocation, *, is_new: bool, is_on: bool | None) -> None:
    """Update the views of the receiver, and give it a STAC catalog, or remove it, if so decided."""
    with closing(TileStore.open(place)) as store, SourceCache(place) as cache:
        settle(store)
        if is_on is not None:
            switch_catalog(store, place, is_on=is_on)
        head = store.head()
        show(open_views(store, cache=cache), head, again=(), is_new=is_new)
        store.remove_dead_runs()
    _LOG.info("`%s` has commit %d", place, head.number)


def _unfound(store: TileStore, copied: Copied) -> list[str]:
    """Return external images whose files are not found from another folder."""
    head = store.at(str(copied.histories.top)) if copied.histories.top else Head()
    found = []
    for entry in head.tree.entries:
        if entry.kind != Kind.EXTERNAL_IMAGE:
            continue
        tilesets = store.record(entry).image.tilesets
        pins = (one.pin for one in chain.from_iterable(t.sources for t in tilesets))
        places = [pin.location for pin in pins if pin is not None]
        if any("://" not in one and not Path(one).is_absolute() for one in places):
            found.append(entry.id)
    return found
