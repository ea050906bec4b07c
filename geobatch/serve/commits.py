"""Which commit a request is answered from: the newest, an earlier one, or what a plan would make.

The newest is asked for at most twice a second. Each request works on one commit from its beginning
to its end, so what is published meanwhile is never mixed with what was there before.
"""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from functools import cached_property

from msgspec import Struct

from geobatch.errors import NoStoreError, NotFoundError
from geobatch.model.assets.documents.listed import Row
from geobatch.model.published import AssetRecord, Head, TreeEntry
from geobatch.model.text.suggest import suggestion
from geobatch.reading import ExternalChunks
from geobatch.serve.tiles.kept import Kept
from geobatch.serve.tiles.pixels import Published
from geobatch.sources.projections.bounds import transform_bounds
from geobatch.store.caches.asset_list import rows_of
from geobatch.store.location import StoreLocation
from geobatch.store.pixels import Values, Weights
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.keys import Keys

FRESH_SECONDS = 0.5
"""Seconds for which the newest commit is not asked for again."""
KEPT_BYTES = 128 << 20
"""Bytes of decoded tiles that are kept."""
_COMMITS_KEPT = 4
_MOST_SUGGESTED = 10_000
_RECORDS_KEPT = 16 << 20
_RECORD_BYTES = 4096
REHEARSAL = "rehearsal:"
"""How the names of rehearsed plans begin, where a commit may be named."""
_ID = re.compile("[0-9a-f]{8,64}")


class State:
    """The assets of one commit, or of a rehearsed plan."""

    def __init__(self, store: TileStore, head: Head, name: str) -> None:
        self._store = store
        self.head = head
        """The commit; of a rehearsal, only its tree."""
        self.name = name
        """Digest, or `rehearsal:<plan id>`; what `at` takes."""
        self._lock = threading.Lock()

    @property
    def is_plan(self) -> bool:
        """Whether it is what a plan would make, and not published."""
        return self.name.startswith(REHEARSAL)

    def entry(self, asset_id: str) -> TreeEntry:
        """Return the entry of an asset.

        Raises:
            NotFoundError: There is none.
            CorruptObjectError: The page of the tree that lists it is damaged.
        """
        tree = self.head.tree
        found = tree.entry(asset_id)
        if found is None:
            where = f"commit {self.head.number}" if self.head.number else "this state of the store"
            ids = [entry.id for entry in tree.entries] if tree.count <= _MOST_SUGGESTED else []
            hint = suggestion(asset_id, ids)
            raise NotFoundError(f"there is no asset `{asset_id[:200]}` in {where}", hint=hint or "")
        return found

    def rows(self) -> list[tuple[TreeEntry, Row]]:
        """Return the assets with their times, boxes and properties, sorted by id.

        Raises:
            CorruptObjectError: The document of an asset is damaged.
        """
        with self._lock:
            return self._rows

    @cached_property
    def _rows(self) -> list[tuple[TreeEntry, Row]]:
        return list(rows_of(self._store, self.head, locate=transform_bounds))


class Served(Struct, frozen=True, kw_only=True, eq=False):
    """What all requests share."""

    location: StoreLocation
    """Where the store is."""
    store: TileStore
    """The store, open."""
    commits: Commits
    """Its commits."""
    chunks: ExternalChunks
    """Reads external images."""
    kept: Kept[tuple[Values, Weights]]
    """Decoded tiles."""
    records: Kept[AssetRecord]
    """Documents of assets."""

    @classmethod
    def open(cls, location: StoreLocation) -> Served:
        """Open a store.

        Raises:
            NoStoreError: There is none.
            FormatError: A newer geobatch wrote it.
            CorruptObjectError: The file that identifies it is damaged.
        """
        store = TileStore.open(location)
        chunks = ExternalChunks(location)
        return cls(
            location=location,
            store=store,
            commits=Commits(store, chunks),
            chunks=chunks,
            kept=Kept(KEPT_BYTES),
            records=Kept(_RECORDS_KEPT),
        )

    def record(self, entry: TreeEntry) -> AssetRecord:
        """Return the document of an asset.

        Raises:
            CorruptObjectError: It is damaged.
        """
        return self.records.get(
            entry.stored,
            lambda: self.store.record(entry),
            lambda found: _RECORD_BYTES + 200 * len(found.arrays),
        )

    def image(self, state: State, asset_id: str) -> Published:
        """Return an image of a commit.

        Raises:
            NotFoundError: There is no such asset, or it is a table.
            CorruptObjectError: Its document is damaged.
        """
        entry = state.entry(asset_id)
        if entry.is_table:
            raise NotFoundError(f"`{asset_id}` is a table, which has no pixels")
        return Published(
            store=self.store,
            record=self.record(entry),
            stored=entry.stored,
            chunks=self.chunks,
            kept=self.kept,
        )


class Commits:
    """Finds commits; the last few are kept."""

    def __init__(self, store: TileStore, chunks: ExternalChunks) -> None:
        self._store, self._chunks = store, chunks
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, State] = OrderedDict()
        self._keys: OrderedDict[str, Keys] = OrderedDict()
        self._newest: State | None = None
        self._checked = float("-inf")

    def find(self, ref: str = "") -> State:
        """Return a commit: by what `open_store().at` takes, `rehearsal:<plan id>`, or the newest.

        Raises:
            NotFoundError: There is no such commit.
            CorruptObjectError: It is damaged.
            NoStoreError: The store is gone.
        """
        if not ref or ref == "HEAD":
            return self._head()
        with self._lock:
            if ref in self._kept:
                self._kept.move_to_end(ref)
                return self._kept[ref]
            made = self._rehearsed(ref) if ref.startswith(REHEARSAL) else self._state(ref)
            return self._keep(made)

    def keys(self, state: State) -> Keys:
        """Return the Zarr tree of a commit."""
        with self._lock:
            if state.name not in self._keys:
                self._keys[state.name] = Keys(self._store, state.head, self._chunks)
                if len(self._keys) > _COMMITS_KEPT:
                    self._keys.popitem(last=False)
            return self._keys[state.name]

    def _head(self) -> State:
        with self._lock:
            now = time.monotonic()
            newest = self._newest
            if newest is not None and now - self._checked < FRESH_SECONDS:
                return newest
            number = self._store.commits.refs.newest()
            if newest is not None and number < newest.head.number:
                raise NoStoreError(
                    f"the store had commit {newest.head.number}, and now its newest is {number}: "
                    "it was removed or replaced, or its disk is not there",
                    hint="put it back, or start the server again",
                )
            if newest is None or newest.head.number != number:
                newest = self._keep(_state_of(self._store, self._store.head()))
            self._newest, self._checked = newest, now
            return newest

    def _state(self, ref: str) -> State:
        return _state_of(self._store, self._store.at(ref))

    def _rehearsed(self, ref: str) -> State:
        plan = ref.removeprefix(REHEARSAL)
        found = (
            [one for one in self._store.rehearsals.all() if one.id.startswith(plan)]
            if _ID.fullmatch(plan)
            else []
        )
        if len(found) != 1:
            raise NotFoundError(f"there is no rehearsed plan `{plan[:64]}`")
        tree = self._store.commits.trees.read(found[0].tree, "the rehearsed tree")
        return State(self._store, Head(tree=tree), f"{REHEARSAL}{found[0].id}")

    def _keep(self, state: State) -> State:
        if state.name in self._kept:
            return self._kept[state.name]
        self._kept[state.name] = state
        if len(self._kept) > _COMMITS_KEPT:
            self._kept.popitem(last=False)
        return state


def _state_of(store: TileStore, head: Head) -> State:
    return State(store, head, head.digest or "empty")
