"""TFRecord files with their mixers, read and written. Owns tensorflow, imported when needed."""

from typing import TYPE_CHECKING

from geobatch.late import late

if TYPE_CHECKING:
    from geobatch.sources.tfrecord.selected import select_from_export
    from geobatch.sources.tfrecord.shards.examples import examples
    from geobatch.sources.tfrecord.shards.records import describe, digests_of
    from geobatch.sources.tfrecord.streams.reader import Reader
else:
    # These load what reads records.
    __getattr__ = late(
        __name__,
        {
            "Reader": "streams.reader",
            "describe": "shards.records",
            "digests_of": "shards.records",
            "examples": "shards.examples",
            "select_from_export": "selected",
        },
    )

__all__ = ["Reader", "describe", "digests_of", "examples", "select_from_export"]
