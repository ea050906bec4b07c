"""The catalog of a store on a local disk, `stac/`: a document per asset, and one per folder.

`stac/catalog.json` says which commit is shown, and which assets are unsettled: touched by an update
that has not ended. What the file system says of files that are well is cached by the folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Head
from geobatch.model.sources.file_stat import MARGIN_NS
from geobatch.stac.links import CATALOG, FOLDER, ITEM, items_file
from geobatch.stac.names import folder_of
from geobatch.store.backends.protocol import LocalDisk
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.views.files import Files, check_is_folder
from geobatch.views.protocol import FOREIGN, MISSING, Audit, Part, ViewChange, ViewState
from geobatch.views.stac.documents import (
    Documents,
    check_library,
    other_names,
    read_state,
    touched_by,
)
from geobatch.views.zarr.check import stamp_of
from geobatch.views.zarr.survey import Shown, attributes_of

_CACHED = "stac:"
"""What precedes a folder in the cache; no asset has a colon in its id."""


class _Survey(Struct, kw_only=True):
    """What differs."""

    shown: Shown
    """What the catalog records."""
    differing: set[str]
    """Assets whose items differ, are missing, or must be removed."""
    problems: dict[str, str]
    """What is wrong with names that should be right already."""
    damaged: dict[str, CorruptObjectError]
    """Assets whose documents are damaged."""
    folders: set[str]
    """Folders some of whose other documents are wrong."""
    unsaved: list[str]
    """Folders that are well, and whose state is not cached yet."""


class CatalogFolder:
    """The catalog of a store on a local disk; a view."""

    folder = FOLDER

    def __init__(self, store: TileStore, disk: LocalDisk, *, cache: SourceCache | None) -> None:
        """Do nothing yet.

        Args:
            store: The store.
            disk: Where it is.
            cache: Where the states of folders are cached.
        """
        self._store = store
        self._root = disk.root / FOLDER
        self._disk = disk
        self._cache = cache

    @property
    def name(self) -> str:
        """What it is and where; see `View.name`."""
        return f"the STAC catalog `{self._root}`"

    def compare(self, head: Head, audit: Audit | None = None) -> ViewState:
        """Return how the catalog differs from a head; see `View.compare`.

        Without pyarrow, nothing is said of the content of files of items.
        """
        check_is_folder(self._root)
        found = self._survey(self._documents(head), head, is_cached=audit is None)
        shown = found.shown
        number = shown.attributes["number"]
        parts = [
            Part(path=f"{FOLDER}/{name}", problem=problem)
            for name, problem in found.problems.items()
            if name.removesuffix(ITEM) not in shown.unsettled
        ]
        return ViewState(
            number=number if shown.is_known and isinstance(number, int) else None,
            behind=tuple(sorted(found.differing)),
            parts=tuple(sorted(parts)),
            is_current=not found.differing and not found.problems and _is_said(shown, head),
            damaged=found.damaged,
            unsettled=tuple(sorted(shown.unsettled)),
        )

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the catalog show a head; see `View.update`."""
        check_is_folder(self._root)
        check_library()
        documents = self._documents(head)
        found = self._survey(documents, head, is_thorough=is_thorough, again=again)
        if not found.differing and not found.problems and _is_said(found.shown, head):
            self._save(documents, found.unsaved)
            return ViewChange()
        return self._change(documents, head, found)

    def _documents(self, head: Head) -> Documents:
        return Documents(self._store, head, has_tree=True)

    def _survey(
        self,
        documents: Documents,
        head: Head,
        *,
        is_thorough: bool = True,
        is_cached: bool = True,
        again: Collection[str] = (),
    ) -> _Survey:
        shown = self._read(head)
        wanted, before = documents.entries, shown.entries
        differing = {
            one
            for one in wanted.keys() | before.keys()
            if one not in wanted or one not in before or wanted[one].stored != before[one].stored
        }
        differing |= shown.unsettled | (wanted.keys() & set(again))
        found = _Survey(
            shown=shown,
            differing=differing if shown.is_known else set(),
            problems={},
            damaged={},
            folders=set(),
            unsaved=[],
        )
        if is_thorough or not shown.is_known:
            _Comparison(self._root, documents, found).compare(
                self._cache if is_cached else None, is_known=shown.is_known
            )
        return found

    def _read(self, head: Head) -> Shown:
        try:
            data = (self._root / CATALOG).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return Shown()
        return read_state(data, self._store, head)

    def _change(self, documents: Documents, head: Head, found: _Survey) -> ViewChange:
        files = Files(sources=self._disk.root, folder=self._root)
        damaged = dict(found.damaged)
        existing, gone = touched_by(documents, found.differing)
        touched = {*existing, *found.folders}
        attributes = found.shown.attributes
        unsettled = found.differing | found.shown.unsettled
        files.write(CATALOG, documents.root(attributes, unsettled), is_durable=True)
        for name, problem in found.problems.items():
            if problem == FOREIGN:
                files.sweep(name) if (self._root / name).is_dir() else files.remove(name)
        for asset_id in sorted(found.differing):
            entry = documents.entries.get(asset_id)
            if entry is None:
                files.remove(asset_id + ITEM)
                continue
            try:
                files.write(asset_id + ITEM, documents.item(entry))
            except CorruptObjectError as error:
                damaged[asset_id] = error
        for name in gone:
            files.remove(name)
        hurt = {folder_of(asset_id) for asset_id in damaged}
        for folder in sorted(touched - hurt):
            try:
                self._write_folder(files, documents, folder)
            except CorruptObjectError as error:
                damaged[documents.folders[folder][0]] = error
        changed = time.monotonic()
        self._store.backend.sync()
        root = documents.root(attributes_of(head), damaged.keys())
        files.write(CATALOG, root, is_durable=True)
        if self._cache is not None:
            # A change within the same tick of the clock could not be noticed later.
            time.sleep(max(0.0, changed + MARGIN_NS / 1e9 - time.monotonic()))
            self._save(documents, [*touched, *found.unsaved])
        return ViewChange(
            assets=tuple(sorted(found.differing)), removed=files.removed, damaged=damaged
        )

    def _write_folder(self, files: Files, documents: Documents, folder: str) -> None:
        name = documents.folder_file(folder)
        for other in other_names(documents, folder):
            files.remove(other)
        if name is not None:
            files.write(name, documents.folder(folder))
        if ids := documents.folders[folder]:
            items = [self._item(documents, one) for one in ids]
            files.write(items_file(folder), documents.items(folder, items))

    def _item(self, documents: Documents, asset_id: str) -> bytes:
        try:
            return (self._root / (asset_id + ITEM)).read_bytes()
        except FileNotFoundError:  # removed since the files were compared
            return documents.item(documents.entries[asset_id])

    def _save(self, documents: Documents, folders: Collection[str]) -> None:
        if self._cache is None:
            return
        for folder in folders:
            state = _state_of(self._root, documents, folder)
            self._cache.put_folder(_CACHED + folder, state or b"")


class _Comparison:
    """Compares the files of a catalog with what they must be."""

    def __init__(self, root: Path, documents: Documents, found: _Survey) -> None:
        self._root = root
        self._documents = documents
        self._found = found

    def compare(self, cache: SourceCache | None, *, is_known: bool) -> None:
        """Note what differs; the files of a folder in a state that is cached are not read.

        Raises:
            OSError: The disk refused.
        """
        documents, found = self._documents, self._found
        self._compare_names()
        saved = {}
        if cache is not None and is_known:
            saved = cache.get_folders([_CACHED + one for one in documents.folders])
        for folder, ids in documents.folders.items():
            state = saved.get(_CACHED + folder)
            if state and state == _state_of(self._root, documents, folder):
                continue
            items = [self._item(one) for one in ids if one not in found.differing]
            is_whole = len(items) == len(ids) and None not in items
            self._compare_folder(folder, [one for one in items if one is not None] if is_whole
                                 else None)  # fmt: skip
            if is_whole and folder not in found.folders:
                found.unsaved.append(folder)

    def _compare_names(self) -> None:
        documents = self._documents
        wanted = {CATALOG, *(one + ITEM for one in documents.entries)}
        for folder, ids in documents.folders.items():
            name = documents.folder_file(folder)
            wanted |= {name} if name is not None else set()
            wanted |= {items_file(folder)} if ids else set()
        for name in _names(self._root):
            if name not in wanted and name.removesuffix(ITEM) not in self._found.differing:
                self._found.problems[name] = FOREIGN

    def _item(self, asset_id: str) -> bytes | None:
        """Return an item that is as it must be; else note what is wrong."""
        try:
            wanted = self._documents.item(self._documents.entries[asset_id])
        except CorruptObjectError as error:
            self._found.damaged[asset_id] = error
            return None
        problem = _problem(self._root / (asset_id + ITEM), wanted)
        if not problem:
            return wanted
        self._found.problems[asset_id + ITEM] = problem
        self._found.differing.add(asset_id)
        return None

    def _compare_folder(self, folder: str, items: list[bytes] | None) -> None:
        """Compare the documents of a folder; its items are None if one of them is wrong."""
        documents, found = self._documents, self._found
        if any(folder_of(one) == folder for one in found.damaged):
            return
        name = documents.folder_file(folder)
        problems = {} if name is None else {name: self._text_problem(folder, name)}
        if items:
            problems[items_file(folder)] = self._items_problem(folder, items)
        for path, problem in problems.items():
            if problem:
                found.folders.add(folder)
                if found.shown.is_known and not set(documents.folders[folder]) & found.differing:
                    found.problems[path] = problem

    def _items_problem(self, folder: str, items: list[bytes]) -> str:
        try:
            found = (self._root / items_file(folder)).read_bytes()
            return self._documents.items_problem(folder, items, found)
        except (FileNotFoundError, NotADirectoryError):
            return MISSING
        except IsADirectoryError:
            return "not a file"
        except CorruptObjectError:
            return ""

    def _text_problem(self, folder: str, name: str) -> str:
        try:
            return _problem(self._root / name, self._documents.folder(folder))
        except CorruptObjectError:
            return ""


def _names(root: Path) -> Iterator[str]:
    """Yield the names of all files below a folder, and of empty folders with a slash behind."""
    waiting = [""]
    while waiting:
        at = waiting.pop()
        try:
            with os.scandir(root / at) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(f"{at}{entry.name}/")
                    else:
                        yield at + entry.name
        except (FileNotFoundError, NotADirectoryError):
            continue


def _problem(path: Path, wanted: bytes) -> str:
    try:
        found = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    except IsADirectoryError:
        return "not a file"
    return "" if found == wanted else "other content"


def _state_of(root: Path, documents: Documents, folder: str) -> bytes | None:
    """Return what the file system says of the files of a folder; None if that says little."""
    name = documents.folder_file(folder)
    ids = documents.folders[folder]
    names = [one + ITEM for one in ids]
    names += [] if name is None else [name]
    names += [items_file(folder)] if ids else []
    stored = "".join(documents.entries[one].stored for one in ids)
    try:
        stamp = stamp_of((name, os.lstat(root / name)) for name in names)
    except OSError:
        return None
    return None if stamp is None else stamp + bytes.fromhex(digest_bytes(stored.encode()))


def _is_said(shown: Shown, head: Head) -> bool:
    return shown.is_read and shown.attributes == attributes_of(head) and not shown.unsettled
