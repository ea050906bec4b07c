"""What is read of a record without TensorFlow is what TensorFlow reads of it, or nothing."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from blake3 import blake3
from depth import examples
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from record_workbench import Export, example, feature

from geobatch.errors import SourceError
from geobatch.model.sources.tfrecord import Feature, Mixer
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.features.patches import Decoder
from geobatch.sources.tfrecord.shards.plain_example import read_plain, sorted_parts
from geobatch.sources.tfrecord.shards.records import record_digests

NAMES = st.text(max_size=3) | st.sampled_from(["a", "b", "B1", "B10", "é", "\U0001f600", "￿"])
FLOATS = st.lists(st.floats(width=32), min_size=1, max_size=40).map(
    lambda values: tf.train.Feature(float_list=tf.train.FloatList(value=values))
)
TEXTS = st.lists(st.binary(max_size=200), min_size=1, max_size=3).map(
    lambda values: tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
)
OTHERS = st.sampled_from(
    [
        tf.train.Feature(),
        tf.train.Feature(float_list=tf.train.FloatList()),
        tf.train.Feature(bytes_list=tf.train.BytesList()),
        tf.train.Feature(int64_list=tf.train.Int64List(value=[1, -1])),
    ]
)
PLAIN = st.dictionaries(NAMES, FLOATS | TEXTS, min_size=1, max_size=5)
ANY = st.dictionaries(NAMES, FLOATS | TEXTS | OTHERS, max_size=5)


def field(tag: int, content: bytes) -> bytes:
    """Return a field, with its length in as few bytes as possible."""
    length, groups = len(content), bytearray()
    while length > 127:
        groups.append(length & 127 | 128)
        length >>= 7
    return bytes([tag, *groups, length]) + content


def in_order(features: dict[str, tf.train.Feature], names: list[str]) -> bytes:
    """Return an Example whose features are in some order."""
    entries = b"".join(
        field(10, field(10, name.encode()) + field(18, features[name].SerializeToString()))
        for name in names
    )
    return field(10, entries)


def parsed(record: bytes) -> tf.train.Example | None:
    try:
        return tf.train.Example.FromString(record)
    except DecodeError:
        return None


def check(record: bytes) -> bool:
    """Compare what is read with protobuf's message; return whether anything is read."""
    oracle = parsed(record)
    expected = record if oracle is None else oracle.SerializeToString(deterministic=True)
    assert record_digests([record]) == blake3(expected).digest()
    found = read_plain(record)
    if found is None:
        return False
    assert oracle is not None
    assert b"".join(sorted_parts(record, found)) == expected if found else record == b"\n\0"
    assert found.keys() == dict(oracle.features.feature).keys()
    for name, one in found.items():
        message = oracle.features.feature[name]
        assert message.WhichOneof("kind") == one.kind
        values = [record[start:stop] for start, stop in one.values]
        if one.kind == "bytes_list":
            assert values == list(message.bytes_list.value)
        else:
            floats = np.frombuffer(b"".join(values), "<f4")
            told = np.array(message.float_list.value, np.float32)
            assert np.array_equal(floats, told, equal_nan=True)
    return True


@settings(max_examples=examples(150, 1000), deadline=None)
@given(features=PLAIN, seed=st.randoms(use_true_random=False))
def test_features_of_any_order_are_read(
    features: dict[str, tf.train.Feature], seed: random.Random
) -> None:
    names = list(features)
    seed.shuffle(names)
    record = in_order(features, names)
    assert check(record)
    names.reverse()
    assert record_digests([in_order(features, names)]) == record_digests([record])


@settings(max_examples=examples(300, 3000), deadline=None)
@given(
    features=ANY,
    changes=st.lists(
        st.tuples(
            st.sampled_from(["flip", "put", "cut", "repeat"]), st.integers(0), st.integers(0, 255)
        ),
        max_size=3,
    ),
)
def test_nothing_is_read_that_is_not_there(
    features: dict[str, tf.train.Feature], changes: list[tuple[str, int, int]]
) -> None:
    data = bytearray(in_order(features, list(features)))
    for kind, place, value in changes:
        at = place % len(data) if data else 0
        if kind == "flip" and data:
            data[at] ^= 1 << value % 8
        elif kind == "put":
            data[at:at] = bytes([value])
        elif kind == "cut":
            del data[at:]
        else:
            data += data[at:]
    check(bytes(data))


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\n",
        b"\n\0\n\0",
        b"\n\x80\0",
        b"\n" + b"\xff" * 100_000,
        b"\n" + b"\x80" * 9 + b"\x01",
        field(10, field(10, field(10, b"a") + field(18, b""))),
        field(10, field(10, field(10, b"\xff") + field(18, field(18, field(10, bytes(4)))))),
        field(10, field(10, field(18, field(18, field(10, bytes(4)))) + field(10, b"a"))),
        field(10, field(10, field(10, b"a") + field(18, field(18, b"\x0d" + bytes(4))))),
        field(10, field(10, field(10, b"a") + field(18, field(18, field(10, bytes(4)) * 2)))),
        field(10, field(10, field(10, b"a") + field(18, field(18, field(10, bytes(3)))))),
        field(10, field(10, field(10, b"a") + field(18, field(18, field(10, bytes(4))))) * 2),
        field(
            10, field(10, field(10, b"a") + field(18, field(18, field(10, bytes(4))))) + b"\x18a"
        ),
    ],
)
def test_another_spelling_is_left_to_tensorflow(record: bytes) -> None:
    assert not check(record)


@pytest.mark.parametrize("kind", ["float_list", "bytes_list"])
def test_a_record_of_another_spelling_among_others_has_the_same_patches(kind: str) -> None:
    values = np.arange(24, dtype=np.float32).reshape(6, 4)
    dtype = "float32"
    records = [
        example({"a": feature(row, kind), "b": feature(row, "float_list")}) for row in values
    ]
    odd = [*records]
    odd[3] += field(10, field(10, field(10, b"c") + field(18, b"")))  # features in two parts
    assert [read_plain(one) is None for one in odd] == [number == 3 for number in range(6)]
    wanted = [Feature(name="a", dtype=dtype, kind=kind)]
    mixer = Mixer(patch=(2, 2), patches_per_row=1, total=6)
    for batch in (records, odd):
        with Named("s"):
            (found,) = Decoder(wanted, mixer).decode(batch, first=0)
        assert np.array_equal(found.reshape(6, 4), values)


def test_a_wrong_record_is_named_without_tensorflow() -> None:
    good = example({"a": feature(np.zeros(4), "float_list")})
    wrong = {
        "feature `a`: expected 4 values, got 3": {"a": feature(np.zeros(3), "float_list")},
        "has no feature `a`; it has `b`": {"b": feature(np.zeros(4), "float_list")},
        "expected `float_list`, as in the first record, got `bytes_list`": {
            "a": feature(np.zeros(4, np.float32), "bytes_list")
        },
    }
    decoder = Decoder(
        [Feature(name="a", dtype="float32", kind="float_list")],
        Mixer(patch=(2, 2), patches_per_row=1, total=2),
    )
    for words, features in wrong.items():
        with pytest.raises(SourceError, match="record 1") as caught, Named("s"):
            list(decoder.decode([good, example(features)], first=0))
        assert words in caught.value.message


def run(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "geobatch", *argv], cwd=folder, capture_output=True, text=True,
        check=False, timeout=120, env={**os.environ, "PYTHONPATH": str(folder / "without")},
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["float_list", "int64_list"])
def test_only_integers_need_tensorflow(tmp_path: Path, kind: str) -> None:
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "tensorflow.py").write_text("raise ImportError('it is missing')")
    pixels = np.arange(64 * 64).reshape(64, 64)
    Export(bands={"a": pixels}, patch=(32, 32), kinds={"a": kind}).write(tmp_path)
    names = sorted(path.name for path in tmp_path.glob("*") if path.is_file())
    uris = ", ".join(sorted(names, key=lambda name: name.endswith(".json")))
    (tmp_path / "spec.yaml").write_text(f"id: a\ntilesets: [{{sources: [{{uris: [{uris}]}}]}}]\n")
    done = run(tmp_path, "apply", "--init", "spec.yaml")
    if kind == "float_list":
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 7
    assert "TensorFlow, which cannot be imported: it is missing" in done.stderr
    assert "pip install" in done.stderr
