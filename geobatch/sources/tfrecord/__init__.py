"""TFRecord files with their mixers, read and written. Owns tensorflow, imported when needed."""

from typing import TYPE_CHECKING

from geobatch.sources.late import late

if TYPE_CHECKING:
    from geobatch.sources.tfrecord.shards.records import describe, digests_of
    from geobatch.sources.tfrecord.streams.reader import Reader

# These load what reads records.
__getattr__ = late(
    __name__,
    {"Reader": "streams.reader", "describe": "shards.records", "digests_of": "shards.records"},
)

__all__ = ["Reader", "describe", "digests_of"]
