"""Small TFRecord files that inflate or parse to much are refused in little memory."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import hostile_records
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_workbench import example, feature

from geobatch.errors import SourceError
from geobatch.model.limits import RECORD_BYTES, RECORD_FEATURES
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.shards.feature_count import has_many_features
from geobatch.sources.tfrecord.shards.frames import records_of


def inflating(size: int, wbits: int) -> bytes:
    """Return a compressed record of so many zeros."""
    packer = zlib.compressobj(9, wbits=wbits)
    parts = [packer.compress(hostile_records.frame(b"", length=size)[:12])]
    parts += [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join((*parts, packer.flush()))


@pytest.mark.parametrize("wbits", [31, 15], ids=["GZIP", "ZLIB"])
def test_a_bomb_is_refused_by_its_length(tmp_path: Path, wbits: int) -> None:
    path = tmp_path / "s"
    path.write_bytes(inflating(64 << 20, wbits))
    assert path.stat().st_size < 100_000
    with (
        pytest.raises(SourceError, match=r"`s`: record 0 .* expected at most 8388608 in a") as one,
        Named("s"),
    ):
        next(records_of(path))
    assert f"`{RECORD_BYTES.variable}={64 << 20}`" in str(one.value.hint)


def test_a_large_file_may_have_long_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = bytes(12 << 20)
    noise = np.random.default_rng(1).integers(0, 256, 1 << 20, dtype=np.uint8).tobytes()
    path = tmp_path / "s"
    path.write_bytes(gzip.compress(hostile_records.frame(record)))
    with pytest.raises(SourceError):
        list(records_of(path))
    monkeypatch.setenv(RECORD_BYTES.variable, str(12 << 20))
    assert list(records_of(path)) == [record]
    monkeypatch.delenv(RECORD_BYTES.variable)
    frames = hostile_records.frame(record) + hostile_records.frame(noise)
    path.write_bytes(gzip.compress(frames))
    assert list(records_of(path)) == [record, noise]
    path.write_bytes(hostile_records.frame(record))  # not compressed: as long as its file
    assert list(records_of(path)) == [record]


def test_millions_of_features_are_counted_before_they_are_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = b"".join(b"\x0a\x06\x0a\x04%04x" % number for number in range(1 << 16)) * 3
    length = len(entries)
    varint = bytes((length >> 7 * n & 127) | (128 if n < 2 else 0) for n in range(3))
    path = tmp_path / "s"
    path.write_bytes(hostile_records.frame(b"\x0a" + varint + entries))
    with pytest.raises(SourceError, match="more than 10,000 features"):
        next(records_of(path))
    monkeypatch.setenv(RECORD_FEATURES.variable, "200000")
    assert len(next(records_of(path))) == length + 4


@given(count=st.integers(0, 20), values=st.integers(0, 300), most=st.integers(1, 20))
def test_features_are_counted_as_tensorflow_writes_them(count: int, values: int, most: int) -> None:
    features = {f"f{n}": feature(np.arange(values), "int64_list") for n in range(count)}
    assert has_many_features(example(features), most) is (count > most)


@given(data=st.binary(max_size=200))
def test_counting_ends_for_any_bytes(data: bytes) -> None:
    has_many_features(data, 5)
