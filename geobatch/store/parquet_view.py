"""The tables of the head as plain Parquet files, `parquet/`: hard links to objects.

What a file shows is told by the file itself: nothing is remembered, so nothing can be stale.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from msgspec import Struct

from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.record import Head
from geobatch.store.local import LocalBackend
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.store.zarr_files import Files

FOLDER = "parquet"
"""Folder of the files in a store."""
SUFFIX = ".parquet"


class ViewChange(Struct, frozen=True, kw_only=True):
    """How the files stand to a head, or what a sync did with them."""

    tables: tuple[str, ...]
    """Tables whose file is not theirs, or that are gone; sorted."""
    linked: int = 0
    """Files that became hard links of objects."""
    copied: int = 0
    """Files that became copies of objects."""
    removed: int = 0
    """Files that were removed."""


class ParquetView:
    """The files of a store on a local disk; only one process may sync them at a time."""

    def __init__(self, store: TileStore, backend: LocalBackend, head: Head) -> None:
        self._root = backend.root
        self._files = Files(sources=backend.root, folder=backend.root / FOLDER)
        self._wanted: dict[str, Digest] = {}
        for entry in head.tree.entries:
            record = store.record(entry) if entry.is_table else None
            if record is not None and record.table is not None:
                self._wanted[entry.id] = record.table.stored

    def look(self) -> ViewChange:
        """Return how the files stand; nothing is changed.

        Raises:
            OSError: The disk refused.
        """
        stale = (name for name, stored in self._wanted.items() if not self._shows(name, stored))
        return ViewChange(tables=tuple(sorted({*stale, *self._others()})))

    def sync(self) -> ViewChange:
        """Make the files show the head; each appears complete.

        Raises:
            CorruptObjectError: An object is missing.
            OSError: The disk refused.
        """
        found = self.look()
        for name in found.tables:
            if name not in self._wanted:
                self._files.remove(name + SUFFIX)
        for name in found.tables:
            if name in self._wanted:
                self._files.place(Objects.path(self._wanted[name]), name + SUFFIX)
        return ViewChange(
            tables=found.tables,
            linked=self._files.linked,
            copied=self._files.copied,
            removed=self._files.removed,
        )

    def _shows(self, name: str, stored: Digest) -> bool:
        """Return whether a table's file is its object, or a whole copy of it."""
        file = self._root / FOLDER / (name + SUFFIX)
        origin = self._root / Objects.path(stored)
        try:
            if file.samefile(origin):
                return True
            is_alike = file.stat().st_size == origin.stat().st_size
            return is_alike and digest_bytes(file.read_bytes()) == stored
        except (FileNotFoundError, NotADirectoryError):
            return False

    def _others(self) -> Iterator[str]:
        """Yield the names of files that are of no table of the head."""
        top = self._root / FOLDER
        for folder, _, names in os.walk(top):
            for found in names:
                name = os.path.relpath(os.path.join(folder, found), top)  # noqa: PTH118
                if name.endswith(SUFFIX) and name.removesuffix(SUFFIX) not in self._wanted:
                    yield name.removesuffix(SUFFIX)
