"""What a kind of table file is to the rest of geobatch: how it is probed, and its rows read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

from msgspec import Struct

from geobatch.model.assets.table import TableSource
from geobatch.model.sources.declared import DeclaredSource
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.files import check_unchanged
from geobatch.sources.naming import Named

Row: TypeAlias = list[tuple[str, str, Any]]
"""(name, kind, values) of each feature that has values; kinds are those of `tf.train.Feature`:
`float_list`, `int64_list`, `bytes_list`. Features are in any order."""


class RowProbes(Struct, frozen=True, kw_only=True):
    """The state of some files of tables."""

    sources: Sequence[TableSource]
    """In the order of the declared sources."""
    hashed: int
    """How many different files were read to be identified."""
    by_stat: int
    """How many have an unchanged stat."""


class RowDriver(Protocol):
    """One kind of table file. What is particular to it is in its folder of `sources/`."""

    name: ClassVar[str]
    """Name of the kind."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Packages that shape the rows; commits record their versions."""

    def matches(self, uri: str) -> bool:
        """Return whether a file is of this kind; it is not read."""

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> RowProbes:
        """Return the state of files; unchanged ones are not opened.

        Raises:
            SourceError: A file is missing, cannot be read, or changed while it was probed.
        """

    def check(self, source: TableSource) -> None:
        """Check that a file is still as it was identified.

        Raises:
            SourceError: It is missing, or it changed.
        """
        if source.stat is not None:
            with Named(source.uri):
                check_unchanged(source.path, source.stat)

    def rows(self, source: TableSource) -> Iterator[tuple[int, Row]]:
        """Yield the rows of a file with their numbers, from 0; it is streamed.

        Raises:
            SourceError: A row is damaged, or the file is truncated or changed.
        """
