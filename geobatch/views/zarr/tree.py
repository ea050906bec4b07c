"""The plain Zarr v3 tree of the head, `zarr/`: hard links to objects, for readers without geobatch.

The document of the tree's own group, `zarr/zarr.json`, says which commit the tree shows, and which
assets are unsettled: touched by an update that has not ended, and so to be compared file by file.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping

from geobatch.errors import CorruptObjectError
from geobatch.model.published import AssetRecord, Head
from geobatch.model.sources.file_stat import MARGIN_NS
from geobatch.store.backends.protocol import LocalDisk
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.views.aside import AsideFolders
from geobatch.views.files import Files, check_is_folder
from geobatch.views.protocol import Audit, Part, ViewChange, ViewState
from geobatch.views.zarr import asset_folder
from geobatch.views.zarr.audit import own_parts
from geobatch.views.zarr.check import remove_guests
from geobatch.views.zarr.metadata import DOCUMENT, FOLDER, folders_above, plain_group
from geobatch.views.zarr.staging import Staging
from geobatch.views.zarr.survey import Survey, Surveyor, attributes_of, document_of

MOST_SWAPPED = 1_000
"""Chunks of an asset whose folder is made aside and exchanged as a whole.

So many links, and to remove the former ones, take 0.07 s: an edit of one block must not cost more.
"""


class ZarrTree:
    """The Zarr tree of a store on a local disk; a view.

    The folder of an asset is made aside and exchanged as a whole; one of very many files, or with
    another asset within, is changed in place. What changes is written down before.
    """

    def __init__(
        self,
        store: TileStore,
        disk: LocalDisk,
        *,
        staging: Staging | None = None,
        cache: SourceCache | None = None,
        most_swapped: int = MOST_SWAPPED,
    ) -> None:
        """Do nothing yet.

        Args:
            store: The store.
            disk: Where it is.
            staging: Folders of new assets that were made ahead.
            cache: Where the states of folders are cached.
            most_swapped: Files of an asset that are made aside as a whole.
        """
        self._store = store
        self._disk = disk
        self._staging = staging
        self._cache = cache
        self._most_swapped = most_swapped
        self._root = disk.root / FOLDER

    @property
    def name(self) -> str:
        """What it is and where; see `View.name`."""
        return f"the Zarr tree `{self._root}`"

    @property
    def folder(self) -> str:
        """Its folder in the store."""
        return FOLDER

    def compare(self, head: Head, audit: Audit | None = None) -> ViewState:
        """Return how the tree differs from a head; see `View.compare`."""
        check_is_folder(self._root)
        cache = self._cache if audit is None else None
        found = Surveyor(self._store, self._root, head, cache, audit).survey(is_thorough=True)
        shown = found.shown
        number = shown.attributes["number"]
        own = [] if audit is None else own_parts(self._store, self._root, head, found)
        parts = [
            Part(path=f"{FOLDER}/{one.path}", problem=one.problem) for one in (*found.parts, *own)
        ]
        is_none = head.commit is None and not os.path.lexists(self._root)
        return ViewState(
            number=number if shown.is_known and isinstance(number, int) else None,
            behind=tuple(sorted(found.touched)),
            parts=tuple(sorted(parts)),
            is_current=not found.touched and not parts and (is_none or _is_said(found, head)),
            damaged=found.damaged,
            unsettled=tuple(sorted(shown.unsettled)),
            is_former=shown.is_former,
            intact=found.intact,
        )

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the tree show a head; see `View.update`."""
        check_is_folder(self._root)
        surveyor = self._surveyor(head)
        found = surveyor.survey(is_thorough=is_thorough, again=again)
        update = _Update(self._store, self._disk, surveyor, head, most_swapped=self._most_swapped)
        return update.run(found, self._staging)

    def _surveyor(self, head: Head) -> Surveyor:
        return Surveyor(self._store, self._root, head, self._cache)


class _Update:
    """One update, which no other process makes at the same time."""

    def __init__(
        self,
        store: TileStore,
        disk: LocalDisk,
        surveyor: Surveyor,
        head: Head,
        *,
        most_swapped: int,
    ) -> None:
        self._store = store
        self._disk = disk
        self._surveyor = surveyor
        self._wanted = surveyor.wanted
        self._head = head
        self._most_swapped = most_swapped
        self._root = disk.root / FOLDER
        self._files = Files(sources=disk.root, folder=self._root)
        self._aside = AsideFolders(disk, self._root)

    def run(self, found: Survey, staging: Staging | None) -> ViewChange:
        shown, folders = found.shown, found.folders
        if self._head.commit is None and not os.path.lexists(self._root):
            return ViewChange()
        is_said = _is_said(found, self._head) and not found.damaged
        if is_said and not found.touched and not folders.strange and not folders.unlike:
            return ViewChange()
        damaged = dict(found.damaged)
        self._announce(shown.attributes, unsettled=found.touched | damaged.keys())
        gone = sorted(found.touched - self._wanted.keys() - found.inside)
        # What is in the way of a folder goes before that is made.
        first = [asset_id for asset_id in gone if asset_id in self._surveyor.folders]
        for asset_id in first:
            self._remove(asset_id)
        shown_again: dict[str, str] = {}
        states: dict[str, bytes] = {}
        for asset_id in sorted(found.touched & self._wanted.keys()):
            try:
                state, names = self._show(asset_id, found, staging)
                if state:
                    states[asset_id] = state
                else:
                    shown_again[asset_id] = names
            except CorruptObjectError as error:
                damaged[asset_id] = error
        for asset_id in gone:
            if asset_id not in first:
                self._remove(asset_id)
        self._tidy()
        changed = time.monotonic()
        self._store.backend.sync()
        self._announce(attributes_of(self._head), unsettled=damaged.keys())
        removed = self._aside.remove()
        if shown_again and self._surveyor.has_cache:
            # A change within the same tick of the clock could not be noticed later.
            time.sleep(max(0.0, changed + MARGIN_NS / 1e9 - time.monotonic()))
        self._surveyor.save(shown_again, states)
        return ViewChange(
            assets=tuple(sorted(found.touched)),
            linked=self._files.linked,
            copied=self._files.copied,
            removed=self._files.removed + removed,
            damaged=damaged,
        )

    def _show(self, asset_id: str, found: Survey, staging: Staging | None) -> tuple[bytes, str]:
        """Make the folder of an asset show what it must.

        Returns:
            Its state and the names in it, if these are known; else empty ones.
        """
        entry = self._wanted[asset_id]
        is_shared = self._holds_others(asset_id)
        state, names = (b"", "") if staging is None else staging.known_of(entry)
        if is_shared or staging is None or not staging.move(entry, self._files):
            state, names = b"", ""
            record = self._store.record(entry)
            if is_shared or not self._swap(record):
                self._change(record, found)
        for folder in folders_above([asset_id]):
            if folder not in self._wanted and not self._files.exists(f"{folder}/{DOCUMENT}"):
                self._files.write(f"{folder}/{DOCUMENT}", plain_group())
        return state, names

    def _swap(self, record: AssetRecord) -> bool:
        """Build an asset's folder elsewhere and exchange it; return whether it was possible."""
        if asset_folder.tile_count(record) > self._most_swapped or not self._aside.is_near():
            return False
        asset_id, folder = record.asset.id, self._aside.path()
        files = Files(sources=self._disk.root, folder=folder)
        asset_folder.build(files, self._store.index, record)
        return self._files.put(folder / asset_id, asset_id, made_by=files)

    def _change(self, record: AssetRecord, found: Survey) -> None:
        """Change the folder of an asset in place; what other programs left there goes."""
        self._change_files(record, found)
        remove_guests(self._files, record)

    def _change_files(self, record: AssetRecord, found: Survey) -> None:
        asset_id, index = record.asset.id, self._store.index
        before = self._before(asset_id, found)
        if before is not None and asset_folder.update(self._files, index, before, record):
            return
        entry = self._wanted[asset_id]
        differing = found.broken.get(asset_id) or self._surveyor.compare(entry)
        others = (path for path in differing.texts if path.endswith(DOCUMENT))
        if any(self._files.exists(f"{asset_id}/{path}") for path in others):
            # They may say of chunks to come how to read others: they go first, and come back last.
            self._files.sweep(
                asset_id,
                is_expected=lambda path: not path.endswith(DOCUMENT),
                spared=self._surveyor.below(asset_id),
            )
            differing = self._surveyor.compare(entry)
        for path in differing.foreign:
            self._files.sweep(f"{asset_id}/{path}".removesuffix("/"))
        asset_folder.change(self._files, asset_id, differing.chunks, differing.texts, ())

    def _before(self, asset_id: str, found: Survey) -> AssetRecord | None:
        """Return the record that a folder shows to the last tile, if that is known."""
        old = found.shown.entries.get(asset_id)
        is_unknown = found.is_thorough or asset_id in found.shown.unsettled
        is_unknown = is_unknown or asset_id in found.hosts or old == self._wanted[asset_id]
        if old is None or is_unknown or not self._files.exists(f"{asset_id}/{DOCUMENT}"):
            return None
        try:
            return self._store.record(old)
        except CorruptObjectError:
            return None

    def _remove(self, asset_id: str) -> None:
        """Remove an asset that is gone, in one step where no other is within its folder."""
        if self._holds_others(asset_id):
            self._files.sweep(asset_id, spared=self._surveyor.below(asset_id))
        else:
            self._take_away(asset_id)
        folders = self._surveyor.folders
        if asset_id in folders:
            self._files.write(f"{asset_id}/{DOCUMENT}", plain_group())
            return
        for folder in sorted(folders_above([asset_id]), reverse=True):
            if folder in folders or folder in self._wanted:
                break
            self._files.remove(f"{folder}/{DOCUMENT}")

    def _tidy(self) -> None:
        """Remove what does not belong above the assets, and write what does."""
        folders = self._surveyor.compare_folders()
        for path in folders.strange:
            self._take_away(path)
        for folder in folders.unlike:
            self._files.write(f"{folder}/{DOCUMENT}", plain_group())

    def _take_away(self, path: str) -> None:
        if not self._aside.is_near() or not self._files.take_away(path, self._aside.path()):
            self._files.sweep(path)

    def _holds_others(self, asset_id: str) -> bool:
        """Return whether another asset is within the folder of one."""
        below = self._surveyor.below(asset_id)
        return any(self._files.exists(f"{asset_id}/{other}") for other in below)

    def _announce(self, attributes: Mapping[str, object], *, unsettled: Collection[str]) -> None:
        """Write the document of the tree's own group, durably."""
        self._files.write(DOCUMENT, document_of(attributes, unsettled), is_durable=True)


def _is_said(found: Survey, head: Head) -> bool:
    """Return whether the tree says that it shows a head, and nothing is unsettled."""
    shown = found.shown
    return shown.is_read and shown.attributes == attributes_of(head) and not shown.unsettled
