"""Records of a shard in batches, their digests, and how many values their features have."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from blake3 import blake3

from geobatch.model.digest import Json
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources import remote
from geobatch.sources.files import check_unchanged
from geobatch.sources.naming import Named, UnnamedError
from geobatch.sources.tfrecord.shards.frames import records_in, records_of
from geobatch.sources.tfrecord.shards.plain_example import read_plain, sorted_parts
from geobatch.sources.tfrecord.tensorflow_library import example_of

BATCH_BYTES = 8 << 20
"""About how many bytes of records are in memory at a time; one record may be longer."""
_BATCH_RECORDS = 1024
_FLOAT_BYTES = 4


def batches(shard: Shard) -> Iterator[list[bytes]]:
    """Yield the serialized records of a shard, in order.

    At its end it is sure that they are those of the bytes that were digested; not before.

    Args:
        shard: The file.

    Raises:
        SourceError: A record is damaged, or the file is truncated or changed meanwhile.
    """
    with Named(shard.uri):
        yield from _batches(shard)


def _batches(shard: Shard) -> Iterator[list[bytes]]:
    check_shard(shard)
    batch: list[bytes] = []
    size = 0
    try:
        for record in _records(shard):
            batch.append(record)
            size += len(record)
            if size >= BATCH_BYTES or len(batch) == _BATCH_RECORDS:
                yield batch
                batch, size = [], 0
    except UnnamedError:
        # The damage may be new.
        check_shard(shard)
        raise
    if batch:
        yield batch
    check_shard(shard)


def check_shard(shard: Shard) -> None:
    """Check that a local file has not changed; an object is read in its pinned state or not at all.

    Raises:
        UnnamedError: It is missing or changed.
    """
    if shard.pinned is None:
        check_unchanged(shard.path, shard.stat)


def _records(shard: Shard) -> Iterator[bytes]:
    pinned = shard.pinned
    if pinned is None:
        return records_of(Path(shard.path), digest=shard.digest)
    return records_in(remote.pieces_of(pinned, what="the TFRecord file"), size=pinned.state.size)


def record_digests(records: Sequence[bytes]) -> bytes:
    """Return the digests of some serialized records, one after another.

    Writers put features in any order, and in another one on every run: they are sorted first, so
    that records which say the same have one digest.
    """
    digests = bytearray()
    for record in records:
        hasher = blake3()
        for part in _sorted(record):
            hasher.update(part)
        digests += hasher.digest()
    return bytes(digests)


def _sorted(record: bytes) -> list[bytes]:
    """Return a record in parts, with its features sorted."""
    plain = read_plain(record)
    if plain:
        return sorted_parts(record, plain)
    example = example_of(record)
    # A record that is not an Example keeps its bytes: reading its pixels reports it.
    return [record if example is None else example.SerializeToString(deterministic=True)]


def digests_of(shard: Shard) -> bytes:
    """Return the digests of all records of a shard, one after another.

    Raises:
        SourceError: As `batches`.
    """
    return b"".join(record_digests(batch) for batch in batches(shard))


def describe(shard: Shard) -> str:
    """Return the features of the first record of a shard, as JSON text.

    That is, per feature, the kind and the number of its values; for `bytes_list`, the number of
    bytes in its only value, or -1. Of a file without records it is `{}`.

    Raises:
        SourceError: The file is damaged or changed, not TFRecord, or its records are not Examples.
    """
    with Named(shard.uri):
        first = next(_records(shard), None)
        found = {} if first is None else feature_sizes(first, 0)
        check_shard(shard)
    if first is None:
        return "{}"
    features: dict[str, Json] = {
        name: [one.kind, one.values if one.size is None else one.size]
        for name, one in found.items()
    }
    return json.dumps({"features": features}, sort_keys=True)


class FeatureSize(NamedTuple):
    """How many values a feature has."""

    kind: str
    """`float_list`, `int64_list`, `bytes_list`, or empty where it has no values."""
    values: int
    """How many values."""
    size: int | None = None
    """Of a `bytes_list`, how many bytes its only value has, or -1 if it has not one value."""


def feature_sizes(record: bytes, number: int) -> dict[str, FeatureSize]:
    """Return the size of each feature of a serialized record, by name.

    Raises:
        UnnamedError: It is not a `tf.train.Example`.
    """
    plain = read_plain(record)
    if plain is None:
        return _parsed_sizes(record, number)
    found = {}
    for name, feature in plain.items():
        lengths = [stop - start for start, stop in feature.values]
        if feature.kind == "bytes_list":
            found[name] = FeatureSize(feature.kind, len(lengths), _only(lengths))
        else:
            found[name] = FeatureSize(feature.kind, sum(lengths) // _FLOAT_BYTES)
    return found


def _parsed_sizes(record: bytes, number: int) -> dict[str, FeatureSize]:
    example = example_of(record)
    if example is None:
        raise UnnamedError(
            f"record {number} is not a `tf.train.Example`",
            hint="an image must have one Example per patch, with one feature per band",
        )
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind") or ""
        values: Any = getattr(feature, kind).value if kind else ()
        size = _only([len(value) for value in values]) if kind == "bytes_list" else None
        found[name] = FeatureSize(kind, len(values), size)
    return found


def _only(lengths: Sequence[int]) -> int:
    return lengths[0] if len(lengths) == 1 else -1
