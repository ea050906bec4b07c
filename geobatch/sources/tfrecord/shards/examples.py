"""Records as rows of a table: one Example each, with unchanged features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from geobatch.errors import SourceError
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources.rows import Row
from geobatch.sources.tfrecord.shards.records import batches
from geobatch.sources.tfrecord.tensorflow_library import example_of


def examples(shard: Shard) -> Iterator[tuple[int, Row]]:
    """Yield the number of each record, and its features that have a kind.

    Args:
        shard: The file; it is streamed.

    Raises:
        SourceError: A record is damaged or not an Example, or the file is truncated or changed.
    """
    number = 0
    for batch in batches(shard):
        for record in batch:
            example = example_of(record)
            if example is None:
                raise SourceError(
                    f"`{shard.uri}`: record {number} is not a `tf.train.Example`",
                    hint="a table must have one Example per row, with one feature per column",
                )
            yield number, list(_valued(example.features.feature))
            number += 1


def _valued(features: Any) -> Iterator[tuple[str, str, Any]]:
    for name, feature in features.items():
        kind = feature.WhichOneof("kind")
        if kind is not None:
            yield name, kind, getattr(feature, kind).value
