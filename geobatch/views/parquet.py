"""The tables of the head as plain Parquet files, `parquet/`: hard links to objects.

Each file is compared itself: nothing is remembered, so nothing can be stale.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.model.assets.table import StoredTable
from geobatch.model.digest import digest_bytes
from geobatch.model.published import Head
from geobatch.store.backends.protocol import LocalDisk
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.zarr.check import Part, check_object
from geobatch.views.zarr.files import ASIDE, Files, check_is_folder

FOLDER = "parquet"
"""Folder of the files in a store."""
SUFFIX = ".parquet"


class ViewChange(Struct, frozen=True, kw_only=True):
    """How the files differ from a head, or what a sync did with them."""

    tables: tuple[str, ...]
    """Tables whose file is not theirs, or that are gone; sorted."""
    parts: tuple[Part, ...] = ()
    """Files that are not as they must be, by path in the store."""
    damaged: Mapping[str, CorruptObjectError] = {}
    """Tables that cannot be shown, for what they are made of is damaged."""
    linked: int = 0
    """Files that became hard links of objects."""
    copied: int = 0
    """Files that became copies of objects."""
    removed: int = 0
    """Files that were removed."""


class ParquetView:
    """The files of a store on a local disk; only one process may sync them at a time."""

    def __init__(self, store: TileStore, backend: LocalDisk, head: Head) -> None:
        self._root = backend.root
        self._files = Files(sources=backend.root, folder=backend.root / FOLDER)
        self._wanted: dict[str, StoredTable] = {}
        self._damaged: dict[str, CorruptObjectError] = {}
        for entry in head.tree.entries:
            if entry.is_table:
                try:
                    record = store.record(entry)
                except CorruptObjectError as error:
                    self._damaged[entry.id] = error
                else:
                    self._wanted |= {} if record.table is None else {entry.id: record.table}

    def look(self) -> ViewChange:
        """Return how the files differ; nothing is changed.

        Raises:
            OSError: The disk refused.
        """
        stale: dict[str, str] = {}
        for name, table in self._wanted.items():
            try:
                problem = self._problem(name, table)
            except CorruptObjectError as error:
                self._damaged[name] = error
            else:
                stale |= {name: problem} if problem else {}
        others = {name.removesuffix(SUFFIX): name for name in self._others()}
        parts = [Part(path=f"{FOLDER}/{name}{SUFFIX}", problem=stale[name]) for name in stale]
        parts += [
            Part(path=f"{FOLDER}/{name}", problem="does not belong here")
            for name in others.values()
        ]
        return ViewChange(
            tables=tuple(sorted({*stale, *others})),
            parts=tuple(sorted(parts)),
            damaged=self._damaged,
        )

    def sync(self) -> ViewChange:
        """Make the files show the head; each appears complete.

        Raises:
            StoreError: There is something else where the folder must be.
            OSError: The disk refused.
        """
        found = self.look()
        if found.tables:
            check_is_folder(self._root / FOLDER)
        for name in found.tables:
            if name not in self._wanted:
                is_aside = name.endswith(ASIDE)
                self._files.remove(name if is_aside else name + SUFFIX)
        for name in found.tables:
            if name in self._wanted:
                self._files.place(Objects.path(self._wanted[name].stored), name + SUFFIX)
        return ViewChange(
            tables=found.tables,
            damaged=found.damaged,
            linked=self._files.linked,
            copied=self._files.copied,
            removed=self._files.removed,
        )

    def _problem(self, name: str, table: StoredTable) -> str:
        """Return what is wrong with a table's file: it is its object, or a whole copy of it."""
        file = self._root / FOLDER / (name + SUFFIX)
        check_object(self._root, table.stored, table.size, file)
        try:
            stat = file.stat()
            if not file.is_file():
                return "not a file"
            if stat.st_size != table.size:
                return f"{stat.st_size:,} bytes, expected {table.size:,}"
            is_object = file.samefile(self._root / Objects.path(table.stored))
            is_well = is_object or digest_bytes(file.read_bytes()) == table.stored
        except (FileNotFoundError, NotADirectoryError):
            return "missing"
        return "" if is_well else "other content"

    def _others(self) -> Iterator[str]:
        """Yield the names of files that belong to no table of the head, or are unfinished."""
        top = self._root / FOLDER
        for folder, _, names in os.walk(top):
            for found in names:
                name = os.path.relpath(os.path.join(folder, found), top)  # noqa: PTH118
                table = name.removesuffix(SUFFIX)
                is_known = table in self._wanted or table in self._damaged
                is_strange = name.endswith(SUFFIX) and not is_known
                if is_strange or name.endswith(SUFFIX + ASIDE):
                    yield name
