"""The tables of the head as plain Parquet files, `parquet/`: hard links to objects.

Each file is compared itself: nothing is cached, so nothing can be stale.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping

from msgspec import Struct

from geobatch.errors import CorruptObjectError
from geobatch.model.assets.table import StoredTable
from geobatch.model.digest import Digest, digest_bytes
from geobatch.model.published import Head
from geobatch.store.backends.protocol import LocalDisk
from geobatch.store.objects import Objects
from geobatch.store.tilestore import TileStore
from geobatch.views.files import ASIDE, Files, check_is_folder
from geobatch.views.objects import check_object, shown_problem
from geobatch.views.protocol import FOREIGN, MISSING, Audit, Part, ViewChange, ViewState

FOLDER = "parquet"
"""Folder of the files in a store."""
SUFFIX = ".parquet"


class ParquetFiles:
    """The files of a store on a local disk; a view."""

    def __init__(self, store: TileStore, disk: LocalDisk) -> None:
        self._store = store
        self._root = disk.root

    @property
    def name(self) -> str:
        """What they are and where; see `View.name`."""
        return f"the files of tables in `{self._root / FOLDER}`"

    @property
    def folder(self) -> str:
        """Their folder in the store."""
        return FOLDER

    def compare(self, head: Head, audit: Audit | None = None) -> ViewState:
        """Return how the files differ from a head; see `View.compare`."""
        return self._compare(_Wanted.of(self._store, head), audit)

    def update(
        self, head: Head, *, is_thorough: bool = True, again: Collection[str] = ()
    ) -> ViewChange:
        """Make the files show a head; each appears complete; see `View.update`."""
        del is_thorough, again  # every file is compared, since that is fast
        wanted = _Wanted.of(self._store, head)
        found = self._compare(wanted)
        files = Files(sources=self._root, folder=self._root / FOLDER)
        if found.behind:
            check_is_folder(self._root / FOLDER)
        for name in found.behind:
            if name not in wanted.tables:
                is_aside = name.endswith(ASIDE)
                files.remove(name if is_aside else name + SUFFIX)
        for name in found.behind:
            if name in wanted.tables:
                files.link(Objects.path(wanted.tables[name].stored), name + SUFFIX)
        return ViewChange(
            assets=found.behind,
            damaged=found.damaged,
            linked=files.linked,
            copied=files.copied,
            removed=files.removed,
        )

    def _compare(self, wanted: _Wanted, audit: Audit | None = None) -> ViewState:
        stale: dict[str, str] = {}
        intact: dict[Digest, str] = {}
        damaged = dict(wanted.damaged)
        for name, table in wanted.tables.items():
            try:
                if audit is None:
                    problem = self._problem(name, table)
                else:
                    problem = self._audited(name, table, audit, intact)
            except CorruptObjectError as error:
                damaged[name] = error
            else:
                stale |= {name: problem} if problem else {}
        others = {
            name.removesuffix(SUFFIX): name
            for name in self._others(wanted, is_any=audit is not None)
        }
        parts = [Part(path=f"{FOLDER}/{name}{SUFFIX}", problem=stale[name]) for name in stale]
        parts += [Part(path=f"{FOLDER}/{name}", problem=FOREIGN) for name in others.values()]
        behind = tuple(sorted({*stale, *others}))
        return ViewState(
            behind=behind,
            parts=tuple(sorted(parts)),
            is_current=not behind,
            damaged=damaged,
            intact=intact,
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
            return MISSING
        return "" if is_well else "other content"

    def _audited(
        self, name: str, table: StoredTable, audit: Audit, intact: dict[Digest, str]
    ) -> str:
        file = self._root / FOLDER / (name + SUFFIX)
        try:
            stat = file.stat()
        except (FileNotFoundError, NotADirectoryError):
            stat = None
        if stat is not None and not file.is_file():
            return "not a file"
        problem, is_intact = shown_problem(
            self._root, table.stored, table.size, stat, read=file.read_bytes, audit=audit
        )
        if is_intact:
            intact[table.stored] = str(file)
        return problem

    def _others(self, wanted: _Wanted, *, is_any: bool) -> Iterator[str]:
        """Yield the names of files that belong to no table of the head, or are unfinished.

        Args:
            wanted: The tables of the head.
            is_any: Whether files of other names count, too, which no update removes.
        """
        top = self._root / FOLDER
        for folder, _, names in os.walk(top):
            for found in names:
                name = os.path.relpath(os.path.join(folder, found), top)  # noqa: PTH118
                table = name.removesuffix(SUFFIX)
                is_known = table in wanted.tables or table in wanted.damaged
                is_table = name.endswith(SUFFIX)
                is_strange = not is_known if is_table else is_any
                if is_strange or name.endswith(SUFFIX + ASIDE):
                    yield name


class _Wanted(Struct, frozen=True, kw_only=True):
    """The tables of a head."""

    tables: Mapping[str, StoredTable]
    """What is published of each, by id."""
    damaged: Mapping[str, CorruptObjectError]
    """Those whose document is damaged."""

    @classmethod
    def of(cls, store: TileStore, head: Head) -> _Wanted:
        tables: dict[str, StoredTable] = {}
        damaged: dict[str, CorruptObjectError] = {}
        for entry in head.tree.entries:
            if entry.is_table:
                try:
                    record = store.record(entry)
                except CorruptObjectError as error:
                    damaged[entry.id] = error
                else:
                    tables |= {} if record.table is None else {entry.id: record.table}
        return cls(tables=tables, damaged=damaged)
