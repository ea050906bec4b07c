"""Shards as bytes: compression is detected, and no cut goes unseen."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_workbench import example, feature, write_shard

from geobatch.errors import SourceError
from geobatch.model.sources.tfrecord import Shard
from geobatch.sources.files import identify_file
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.shards.frames import records_of
from geobatch.sources.tfrecord.shards.records import batches, describe, digests_of
from geobatch.sources.tfrecord.shards.shard import START_BYTES, compression_of

COMPRESSIONS = ("", "GZIP", "ZLIB")
RECORDS = [example({"a": feature(np.arange(8) + n, "float_list")}) for n in range(4)]


def shard_of(path: Path) -> Shard:
    digest, stat = identify_file(path, may_be_empty=True)
    return Shard(uri=path.name, path=str(path), stat=stat, digest=digest)


def read(path: Path) -> list[bytes]:
    return [record for batch in batches(shard_of(path)) for record in batch]


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_compression_is_told_by_the_bytes(tmp_path: Path, compression: str) -> None:
    path = write_shard(tmp_path / "misnamed.tfrecord.gz", RECORDS, compression)
    assert compression_of(path.read_bytes()[:START_BYTES]) == compression
    assert read(path) == RECORDS


@pytest.mark.parametrize("start", [b"\x1f\x8b\x08", b"\x78\x9c", b"\x78\x01"])
def test_a_plain_record_whose_length_looks_like_a_compressed_start(
    tmp_path: Path, start: bytes
) -> None:
    record = bytes(int.from_bytes(start, "little"))
    path = write_shard(tmp_path / "s", [record], "")
    assert path.read_bytes().startswith(start)
    assert compression_of(path.read_bytes()[:START_BYTES]) == ""
    assert read(path) == [record]


@pytest.mark.parametrize("data", [b"II*\0 a TIFF", b"{}", b"\x1f\x8b", b"\0" * 64, b"PK\3\4"])
def test_what_is_no_tfrecord_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "s"
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"`s`: expected TFRecord"), Named("s"):
        next(records_of(path))


@pytest.mark.parametrize("data", [b"", gzip.compress(b"", mtime=0), zlib.compress(b"")])
def test_a_shard_may_be_empty(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "s"
    path.write_bytes(data)
    assert read(path) == []
    assert digests_of(shard_of(path)) == b""
    assert describe(shard_of(path)) == "{}"


def test_gzip_may_have_several_members(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "plain", RECORDS, "").read_bytes()
    path = tmp_path / "s"
    path.write_bytes(gzip.compress(whole[:100]) + gzip.compress(whole[100:]))
    assert read(path) == RECORDS


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_a_shard_cut_anywhere_is_an_error_or_plainly_shorter(
    tmp_path: Path, compression: str
) -> None:
    records = [example({"a": feature(np.array([n]), "int64_list")}) for n in (1, 2)]
    data = write_shard(tmp_path / "whole", records, compression).read_bytes()
    path = tmp_path / "cut"
    step = len(data) // len(records)
    for length in range(1, len(data)):
        path.write_bytes(data[:length])
        if not compression and length % step == 0:
            assert read(path) == records[: length // step]
            continue
        with pytest.raises(SourceError, match=r"`cut`: "):
            read(path)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("more", [b"x", b"\0" * 20, b"\x1f\x8b\x08"])
def test_something_behind_the_records_is_an_error(
    tmp_path: Path, compression: str, more: bytes
) -> None:
    path = write_shard(tmp_path / "s", RECORDS, compression)
    path.write_bytes(path.read_bytes() + more)
    with pytest.raises(SourceError, match=r"`s`: "):
        read(path)


@settings(max_examples=40, deadline=None)
@given(
    place=st.integers(0, 10_000), bit=st.integers(0, 7), compression=st.sampled_from(["", "GZIP"])
)
def test_a_flipped_bit_is_an_error_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int, compression: str
) -> None:
    path = write_shard(tmp_path_factory.mktemp("flip") / "s", RECORDS, compression)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    with contextlib.suppress(SourceError):
        assert read(path) == RECORDS  # gzip's name, time and system


def test_the_damaged_record_is_named(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "s", RECORDS, "")
    data = bytearray(path.read_bytes())
    data[2 * len(data) // 4 + 30] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"`s`: record 2 cannot be read: .*corrupted record"):
        read(path)


def test_the_order_of_features_in_a_record_is_no_change(tmp_path: Path) -> None:
    def record(names: Sequence[str]) -> bytes:
        parts = [example({name: feature(np.array([ord(name)]), "int64_list")}) for name in names]
        # Each is a message with a map of one entry; merged, they are one with all of them.
        body = b"".join(part[2:] for part in parts)
        return parts[0][:1] + bytes([len(body)]) + body

    one, other = record("abc"), record("cab")
    assert one != other
    digests = {digests_of(shard_of(write_shard(tmp_path / "s", [data]))) for data in (one, other)}
    assert len(digests) == 1
