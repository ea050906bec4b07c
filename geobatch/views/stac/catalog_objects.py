"""The catalog of a store in a bucket, `stac/`: the documents that it has on a disk, put last."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.model.published import Head, TreeEntry
from geobatch.stac.links import CATALOG, FOLDER, ITEM, items_file
from geobatch.stac.parquet import has_parquet
from geobatch.store.identity import ZarrView, read_views
from geobatch.views.protocol import Audit, ViewChange, ViewState
from geobatch.views.remote.audit import compare_names
from geobatch.views.remote.change import AssetChange
from geobatch.views.remote.view import RemoteView
from geobatch.views.stac.documents import (
    Documents,
    check_library,
    entries_of,
    other_names,
    read_state,
    touched_by,
)
from geobatch.views.zarr.survey import Shown as State


class CatalogObjects(RemoteView):
    """The items, collections and catalogs of all assets; a view."""

    folder = FOLDER
    document = f"{FOLDER}/{CATALOG}"

    def wanted(self, head: Head) -> dict[str, TreeEntry]:
        """Return the assets that it shows: all."""
        return entries_of(head)

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the catalog show a head, or a newer one; see `View.update`."""
        check_library()
        return super().update(head, is_thorough=is_thorough, again=again)

    def change(self, entry: TreeEntry, before: TreeEntry | None, head: Head) -> AssetChange:
        """Return what changes of an asset; see `RemoteView.change`."""
        del before
        text = self._documents(head).item(entry)
        return AssetChange(asset_id=entry.id, texts={_name(entry.id + ITEM): text})

    def removal(self, asset_id: str, head: Head) -> AssetChange:
        """Return what is removed of an asset that is gone."""
        del head
        return AssetChange(asset_id=asset_id, removed=[_name(asset_id + ITEM)])

    def rest(self, state: State, head: Head) -> AssetChange:
        """Return the documents of folders that change; of an unknown state, also what is foreign.

        The items of such a folder are made again for its Parquet file.
        """
        documents = self._documents(head)
        differing = self._differing(state, head, ()) | state.unsettled
        ids = differing if state.is_known else documents.entries.keys()
        folders, gone = touched_by(documents, ids)
        texts: dict[str, bytes] = {}
        for folder in folders if state.is_known else documents.folders:
            gone += other_names(documents, folder)
            try:
                texts |= self._folder(documents, folder)
            except CorruptObjectError:  # of an asset that stays unsettled
                continue
        removed = [_name(name) for name in gone]
        if not state.is_known:
            items = {_name(one + ITEM) for one in documents.entries}
            removed += [
                name
                for name in self._backend.list(f"{FOLDER}/")
                if name not in texts and name not in items and name != self.document
            ]
        return AssetChange(asset_id="", texts=texts, removed=list(dict.fromkeys(removed)))

    def compare_names(self, head: Head, audit: Audit, found: ViewState) -> ViewState:
        """Return what is wrong with each name; see `View.compare`."""
        documents = self._documents(head)
        texts: dict[str, bytes] = {}
        damaged: dict[str, CorruptObjectError] = {}
        for entry in documents.entries.values():
            try:
                texts[_name(entry.id + ITEM)] = documents.item(entry)
            except CorruptObjectError as error:
                damaged[entry.id] = error
        spared = [_name(one + ITEM) for one in (*found.unsettled, *damaged)]
        for folder in documents.folders:
            names = [items_file(folder), documents.folder_file(folder) or CATALOG]
            try:
                texts |= self._checked_folder(documents, folder, texts)
            except (CorruptObjectError, KeyError):
                spared += map(_name, names)
        return compare_names(
            self._backend,
            found,
            folders=(FOLDER,),
            document=self.document,
            texts=texts,
            shown={},
            spared=tuple(spared),
            damaged=damaged,
            audit=audit,
        )

    def _folder(self, documents: Documents, folder: str) -> dict[str, bytes]:
        name = documents.folder_file(folder)
        if name is None:
            return {}
        texts = {_name(name): documents.folder(folder)}
        if ids := documents.folders[folder]:
            items = [documents.item(documents.entries[one]) for one in ids]
            texts[_name(items_file(folder))] = documents.items(folder, items)
        return texts

    def _checked_folder(
        self, documents: Documents, folder: str, items: Mapping[str, bytes]
    ) -> dict[str, bytes]:
        """Return the documents of a folder; a Parquet file of the same items is as it must be."""
        name = documents.folder_file(folder)
        if name is None:
            return {}
        texts = {_name(name): documents.folder(folder)}
        ids = documents.folders[folder]
        if not ids:
            return texts
        path = _name(items_file(folder))
        inside = [items[_name(one + ITEM)] for one in ids]
        try:
            there = self._backend.get(path)
        except NotFoundError:
            there = None
        if there is not None and not documents.items_problem(folder, inside, there):
            texts[path] = there
        elif has_parquet():
            texts[path] = documents.items(folder, inside)
        return texts

    def _documents(self, head: Head) -> Documents:
        if self._made is None or self._made[0] != head.digest:
            has_tree = read_views(self._backend) is not ZarrView.NONE
            self._made = (head.digest, Documents(self._store, head, has_tree=has_tree))
        return self._made[1]

    _made: tuple[str | None, Documents] | None = None
    """The documents of the head that was asked for last, by its digest."""

    def _state(self, head: Head) -> State:
        try:
            data = self._backend.get(self.document)
        except NotFoundError:
            return State()
        return read_state(data, self._store, head)

    def _announce(self, attributes: Mapping[str, object], unsettled: Collection[str]) -> None:
        """Write the view's own document, which is the topmost catalog."""
        documents = self._documents(self._store.head()) if self._made is None else self._made[1]
        self._backend.replace(self.document, documents.root(attributes, unsettled))


def _name(name: str) -> str:
    return f"{FOLDER}/{name}"
