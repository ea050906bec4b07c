"""The driver of tables in TFRecord files: an Example is a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from geobatch.errors import InternalError
from geobatch.model.assets.table import TableSource
from geobatch.model.sources.declared import DeclaredSource
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources import tfrecord
from geobatch.sources.driver import ProbeOptions
from geobatch.sources.rows import Row, RowDriver, RowProbes
from geobatch.sources.tfrecord.export import DRIVER
from geobatch.sources.tfrecord.probes import probe_files, shard_of


class TFRecordRows(RowDriver):
    """Shards of tables."""

    name: ClassVar[str] = DRIVER
    libraries: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def matches(self, uri: str) -> bool:  # noqa: ARG002 - of the protocol
        """Return True: files of all names may be TFRecord shards."""
        return True

    def probe(self, sources: Sequence[DeclaredSource], options: ProbeOptions) -> RowProbes:
        """Return the state of shards; see `RowDriver.probe`."""
        probes, read = probe_files(sources, options)
        return RowProbes(
            sources=[_source(shard_of(source, probes[source])) for source in sources],
            hashed=len(read),
            by_stat=len({source.path for source in sources}) - len(read),
        )

    def rows(self, source: TableSource) -> Iterator[tuple[int, Row]]:
        """Yield the Examples of a shard; see `RowDriver.rows`."""
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

    def check(self, source: TableSource) -> None:
        """Check that a local file is still as it was identified; see `RowDriver.check`."""
        if source.pinned is None:
            super().check(source)


def _source(shard: Shard) -> TableSource:
    return TableSource(
        uri=shard.uri,
        digest=shard.digest,
        path=shard.path,
        stat=shard.stat,
        pinned=shard.pinned,
    )
