"""The plain Zarr v3 tree of the head, `zarr/`: hard links to objects, for readers without geobatch.

The document of the tree's own group, `zarr/zarr.json`, says which commit the tree shows, and which
assets are unsettled: touched by a sync that has not ended, and so to be built anew.
"""

from __future__ import annotations

import bisect
import contextlib
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from geobatch.errors import CorruptObjectError, NotFoundError, StoreError
from geobatch.model.asset import Kind
from geobatch.model.record import AssetRecord, Head, TreeEntry
from geobatch.store import zarr_asset
from geobatch.store.local import LocalBackend
from geobatch.store.parquet_view import ParquetView
from geobatch.store.tilestore import TileStore
from geobatch.store.zarr_ahead import Ahead
from geobatch.store.zarr_files import FOLDER, Files
from geobatch.store.zarr_metadata import DOCUMENT, VIEW, folders_above, plain_group

LOCK = "runs/zarr.lock"
"""File whose `flock` the one process holds that changes the tree; the kernel drops it."""


class TreeChange(Struct, frozen=True, kw_only=True):
    """What a sync did."""

    assets: tuple[str, ...] = ()
    """Assets that were built, updated or removed, sorted."""
    linked: int = 0
    """Chunks that became hard links of objects."""
    copied: int = 0
    """Chunks that became copies of objects."""
    removed: int = 0
    """Files that were removed."""


class _Shown(Struct, frozen=True, kw_only=True):
    """What the tree says of itself."""

    entries: Mapping[str, TreeEntry]
    """Assets of the commit that it shows, by id."""
    attributes: Mapping[str, object]
    """The attributes that say so."""
    unsettled: frozenset[str]
    """Assets of which it may show anything."""


class TreeState(Struct, frozen=True, kw_only=True):
    """How the tree stands to a head."""

    number: int | None = None
    """Number of the commit that it shows; None where nobody can tell, or there is no tree."""
    behind: tuple[str, ...] = ()
    """Assets that the next sync would build, update or remove, sorted."""
    is_current: bool = True
    """Whether the next sync would do nothing."""


def look(store: TileStore, *, head: Head) -> TreeState | None:
    """Return how the Zarr tree of a store stands to a head; nothing is changed.

    Returns:
        None for a store that is not on a local disk, which has no tree.

    Raises:
        CorruptObjectError: A document of the head is damaged.
        StoreError: The disk refused.
    """
    backend = store.backend
    if not isinstance(backend, LocalBackend):
        return None
    try:
        tables = ParquetView(store, backend, head).look().tables
        return _with_tables(_Sync(store, backend, head).look(), tables)
    except OSError as error:
        raise StoreError(f"cannot read the Zarr tree `{backend.root / FOLDER}`: {error}") from error


def sync(store: TileStore, *, head: Head | None = None, ahead: Ahead | None = None) -> TreeChange:
    """Make the Zarr tree of a store on a local disk show a head, touching only what differs.

    Chunks come first and metadata last; each file appears complete or not at all. An asset whose
    tiles are encoded as before stays readable throughout; any other is withdrawn, then built. One
    process syncs at a time, others wait. Killed at any instant, the next sync repairs.

    Args:
        store: The store; one that is not on a local disk has no tree, and nothing is done.
        head: What to show; a newer commit, where there is one, is shown instead.
        ahead: Folders of new assets that were made ahead.

    Raises:
        CorruptObjectError: A document or index page of the head is damaged, or an object missing.
        StoreError: The disk refused.
    """
    backend = store.backend
    if not isinstance(backend, LocalBackend):
        return TreeChange()
    try:
        with _locked(backend.root / LOCK):
            # Another process may have published and synced while this one waited for the lock.
            newest = store.head()
            wanted = newest if head is None or newest.number > head.number else head
            change = _Sync(store, backend, wanted, ahead).run()
            tables = ParquetView(store, backend, wanted).sync()
            return TreeChange(
                assets=tuple(sorted({*change.assets, *tables.tables})),
                linked=change.linked + tables.linked,
                copied=change.copied + tables.copied,
                removed=change.removed + tables.removed,
            )
    except OSError as error:
        raise StoreError(
            f"cannot keep the Zarr tree `{backend.root / FOLDER}`: {error}",
            hint="the commit stands; the next apply completes the tree",
        ) from error


def _with_tables(state: TreeState, behind: Collection[str]) -> TreeState:
    return TreeState(
        number=state.number,
        behind=tuple(sorted({*state.behind, *behind})),
        is_current=state.is_current and not behind,
    )


class _Sync:
    """One sync, under the lock."""

    def __init__(
        self, store: TileStore, backend: LocalBackend, head: Head, ahead: Ahead | None = None
    ) -> None:
        self._store = store
        self._ahead = ahead
        self._backend = backend
        self._root = backend.root / FOLDER
        self._files = Files(sources=backend.root, folder=self._root)
        self._wanted = _shown(head)
        self._ids = sorted(self._wanted)
        self._folders = folders_above(self._ids)
        commit = head.commit
        self._attributes = {
            "commit": head.digest,
            "number": head.number,
            "content_root": commit.content_root if commit else None,
            "view": VIEW,
        }

    def run(self) -> TreeChange:
        shown = self._read()
        if shown is None:
            if self._attributes["commit"] is None and not self._root.exists():
                return TreeChange()
            return self._rebuild()
        touched = self._touched(shown)
        if not touched and shown.attributes == self._attributes:
            return TreeChange()
        self._announce({**shown.attributes, "unsettled": sorted(touched)})
        gone = sorted(touched - self._wanted.keys())
        obstacles = [asset_id for asset_id in gone if self._is_obstacle(asset_id)]
        for asset_id in obstacles:
            self._remove(asset_id)
        for asset_id in sorted(touched & self._wanted.keys()):
            is_known = asset_id in shown.entries and asset_id not in shown.unsettled
            self._show(asset_id, shown.entries[asset_id] if is_known else None)
        for asset_id in gone:
            if asset_id not in obstacles:
                self._remove(asset_id)
        return self._finish(touched)

    def look(self) -> TreeState:
        shown = self._read()
        if shown is None:
            is_none = self._attributes["commit"] is None and not self._root.exists()
            return TreeState(behind=tuple(self._ids), is_current=is_none)
        touched = self._touched(shown)
        number = shown.attributes["number"]
        return TreeState(
            number=number if isinstance(number, int) else None,
            behind=tuple(sorted(touched)),
            is_current=not touched and shown.attributes == self._attributes,
        )

    def _rebuild(self) -> TreeChange:
        """Build every asset, and remove all else, where nobody knows what is there."""
        self._files.remove(DOCUMENT)
        documents = {f"{folder}/{DOCUMENT}" for folder in self._folders}
        self._files.sweep("", is_expected=documents.__contains__, spared=self._wanted)
        for folder in self._folders:
            self._files.write(f"{folder}/{DOCUMENT}", plain_group())
        for asset_id in self._ids:
            self._show(asset_id, None)
        return self._finish(self._ids)

    def _finish(self, touched: Collection[str]) -> TreeChange:
        self._backend.sync()
        self._announce(self._attributes)
        return TreeChange(
            assets=tuple(sorted(touched)),
            linked=self._files.linked,
            copied=self._files.copied,
            removed=self._files.removed,
        )

    def _read(self) -> _Shown | None:
        """Return what the tree says of itself, or None where that cannot be relied on."""
        try:
            attributes = json.loads((self._root / DOCUMENT).read_bytes())["attributes"]["geobatch"]
            unsettled = frozenset(attributes.pop("unsettled", ()))
            number, commit = attributes["number"], attributes["commit"]
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None
        if commit is None:
            return _Shown(entries={}, attributes=attributes, unsettled=unsettled)
        try:
            head = self._store.at(str(number))
        except (NotFoundError, CorruptObjectError):
            return None
        if head.digest != commit:
            return None
        entries = _shown(head)
        if attributes.get("view") != VIEW:
            unsettled |= entries.keys()
        return _Shown(entries=entries, attributes=attributes, unsettled=unsettled)

    def _touched(self, shown: _Shown) -> frozenset[str]:
        """Return the assets whose folders differ, or may differ, from what they shall show."""
        differing = {
            asset_id
            for asset_id in shown.entries.keys() | self._wanted.keys()
            if _document(shown.entries, asset_id) != _document(self._wanted, asset_id)
        }
        missing = {
            asset_id
            for asset_id in self._wanted
            if not self._files.exists(f"{asset_id}/{DOCUMENT}")
        }
        return shown.unsettled | differing | missing

    def _show(self, asset_id: str, old: TreeEntry | None) -> None:
        if self._ahead is None or not self._ahead.move(self._wanted[asset_id], self._files):
            self._make(asset_id, old)
        for folder in folders_above([asset_id]):
            if folder not in self._wanted and not self._files.exists(f"{folder}/{DOCUMENT}"):
                self._files.write(f"{folder}/{DOCUMENT}", plain_group())

    def _make(self, asset_id: str, old: TreeEntry | None) -> None:
        record = self._store.record(self._wanted[asset_id])
        before = self._readable(asset_id, old)
        index = self._store.index
        if before is None or not zarr_asset.update(self._files, index, before, record):
            zarr_asset.build(self._files, index, record, spared=self._below(asset_id))

    def _readable(self, asset_id: str, old: TreeEntry | None) -> AssetRecord | None:
        """Return the record that a folder shows, if it is still there to compare with."""
        if old is None or not self._files.exists(f"{asset_id}/{DOCUMENT}"):
            return None
        try:
            return self._store.record(old)
        except CorruptObjectError:
            return None

    def _remove(self, asset_id: str) -> None:
        self._files.sweep(asset_id, spared=self._below(asset_id))
        if asset_id in self._folders:
            self._files.write(f"{asset_id}/{DOCUMENT}", plain_group())
            return
        for folder in sorted(folders_above([asset_id]), reverse=True):
            if folder in self._folders or folder in self._wanted:
                break
            self._files.remove(f"{folder}/{DOCUMENT}")

    def _below(self, asset_id: str) -> frozenset[str]:
        """Return the assets within the folder of another, relative to it."""
        prefix = f"{asset_id}/"
        first = bisect.bisect_left(self._ids, prefix)
        last = bisect.bisect_left(self._ids, f"{asset_id}0")  # the character after the slash
        return frozenset(other.removeprefix(prefix) for other in self._ids[first:last])

    def _is_obstacle(self, asset_id: str) -> bool:
        """Return whether a removed asset's folder is above or within that of another."""
        return asset_id in self._folders or any(
            folder in self._wanted for folder in folders_above([asset_id])
        )

    def _announce(self, attributes: Mapping[str, object]) -> None:
        """Write the document of the tree's own group, durably."""
        document = json.loads(plain_group())
        document["attributes"]["geobatch"] = attributes
        self._files.write(DOCUMENT, json.dumps(document).encode(), is_durable=True)


_ELSEWHERE = (Kind.EXTERNAL_IMAGE, Kind.TABLE)


def _shown(head: Head) -> dict[str, TreeEntry]:
    """Return the assets that the tree can show: those whose pixels are in the store."""
    return {e.id: e for e in head.tree.entries if e.kind not in _ELSEWHERE}


def _document(entries: Mapping[str, TreeEntry], asset_id: str) -> str | None:
    entry = entries.get(asset_id)
    return None if entry is None else entry.stored


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the `flock` of a file, waiting for it."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # A lock on a file that is no longer there keeps nobody out.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    yield
                    return
        finally:
            os.close(descriptor)
