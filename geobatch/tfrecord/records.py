"""Records of a shard in batches, and what is found in the first: TensorFlow reads the frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from geobatch.errors import SourceError
from geobatch.files import check_unchanged
from geobatch.model.digest import Json
from geobatch.model.records import Shard
from geobatch.tfrecord.library import example_of, tensorflow
from geobatch.tfrecord.shard import FRAME_BYTES, check_end, compression_of

BATCH_BYTES = 8 << 20
"""About how many bytes of records are held at a time; a single one may be longer."""
_BUFFER_BYTES = 1 << 20


def batches(shard: Shard, *, record_bytes: int) -> Iterator[Any]:
    """Yield the serialized records of a shard, in order, as string tensors of (record,).

    Args:
        shard: The file.
        record_bytes: Length of a record, as far as it is known.

    Raises:
        SourceError: A record is damaged, the file is cut short, or it changed meanwhile.
    """
    tf = tensorflow()
    path = Path(shard.path)
    check_unchanged(shard.path, shard.uri, shard.stat)
    compression = compression_of(path, shard.uri)
    data = _dataset(tf, path, compression)
    count, size = 0, 0
    length = max(1, min(BATCH_BYTES // max(record_bytes, 1), 1024))
    try:
        for batch in data.batch(length).prefetch(1):
            count += len(batch)
            size += int(tf.reduce_sum(tf.strings.length(batch))) + FRAME_BYTES * len(batch)
            yield batch
    except tf.errors.OpError as error:
        check_unchanged(shard.path, shard.uri, shard.stat)
        raise _damaged(tf, shard, data, error) from None
    check_end(path, shard.uri, compression, size=size)
    check_unchanged(shard.path, shard.uri, shard.stat)


def record_digests(records: Sequence[bytes]) -> bytes:
    """Return the digests of some serialized records, one after another.

    Writers put features in any order, and in another one on every run: they are sorted first, so
    that records which say the same have one digest.
    """
    digests = bytearray()
    for record in records:
        example = example_of(record)
        # What is no Example is its own bytes: whoever wants its pixels will complain.
        data = record if example is None else example.SerializeToString(deterministic=True)
        digests += blake3(data).digest()
    return bytes(digests)


def digests_of(shard: Shard, *, record_bytes: int) -> bytes:
    """Return the digests of all records of a shard, one after another.

    Raises:
        SourceError: As `batches`.
    """
    return b"".join(
        record_digests(batch.numpy()) for batch in batches(shard, record_bytes=record_bytes)
    )


def describe(path: Path, uri: str) -> str:
    """Return what is in the first record of a file, as JSON text.

    That is its length and, per feature, the kind and the number of its values; for `bytes_list`,
    the number of bytes in its only value, or -1. Of a file without records it is `{}`.

    Raises:
        SourceError: The file is damaged, no TFRecord, or its records are no Examples.
    """
    tf = tensorflow()
    try:
        data = _dataset(tf, path, compression_of(path, uri))
        first = next((record.numpy() for record in data.take(1)), None)
    except tf.errors.OpError as error:
        raise _bad_record(uri, 0, error) from None
    if first is None:
        return "{}"
    features: dict[str, Json] = {}
    for name, feature in parse_example(first, uri, 0).items():
        kind = feature.WhichOneof("kind") or ""
        values: Any = getattr(feature, kind).value if kind else ()
        count = len(values)
        if kind == "bytes_list":
            count = len(values[0]) if count == 1 else -1
        features[name] = [kind, count]
    return json.dumps({"bytes": len(first), "features": features}, sort_keys=True)


def parse_example(record: bytes, uri: str, number: int) -> dict[str, Any]:
    """Return the features of a serialized record, by name.

    Raises:
        SourceError: It is no `tf.train.Example`.
    """
    example = example_of(record)
    if example is None:
        raise SourceError(
            f"`{uri}`: record {number} is no `tf.train.Example`",
            hint="an image is one Example per patch, with a feature per band",
        )
    return dict(example.features.feature.items())


def _dataset(tf: Any, path: Path, compression: str) -> Any:
    return tf.data.TFRecordDataset(str(path), compression, buffer_size=_BUFFER_BYTES)


def _damaged(tf: Any, shard: Shard, data: Any, error: Exception) -> SourceError:
    """Return the error for the first record that cannot be read, which a batch does not tell."""
    number = 0
    try:
        for _ in data:
            number += 1
    except tf.errors.OpError as found:
        error = found
    return _bad_record(shard.uri, number, error)


def _bad_record(uri: str, number: int, error: Exception) -> SourceError:
    # TensorFlow's words, less where in its graph it was.
    text = str(getattr(error, "message", error))
    text = text.rpartition("}}")[2].partition("[Op:")[0].strip().partition("\n")[0]
    return SourceError(
        f"`{uri}`: record {number} cannot be read: {text}",
        hint="the file is truncated or damaged; fetch it again",
    )
