"""What the catalog of a head consists of: names and bytes of its documents."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from geobatch.errors import CorruptObjectError, StoreError
from geobatch.extras import install_hint
from geobatch.model.assets.documents.listed import Row
from geobatch.model.published import Head, TreeEntry
from geobatch.stac.collections import catalog_json, children_of, collection_json, folders_of
from geobatch.stac.item import item_json
from geobatch.stac.links import CATALOG, FileLinks, folder_file, items_file
from geobatch.stac.names import folder_of
from geobatch.stac.outline import locate
from geobatch.stac.parquet import has_parquet, items_problem, write_items
from geobatch.stac.properties import PREFIX
from geobatch.store.caches.asset_list import rows_of
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.survey import Shown, attributes_of, read_shown

RULES = 1
"""Raised whenever equal assets would get other documents: all are made again then."""


class Documents:
    """The documents of a head; each is made when it is asked for."""

    def __init__(
        self, store: TileStore, head: Head, *, has_tree: bool, base: str | None = None
    ) -> None:
        """Read nothing yet.

        Args:
            store: The store.
            head: The commit.
            has_tree: Whether the store has `zarr/` and `parquet/`.
            base: Where the store is, if the documents are not in it: a folder or url.
        """
        self._store = store
        self._head = head
        self._has_tree = has_tree
        self._base = base
        self.entries = entries_of(head)
        """The assets, by id."""
        self.folders = folders_of(self.entries)
        """The assets directly in each folder, by the folder; the empty name is the topmost one."""

    def item(self, entry: TreeEntry) -> bytes:
        """Return an item.

        Raises:
            CorruptObjectError: The document of the asset is damaged.
        """
        links = self._from(folder_of(entry.id))
        record = self._store.record(entry)
        return _text(item_json(entry, record, links, has_tree=self._has_tree))

    def folder_file(self, folder: str) -> str | None:
        """Return the name of the document of a folder; None if the root has no assets."""
        ids = self.folders[folder]
        return folder_file(folder, is_collection=bool(ids)) if ids or folder else None

    def folder(self, folder: str) -> bytes:
        """Return the collection or catalog that a folder is.

        Raises:
            CorruptObjectError: The document of an asset is damaged.
        """
        if self.folders[folder]:
            return _text(self._collection(folder, is_alone=False))
        made = catalog_json(
            folder,
            self._from(folder),
            folders=self.folders,
            children=self._children[folder],
            title=folder,
        )
        return _text(made)

    def items(self, folder: str, items: Sequence[bytes]) -> bytes:
        """Return the file of the items of a folder, which are sorted by id.

        Raises:
            CorruptObjectError: The document of an asset is damaged.
        """
        return write_items(items, self._collection(folder, is_alone=True))

    def items_problem(self, folder: str, items: Sequence[bytes], data: bytes) -> str:
        """Return what is wrong with a file of the items of a folder; empty if nothing is.

        Nothing is said without pyarrow.

        Raises:
            CorruptObjectError: The document of an asset is damaged.
        """
        if not has_parquet():
            return ""
        return items_problem(data, items, self._collection(folder, is_alone=True))

    def root(self, attributes: Mapping[str, object], unsettled: Collection[str] = ()) -> bytes:
        """Return the topmost catalog, which says what is shown, as `zarr/zarr.json` does."""
        facts = {
            **{key: attributes[key] for key in ("commit", "number", "content_root")},
            "rules": RULES,
            **({"unsettled": sorted(unsettled)} if unsettled else {}),
        }
        made = catalog_json(
            "",
            self._from(""),
            folders=self.folders,
            children=self._children[""],
            title="geobatch",
            facts=facts,
        )
        return _text(made)

    def _collection(self, folder: str, *, is_alone: bool) -> dict[str, Any]:
        return collection_json(
            folder,
            self._rows_of(folder),
            self._from(folder),
            folders=self.folders,
            children=self._children[folder] if folder else (),
            has_items=not is_alone,
        )

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        return children_of(self.folders)

    def _rows_of(self, folder: str) -> list[tuple[str, Row]]:
        ids = self.folders[folder]
        rows = self._rows
        if rows is None:
            prefix = f"{folder}/" if folder else ""
            rows = self._read_rows(prefix)
        return [(one, rows[one]) for one in ids]

    @cached_property
    def _rows(self) -> dict[str, Row] | None:
        """The rows of all assets; None if a document is damaged, which hurts its folder alone."""
        try:
            return self._read_rows("")
        except CorruptObjectError:
            return None

    def _read_rows(self, prefix: str) -> dict[str, Row]:
        found = rows_of(self._store, self._head, prefix=prefix, locate=locate)
        return {entry.id: row for entry, row in found}

    def _from(self, folder: str) -> FileLinks:
        return FileLinks(at=folder, store=self._base)


def with_above(folders: Iterable[str]) -> set[str]:
    """Return folders and all above them; the empty name is the topmost one."""
    found: set[str] = set()
    for folder in folders:
        one = folder
        while one not in found:
            found.add(one)
            one = folder_of(one)
    return found


def entries_of(head: Head) -> dict[str, TreeEntry]:
    """Return the assets of a commit, by id: each has an item."""
    return {entry.id: entry for entry in head.tree.entries}


def touched_by(documents: Documents, asset_ids: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return the folders whose documents may change with some assets, sorted.

    Returns:
        Those that there are, and names of documents of others, which are gone.
    """
    found = with_above(map(folder_of, asset_ids))
    gone = [name for folder in sorted(found - documents.folders.keys()) for name in _all(folder)]
    return sorted(found & documents.folders.keys()), gone


def other_names(documents: Documents, folder: str) -> list[str]:
    """Return the names of documents that a folder does not have, and may have had before."""
    kept = {CATALOG} if not folder else set()
    kept |= {documents.folder_file(folder) or ""}
    kept |= {items_file(folder)} if documents.folders[folder] else set()
    return [name for name in _all(folder) if name not in kept]


def _all(folder: str) -> list[str]:
    return [folder_file(folder, is_collection=flag) for flag in (False, True)] + [
        items_file(folder)
    ]


def read_state(data: bytes, store: TileStore, head: Head) -> Shown:
    """Return the state that the topmost catalog records."""
    try:
        document = json.loads(data)
        names = ("commit", "number", "content_root")
        facts = {name: document[PREFIX + name] for name in names}
        unsettled = list(map(str, document.get(f"{PREFIX}unsettled", ())))
        is_same = document[f"{PREFIX}rules"] == RULES
    except (ValueError, KeyError, TypeError, AttributeError):
        return Shown()
    facts["view"] = attributes_of(head)["view"] if is_same else 0
    text = json.dumps({"attributes": {"geobatch": {**facts, "unsettled": unsettled}}})
    return read_shown(text.encode(), store, head, entries_of=entries_of)


def check_library() -> None:
    """Refuse to change a catalog without the library that writes its files of items.

    Raises:
        StoreError: pyarrow is not installed.
    """
    if not has_parquet():
        raise StoreError(
            "the store has a STAC catalog, whose `items.parquet` is written by pyarrow",
            hint=install_hint("table"),
        )


def _text(document: dict[str, Any]) -> bytes:
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"
