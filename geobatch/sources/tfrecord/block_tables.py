"""Block tables for planning; those of TFRecord sources are made on demand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from geobatch.errors import SourceError
from geobatch.model.assets.asset import Resolution
from geobatch.model.digest import Digest
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.tfrecord import Records, Shard, count_records
from geobatch.sources.tfrecord.blocks import table_of


class TableCache(Protocol):
    """What is kept of sources; `geobatch.store.caches.cache.SourceCache` is one."""

    def get_table(self, digest: Digest) -> BlockTable | None:
        """Return the block table of a source, or None."""

    def put_table(self, digest: Digest, table: BlockTable) -> None:
        """Keep the block table of a source."""

    def get_records(self, digest: Digest) -> bytes | None:
        """Return the digests of a shard's records, one after another, or None."""

    def put_records(self, digest: Digest, records: bytes) -> None:
        """Keep the digests of a shard's records."""


def table_reader(
    resolution: Resolution, cache: TableCache
) -> Callable[[Digest], BlockTable | None]:
    """Return a function that returns the block table of a source, by its digest.

    Of a TFRecord source without one, those shards are read that were not read before. Where that
    fails there is no table: whoever needs the pixels will say what is wrong.
    """
    exports = {
        source.digest: source.records
        for asset in resolution.assets
        for tileset in asset.tilesets
        for source in tileset.sources
        if source.records is not None
    }

    def table(digest: Digest) -> BlockTable | None:
        known = cache.get_table(digest)
        if known is not None or digest not in exports:
            return known
        made = _read(exports[digest], cache)
        if made is not None:
            cache.put_table(digest, made)
        return made

    return table


def _read(records: Records, cache: TableCache) -> BlockTable | None:
    try:
        found = [_digests(shard, cache) for shard in records.shards]
    except SourceError:
        return None
    digests = b"".join(found)
    if count_records(digests) != records.mixer.total:
        return None
    return table_of(records.mixer, digests)


def _digests(shard: Shard, cache: TableCache) -> bytes:
    known = cache.get_records(shard.digest)
    if known is not None:
        return known
    from geobatch.sources.tfrecord.records import digests_of  # noqa: PLC0415 - imports tensorflow

    digests = digests_of(shard)
    cache.put_records(shard.digest, digests)
    return digests
