"""Block tables of TFRecord sources: a patch is a block, identified by the digest of its record."""

from __future__ import annotations

from geobatch.model.digest import digest_json
from geobatch.model.sources.blocks import BlockTable
from geobatch.model.sources.tfrecord import RECORDS_EPOCH, Mixer


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
