"""`zarr/` and `parquet/` in a bucket: copies of objects that the service makes itself."""

from __future__ import annotations

from collections.abc import Iterator

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.format.zarr_layout.paths import join
from geobatch.model.assets.asset import Kind
from geobatch.model.published import AssetRecord, Head, TreeEntry
from geobatch.views.parquet import FOLDER as TABLES
from geobatch.views.parquet import SUFFIX
from geobatch.views.protocol import Audit, ViewState
from geobatch.views.remote.audit import compare_names
from geobatch.views.remote.change import AssetChange, Shown
from geobatch.views.remote.view import RemoteView
from geobatch.views.zarr import asset_folder
from geobatch.views.zarr.metadata import (
    DOCUMENT,
    FOLDER,
    documents,
    folders_above,
    plain_group,
)
from geobatch.views.zarr.survey import Shown as State

_TOP = f"{FOLDER}/{DOCUMENT}"


class CopiedFiles(RemoteView):
    """The Zarr tree of images and the Parquet files of tables; a view."""

    folder = FOLDER
    document = _TOP

    def wanted(self, head: Head) -> dict[str, TreeEntry]:
        """Return the assets that it shows: those whose bytes are in the store."""
        return {e.id: e for e in head.tree.entries if e.kind != Kind.EXTERNAL_IMAGE}

    def change(self, entry: TreeEntry, before: TreeEntry | None, head: Head) -> AssetChange:
        """Return what changes of an asset; see `RemoteView.change`."""
        old = self._record(before)
        record = self._store.record(entry)
        change = AssetChange(asset_id=entry.id)
        if entry.is_table:
            if before is None or not before.is_table:
                change.removed = self._names(entry.id, head)
            change.copies = self._shown(record)
            return change
        found = None
        if old is not None and old.table is None and before is not None and not before.is_table:
            found = asset_folder.difference(self._store.index, old, record)
        if found is None:
            return self._whole(record, head)
        prefix = f"{FOLDER}/{entry.id}"
        change.copies = [_shown_chunk(entry.id, chunk) for chunk in found.chunks]
        change.texts = {f"{prefix}/{path}": text for path, text in found.texts.items()}
        change.removed = [f"{prefix}/{path}" for path in found.removed]
        for path in found.nodes:
            change.removed += self._backend.list(f"{prefix}/{path}/")
        return change

    def removal(self, asset_id: str, head: Head) -> AssetChange:
        """Return what is removed of an asset that is gone; its documents go first."""
        names = [*self._names(asset_id, head), *self._backend.list(_table(asset_id))]
        first = [name for name in names if name.endswith(DOCUMENT)]
        rest = [name for name in names if not name.endswith(DOCUMENT)]
        return AssetChange(asset_id=asset_id, first=first, removed=rest)

    def rest(self, state: State, head: Head) -> AssetChange:
        """Return how the groups above assets change; of an unknown state, also what is foreign."""
        texts = _groups(head)
        if not state.is_known:
            return AssetChange(asset_id="", texts=texts, removed=sorted(self._foreign(head)))
        images = {one for one, entry in state.entries.items() if not entry.is_table}
        before = {_document(folder) for folder in folders_above(images) - images}
        # A killed update may have written the groups of its assets, or deleted others.
        mixed = {_document(folder) for folder in folders_above(state.unsettled)}
        wanted = {_document(one) for one, entry in self.wanted(head).items() if not entry.is_table}
        return AssetChange(
            asset_id="",
            texts={n: text for n, text in texts.items() if n not in before or state.unsettled},
            removed=sorted((before | mixed) - texts.keys() - wanted),
        )

    def compare_names(self, head: Head, audit: Audit, found: ViewState) -> ViewState:
        """Return what is wrong with each name; see `View.compare`."""
        texts = _groups(head)
        shown: dict[str, Shown] = {}
        damaged: dict[str, CorruptObjectError] = {}
        spared = [f"{FOLDER}/{one}/" for one in found.unsettled]
        for entry in self.wanted(head).values():
            try:
                record = self._store.record(entry)
                shown |= {one.name: one for one in self._shown(record)}
            except CorruptObjectError as error:
                damaged[entry.id] = error
                spared.append(f"{FOLDER}/{entry.id}/")
                continue
            if not entry.is_table:
                prefix = f"{FOLDER}/{entry.id}"
                texts |= {f"{prefix}/{path}": text for path, text in documents(record).items()}
        return compare_names(
            self._backend,
            found,
            folders=(FOLDER, TABLES),
            document=_TOP,
            texts=texts,
            shown=shown,
            spared=tuple(spared),
            damaged=damaged,
            audit=audit,
        )

    def _record(self, entry: TreeEntry | None) -> AssetRecord | None:
        try:
            return None if entry is None else self._store.record(entry)
        except CorruptObjectError:
            return None

    def _whole(self, record: AssetRecord, head: Head) -> AssetChange:
        """Return the change of an asset of which it is not known what is there."""
        asset_id = record.asset.id
        texts = {f"{FOLDER}/{asset_id}/{p}": text for p, text in documents(record).items()}
        copies = self._shown(record)
        there = self._names(asset_id, head)
        first: list[str] = []
        own = _document(asset_id)
        if there and not self._has(own, texts[own]):
            # They may say of chunks to come how to read others: they go first, and come back last.
            first = [name for name in there if name.endswith(DOCUMENT)]
        wanted = {one.name for one in copies} | texts.keys()
        table = list(self._backend.list(_table(asset_id)))
        return AssetChange(
            asset_id=asset_id,
            first=first,
            copies=copies,
            texts=texts,
            removed=[name for name in (*there, *table) if name not in wanted],
        )

    def _has(self, name: str, data: bytes) -> bool:
        try:
            return self._backend.get(name) == data
        except NotFoundError:
            return False

    def _shown(self, record: AssetRecord) -> list[Shown]:
        if record.table is not None:
            table = record.table
            return [Shown(name=_table(record.asset.id), stored=table.stored, size=table.size)]
        chunks = asset_folder.chunks(self._store.index, record)
        return [_shown_chunk(record.asset.id, chunk) for chunk in chunks]

    def _names(self, asset_id: str, head: Head) -> list[str]:
        """Return the names in the folder of an asset, without those of assets within."""
        prefix = f"{FOLDER}/{asset_id}/"
        below = {e.id for e in head.tree.entries if e.id.startswith(f"{asset_id}/")}
        inner = tuple(f"{FOLDER}/{one}/" for one in below)
        groups = _groups(head)
        return [
            name
            for name in self._backend.list(prefix)
            if not name.startswith(inner) and name not in groups
        ]

    def _foreign(self, head: Head) -> Iterator[str]:
        """Yield names in the folders of the view that belong to no asset of a head."""
        groups, wanted = _groups(head), self.wanted(head)
        for name in self._backend.list(f"{FOLDER}/"):
            above = folders_above([name.removeprefix(f"{FOLDER}/")])
            is_inside = any(one in wanted and not wanted[one].is_table for one in above)
            if name != _TOP and name not in groups and not is_inside:
                yield name
        for name in self._backend.list(f"{TABLES}/"):
            entry = wanted.get(name.removeprefix(f"{TABLES}/").removesuffix(SUFFIX))
            if entry is None or not entry.is_table or name != _table(entry.id):
                yield name


def _groups(head: Head) -> dict[str, bytes]:
    """Return the documents of the groups above assets, by name."""
    kinds = (Kind.EXTERNAL_IMAGE, Kind.TABLE)
    ids = {entry.id for entry in head.tree.entries if entry.kind not in kinds}
    return {_document(folder): plain_group() for folder in folders_above(ids) - ids}


def _document(folder: str) -> str:
    return join(FOLDER, folder, DOCUMENT)


def _table(asset_id: str) -> str:
    return f"{TABLES}/{asset_id}{SUFFIX}"


def _shown_chunk(asset_id: str, chunk: asset_folder.Chunk) -> Shown:
    return Shown(name=f"{FOLDER}/{asset_id}/{chunk.path}", stored=chunk.stored, size=chunk.size)
