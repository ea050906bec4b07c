"""Block tables of TFRecord sources: a patch is a block, identified by the digest of its record."""

from __future__ import annotations

from geobatch.errors import SourceError
from geobatch.model.digest import digest_json
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.tfrecord import RECORDS_EPOCH, Mixer, Records, Shard, count_records
from geobatch.sources import tfrecord
from geobatch.sources.driver import ReaderCache


def make_table(records: Records, cache: ReaderCache) -> BlockTable | None:
    """Return the block table of a source; shards that were not read before are read.

    If that fails, there is no table: reading the pixels reports what is wrong.
    """
    try:
        found = [_digests(shard, cache) for shard in records.shards]
    except SourceError:
        return None
    digests = b"".join(found)
    if count_records(digests) != records.mixer.total:
        return None
    return table_of(records.mixer, digests)


def table_of(mixer: Mixer, digests: bytes) -> BlockTable:
    """Return the block table of a source; it does not depend on how shards divide the records.

    Args:
        mixer: The arrangement of the patches.
        digests: Of all its records, one after another.
    """
    height, width = mixer.size
    return BlockTable(
        height=height,
        width=width,
        block=mixer.patch,
        planes=1,
        decoding=digest_json(["geobatch records", RECORDS_EPOCH]),
        digests=digests,
    )


def _digests(shard: Shard, cache: ReaderCache) -> bytes:
    known = cache.get_records(shard.digest)
    if known is not None:
        return known
    digests = tfrecord.digests_of(shard)
    cache.put_records(shard.digest, digests)
    return digests
