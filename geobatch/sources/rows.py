"""What a kind of table file is to the rest of geobatch: how it is probed, and its rows read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

from msgspec import Struct

from geobatch.model.assets.table import ColumnType, Table, TableSource
from geobatch.model.sources.declared import DeclaredSource
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.files import check_unchanged
from geobatch.sources.naming import Named
from geobatch.sources.whole.identity import FileState, identify_files

Row: TypeAlias = list[tuple[str, str, Any]]
"""(name, kind, values) of each feature that has values; kinds are those of `tf.train.Feature`:
`float_list`, `int64_list`, `bytes_list`; and `text_list`, texts that are decoded already. Features
are in any order."""


class RowProbes(Struct, frozen=True, kw_only=True):
    """The state of some files of tables."""

    sources: Sequence[TableSource]
    """In the order of the declared sources."""
    hashed: int
    """How many different files were read to be identified."""
    by_stat: int
    """How many have an unchanged stat."""


class RowReader(Protocol):
    """Reads the files of one table."""

    @property
    def types(self) -> Mapping[str, ColumnType]:
        """Types of columns whose values do not tell it one by one; empty if all do."""
        return {}

    def rows(self, source: TableSource) -> Iterator[tuple[int, Row]]:
        """Yield the rows of a file with their numbers, which `where` understands; it is streamed.

        Raises:
            SourceError: A row is damaged, or the file is truncated or changed.
        """

    def where(self, uri: str, number: int) -> str:
        """Return what messages call a row."""


class RowDriver(Protocol):
    """One kind of table file. What is particular to it is in its folder of `sources/`."""

    name: ClassVar[str]
    """Name of the kind."""
    maker: ClassVar[str]
    """The name and an epoch: cached states of another maker are not used."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Packages that shape the rows; commits record their versions."""

    def matches(self, uri: str) -> bool:
        """Return whether a file is of this kind; it is not read."""

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> RowProbes:
        """Return the state of files, which all of their bytes identify.

        Unchanged files are not read.

        Raises:
            SourceError: A file is missing, cannot be read, or changed while it was probed.
        """
        states, read = identify_files(sources, options, maker=self.maker)
        return RowProbes(
            sources=[_source(source, states[source]) for source in sources],
            hashed=len(read),
            by_stat=len({source.path for source in sources}) - len(read),
        )

    def check(self, source: TableSource) -> None:
        """Check that a local file is still as it was identified; an object is read in one state.

        Raises:
            SourceError: It is missing, or it changed.
        """
        if source.stat is not None and source.pinned is None:
            with Named(source.uri):
                check_unchanged(source.path, source.stat)

    def open_reader(self, table: Table) -> RowReader:
        """Return a reader of a table whose files are of this kind; it may read them for types.

        Raises:
            SourceError: What must be known before the first row cannot be read.
        """


def _source(part: DeclaredSource, state: FileState) -> TableSource:
    return TableSource(
        uri=part.uri,
        digest=state.cached.digest,
        path=state.path(part),
        stat=state.cached.stat,
        pinned=state.pinned,
    )
