"""Records are byte for byte what protobuf makes of the same messages, and parse as them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from geobatch.sources.tfrecord.writing.wire import Floats, example_layout, sequence_layout

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)
SIZES = st.integers(1, 3) | st.sampled_from([31, 32, 127, 128, 4096, 5000])
FIELDS = st.lists(st.tuples(NAMES, SIZES), min_size=1, max_size=4, unique_by=lambda one: one[0])


def floats(rows: int, columns: int) -> Floats:
    bits = np.random.default_rng(rows * 7919 + columns).integers(0, 2**32, (rows, columns), "u4")
    values = bits.view("f4")
    return np.where(np.isnan(values), np.float32(0.5), values)


def feature(values: Floats) -> tf.train.Feature:
    return tf.train.Feature(float_list=tf.train.FloatList(value=values.tolist()))


def any_begins_another(names: Iterable[str]) -> bool:
    """Return whether protobuf's own order, of `a` and `ab`, is its version's business."""
    return any(after.startswith(before) for before, after in pairwise(sorted(names)))


@settings(max_examples=60, deadline=None)
@given(FIELDS, st.integers(0, 3))
def test_examples_are_what_protobuf_makes(fields: list[tuple[str, int]], rows: int) -> None:
    values = floats(rows, sum(size for _, size in fields))
    records = example_layout(fields).encode(values)
    assert len(records) == rows
    for record, row in zip(records, values, strict=True):
        parts = np.split(row, np.cumsum([size for _, size in fields])[:-1])
        by_name = {name: feature(part) for (name, _), part in zip(fields, parts, strict=True)}
        example = tf.train.Example(features=tf.train.Features(feature=by_name))
        if not any_begins_another(name for name, _ in fields):
            assert record.tobytes() == example.SerializeToString(deterministic=True)
        assert tf.train.Example.FromString(record.tobytes()) == example


@settings(max_examples=60, deadline=None)
@given(FIELDS, st.integers(0, 4))
def test_sequences_are_what_protobuf_makes(fields: list[tuple[str, int]], scalars: int) -> None:
    context = [name for name, _ in fields[:scalars]]
    lists = [(name, min(size, 130)) for name, size in fields[scalars:]]
    values = floats(2, len(context) + sum(size for _, size in lists))
    for record, row in zip(sequence_layout(context, lists).encode(values), values, strict=True):
        expected = tf.train.SequenceExample()
        for place, name in enumerate(context):
            expected.context.feature[name].CopyFrom(feature(row[place : place + 1]))
        start = len(context)
        for name, size in lists:
            steps = [feature(row[step : step + 1]) for step in range(start, start + size)]
            expected.feature_lists.feature_list[name].feature.extend(steps)
            start += size
        if not any_begins_another(name for name, _ in fields):
            assert record.tobytes() == expected.SerializeToString(deterministic=True)
        assert tf.train.SequenceExample.FromString(record.tobytes()) == expected


def test_nan_and_negative_zero_keep_their_bits() -> None:
    values = np.array([[0x7FC00001, 0x80000000, 0xFFC12345]], dtype="<u4").view("<f4")
    (record,) = example_layout([("b", 3)]).encode(values)
    assert record.tobytes().endswith(values.tobytes())
