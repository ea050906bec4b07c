"""The driver of tables in TFRecord files: an Example is a row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from geobatch.errors import InternalError
from geobatch.model.assets.table import Table, TableSource
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources import tfrecord
from geobatch.sources.rows import Row, RowDriver, RowReader
from geobatch.sources.tfrecord.export import DRIVER
from geobatch.sources.tfrecord.probes import MAKER


class TFRecordRows(RowDriver):
    """Shards of tables."""

    name: ClassVar[str] = DRIVER
    maker: ClassVar[str] = MAKER
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def matches(self, uri: str) -> bool:  # noqa: ARG002 - of the protocol
        """Return True: files of all names may be TFRecord shards."""
        return True

    def open_reader(self, table: Table) -> RowReader:  # noqa: ARG002 - of the protocol
        """Return a reader of shards; see `RowDriver.open_reader`."""
        return _Records()


class _Records(RowReader):
    """Reads shards: each record has the kinds of its values."""

    def where(self, uri: str, number: int) -> str:
        """Return the name of a record."""
        return f"`{uri}`: record {number}"

    def rows(self, source: TableSource) -> Iterator[tuple[int, Row]]:
        """Yield the Examples of a shard; see `RowReader.rows`."""
        if source.stat is None:
            raise InternalError(f"`{source.uri}`: it was never probed")
        return tfrecord.examples(
            Shard(
                uri=source.uri,
                path=source.path,
                stat=source.stat,
                digest=source.digest,
                pinned=source.pinned,
            )
        )
