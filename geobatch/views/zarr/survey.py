"""How the Zarr tree differs from a head: assets, folders and foreign files."""

from __future__ import annotations

import bisect
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from geobatch.errors import CorruptObjectError, NotFoundError
from geobatch.format.zarr_layout.paths import join
from geobatch.model.assets.asset import Kind
from geobatch.model.digest import Digest
from geobatch.model.published import Head, TreeEntry
from geobatch.store.caches.cache import SourceCache
from geobatch.store.tilestore import TileStore
from geobatch.views.protocol import FOREIGN, MISSING, Audit, Part
from geobatch.views.zarr.check import (
    Comparison,
    compare,
    folder_state,
    is_guest,
    is_unchanged,
)
from geobatch.views.zarr.metadata import DOCUMENT, VIEW, folders_above, plain_group

_ELSEWHERE = (Kind.EXTERNAL_IMAGE, Kind.TABLE)
_NO_COMMIT = MappingProxyType({"commit": None, "number": 0, "content_root": None})


class Shown(Struct, frozen=True, kw_only=True):
    """The state that the tree records; empty where it cannot be trusted."""

    entries: Mapping[str, TreeEntry] = {}
    """Assets of the commit that it shows, by id."""
    attributes: Mapping[str, object] = _NO_COMMIT
    """The attributes that say so."""
    unsettled: frozenset[str] = frozenset()
    """Assets of which it may show anything."""
    named_unsettled: frozenset[str] = frozenset()
    """Those of them that it names itself."""
    is_read: bool = False
    """Whether it says anything."""
    is_known: bool = False
    """Whether it says which commit it shows, and that commit is there."""

    @property
    def is_former(self) -> bool:
        """Whether another version of geobatch made it, by other rules."""
        return self.is_known and self.attributes.get("view") != VIEW


class Folders(Struct, frozen=True, kw_only=True):
    """What differs in the folders above assets."""

    strange: tuple[str, ...] = ()
    """Files and folders that do not belong there, by path."""
    unlike: Mapping[str, str] = {}
    """Folders whose document is not theirs, and what is wrong with it."""


class Survey(Struct, kw_only=True):
    """What differs."""

    shown: Shown
    """The state that the tree records."""
    differing: set[str] = set()
    """Assets that the tree shows wrongly, or not at all, or that it must not show."""
    broken: dict[str, Comparison] = {}
    """Assets that the tree should show already, and how their folders differ from that."""
    damaged: dict[str, CorruptObjectError] = {}
    """Assets whose objects are damaged, so that nothing can be said of their folders."""
    intact: dict[Digest, str] = {}
    """Files with the bytes of an object that is damaged or missing, by its digest."""
    is_thorough: bool = False
    """Whether all folders were compared that should show already what they must."""
    inside: frozenset[str] = frozenset()
    """Assets that are gone, from within the folder of another, whose files may have their names."""
    hosts: frozenset[str] = frozenset()
    """The assets that these were in."""
    folders: Folders = Folders()
    """What differs above the assets."""

    @property
    def touched(self) -> frozenset[str]:
        """The assets that a sync builds, updates or removes."""
        return frozenset(self.differing | self.broken.keys())

    @property
    def parts(self) -> Iterator[Part]:
        """Every file and folder that is not as it must be, though its asset is not behind."""
        for one in self.broken.values():
            yield from one.parts
        for path in self.folders.strange:
            if path not in self.differing:
                yield Part(path=path, problem=FOREIGN)
        for folder, problem in self.folders.unlike.items():
            yield Part(path=join(folder, DOCUMENT), problem=problem)


class Surveyor:
    """Compares the tree of a store with a head."""

    def __init__(
        self,
        store: TileStore,
        root: Path,
        head: Head,
        cache: SourceCache | None,
        audit: Audit | None = None,
    ) -> None:
        """Compare nothing yet.

        Args:
            store: The store.
            root: Folder of the tree.
            head: What the tree should show.
            cache: Where the states of folders are cached.
            audit: How chunks are compared if objects may be damaged.
        """
        self._store = store
        self._audit = audit
        self._top = f"{root.parent}/"
        self._tree = f"{root}/"
        self._head = head
        self._cache = cache
        self.has_cache = cache is not None
        """Whether states of folders are cached."""
        self.wanted = shown_of(head)
        """Assets that the tree should show, by id."""
        self.folders = folders_above(self.wanted)
        """The folders above them."""
        self._ids = sorted(self.wanted)

    def survey(self, *, is_thorough: bool, again: Collection[str] = ()) -> Survey:
        """Compare.

        Args:
            is_thorough: Whether the files of assets that the tree says it shows are compared.
            again: Assets to be taken for others than what the tree shows.

        Raises:
            CorruptObjectError: The head is damaged.
            OSError: The disk refused.
        """
        shown = self._read()
        every = shown.entries.keys() | self.wanted.keys()
        differing = {one for one in every if not self._is_alike(shown, one)}
        differing |= shown.unsettled - self.wanted.keys()
        differing |= self.wanted.keys() & set(again)
        gone = {one: folders_above([one]) & self.wanted.keys() for one in differing}
        inside = frozenset(one for one in gone.keys() - self.wanted.keys() if gone[one])
        hosts = frozenset(host for one in inside for host in gone[one])
        differing |= hosts
        found = Survey(
            shown=shown,
            differing=differing,
            inside=inside,
            hosts=hosts,
            folders=self.compare_folders(),
            is_thorough=is_thorough or not shown.is_known,
        )
        same = [one for one in self._ids if one not in differing]
        if not found.is_thorough:
            found.differing |= shown.unsettled & self.wanted.keys()
            return found
        known = {} if self._cache is None else self._cache.get_folders(same)
        for asset_id in same:
            entry = self.wanted[asset_id]
            value = b"" if asset_id in shown.unsettled else known.get(asset_id, b"")
            if not is_unchanged(self._tree, asset_id, entry.stored, value):
                self._compare_closely(entry, found)
        return found

    def compare(self, entry: TreeEntry) -> Comparison:
        """Compare the folder of an asset with its index and documents.

        Raises:
            CorruptObjectError: What the asset is made of is damaged.
            OSError: The disk refused.
        """
        below = self.below(entry.id)
        others = {
            join(folder[len(entry.id) + 1 :], DOCUMENT): plain_group()
            for folder in self.folders
            if below and folder.startswith(f"{entry.id}/")
        }
        record = self._store.record(entry)
        return compare(
            self._top,
            self._tree,
            self._store.index,
            record,
            spared=below,
            others=others,
            audit=self._audit,
        )

    def save(self, names: Mapping[str, str], states: Mapping[str, bytes] | None = None) -> None:
        """Save the states of folders that are well.

        Args:
            names: The assets, each with the names of the files in its folder; an empty text where
                they are not known.
            states: States that are known, by asset.
        """
        if self._cache is None:
            return
        for asset_id, known in names.items():
            stored = self.wanted[asset_id].stored
            value = folder_state(self._tree, asset_id, stored, self.below(asset_id), names=known)
            self._cache.put_folder(asset_id, value)
        for asset_id, value in (states or {}).items():
            self._cache.put_folder(asset_id, value)

    def below(self, asset_id: str) -> frozenset[str]:
        """Return the wanted assets within the folder of another, relative to it."""
        prefix = f"{asset_id}/"
        first = bisect.bisect_left(self._ids, prefix)
        last = bisect.bisect_left(self._ids, f"{asset_id}0")  # the character after the slash
        return frozenset(other.removeprefix(prefix) for other in self._ids[first:last])

    def compare_folders(self) -> Folders:
        """Compare the folders above assets, but not those within one.

        Raises:
            OSError: The disk refused.
        """
        inside: dict[str, set[str]] = {"": {DOCUMENT}}
        for path in (*self.folders, *self._ids):
            above, _, name = path.rpartition("/")
            inside.setdefault(above, {DOCUMENT}).add(name)
        strange: list[str] = []
        unlike: dict[str, str] = {}
        for folder in sorted(inside):
            if self._is_within_asset(folder):
                continue
            for name in _names(join(self._tree[:-1], folder)):
                path = join(folder, name)
                if name not in inside[folder] and not is_guest(name):
                    strange.append(path)
            if folder:
                problem = _document_problem(join(self._tree[:-1], folder, DOCUMENT))
                if problem:
                    unlike[folder] = problem
        return Folders(strange=tuple(strange), unlike=unlike)

    def _is_within_asset(self, folder: str) -> bool:
        return folder in self.wanted or any(one in self.wanted for one in folders_above([folder]))

    def _is_alike(self, shown: Shown, asset_id: str) -> bool:
        """Return whether the tree should show of an asset what it says that it shows."""
        before, after = shown.entries.get(asset_id), self.wanted.get(asset_id)
        if not shown.is_known:
            return after is not None and os.path.lexists(f"{self._tree}{asset_id}/{DOCUMENT}")
        return before is not None and after is not None and before.stored == after.stored

    def _compare_closely(self, entry: TreeEntry, found: Survey) -> None:
        try:
            comparison = self.compare(entry)
        except CorruptObjectError as error:
            found.damaged[entry.id] = error
            return
        found.intact |= comparison.intact
        if comparison.is_intact:
            self.save({entry.id: ""})
        else:
            found.broken[entry.id] = comparison

    def _read(self) -> Shown:
        """Return the state that the tree records."""
        try:
            with open(self._tree + DOCUMENT, "rb") as file:  # noqa: PTH123
                data = file.read()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return Shown()
        return read_shown(data, self._store, self._head)


def read_shown(
    data: bytes,
    store: TileStore,
    head: Head,
    *,
    entries_of: Callable[[Head], dict[str, TreeEntry]] | None = None,
) -> Shown:
    """Return the state that the document of a tree records.

    Args:
        data: The document.
        store: The store.
        head: A commit that need not be read again.
        entries_of: Returns the assets of a commit that are shown; by default, images.
    """
    try:
        attributes = json.loads(data)["attributes"]["geobatch"]
        unsettled = named = frozenset(map(str, attributes.pop("unsettled", ())))
        number, commit = attributes["number"], attributes["commit"]
        if commit is None:
            return Shown(
                attributes=attributes,
                unsettled=unsettled,
                named_unsettled=named,
                is_read=True,
            )
        # The commit may be damaged, or gone: then what the tree shows is anybody's guess.
        shown = head if commit == head.digest else store.at(str(number))
    except (ValueError, KeyError, TypeError, AttributeError, NotFoundError, CorruptObjectError):
        return Shown()
    if shown.digest != commit:
        return Shown()
    entries = (entries_of or shown_of)(shown)
    if attributes.get("view") != VIEW:  # documents are made by other rules now
        unsettled |= entries.keys()
    return Shown(
        entries=entries,
        attributes=attributes,
        unsettled=unsettled,
        named_unsettled=named,
        is_read=True,
        is_known=True,
    )


def shown_of(head: Head) -> dict[str, TreeEntry]:
    """Return the assets that the tree can show, by id: those whose pixels are in the store."""
    return {e.id: e for e in head.tree.entries if e.kind not in _ELSEWHERE}


def attributes_of(head: Head) -> dict[str, object]:
    """Return the state that the tree records when it shows a head."""
    commit = head.commit
    return {
        "commit": head.digest,
        "number": head.number,
        "content_root": commit.content_root if commit else None,
        "view": VIEW,
    }


def document_of(attributes: Mapping[str, object], unsettled: Collection[str]) -> bytes:
    """Return the document of the tree's own group."""
    document = json.loads(plain_group())
    document["attributes"]["geobatch"] = dict(attributes)
    if unsettled:
        document["attributes"]["geobatch"]["unsettled"] = sorted(unsettled)
    return json.dumps(document).encode()


def _names(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return []


def _document_problem(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return "" if file.read() == plain_group() else "other content"
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return MISSING
