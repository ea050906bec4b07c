"""Values of features become pixels without loss, or an error that names the first lost one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from depth import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from record_workbench import Export, example, feature

from geobatch.errors import SourceError
from geobatch.model.assets.asset import DTYPES
from geobatch.model.sources.tfrecord import Feature, Mixer
from geobatch.sources.naming import Named
from geobatch.sources.tfrecord.features.patches import Decoder

NATIVE = {"float_list": "float32", "int64_list": "int64"}


def mixer(rows: int, cols: int) -> Mixer:
    return Mixer(
        patch=(rows, cols), patches_per_row=1, total=1,
    )  # fmt: skip


def decode(records: list[bytes], features: list[Feature], patch: tuple[int, int]) -> list[Any]:
    decoder = Decoder(features, mixer(*patch))
    with Named("s"):
        return [np.array(b) for b in decoder.decode(records, first=7)]


def is_same(value: Any, dtype: np.dtype[Any]) -> bool:
    """Tell by Python's exact numbers whether a type has a value."""
    number = value.item()
    if dtype.kind == "f":
        if isinstance(number, float):
            return True  # float32 to float32 or float64
        made = dtype.type(number).item()
        return bool(made == number)
    limits = np.iinfo(dtype)
    if isinstance(number, float) and (not np.isfinite(number) or number != int(number)):
        return False
    return int(limits.min) <= int(number) <= int(limits.max)


@settings(max_examples=examples(100, 300), deadline=None)
@given(data=st.data(), kind=st.sampled_from(sorted(NATIVE)), dtype=st.sampled_from(DTYPES))
def test_a_value_is_kept_or_named(data: st.DataObject, kind: str, dtype: str) -> None:
    edges = [0, 1, -1, 127, 128, 255, 256, 2**15, 2**16, 2**24 + 1, 2**31, 2**32, 2**53 + 1]
    edges += [2**62, 2**63 - 1, -(2**63), -128, -129]
    numbers = st.one_of(
        st.sampled_from([np.float32(v) if kind == "float_list" else v for v in edges]),
        st.integers(0, 200),
        arrays.from_dtype(np.dtype(NATIVE[kind])),
    )
    values = np.array(data.draw(st.lists(numbers, min_size=4, max_size=4)), dtype=NATIVE[kind])
    record = example({"a": feature(values, kind)})
    wanted = Feature(name="a", dtype=dtype, kind=kind)
    target = np.dtype(dtype)
    kept = [is_same(value, target) for value in values]
    if all(kept):
        (found,) = decode([record], [wanted], (2, 2))
        assert found.dtype == target
        with np.errstate(invalid="ignore"):
            assert np.array_equal(
                found.ravel(), values.astype(target), equal_nan=target.kind == "f"
            )
        return
    with pytest.raises(SourceError, match=r"`s`: record 7: feature `a`: value .* is no ") as caught:
        decode([record], [wanted], (2, 2))
    assert f"value {values[kept.index(False)]} is no {dtype.upper()}" in caught.value.message


@settings(max_examples=examples(20, 60), deadline=None)
@given(
    patch=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    depth=st.integers(1, 3),
    order=st.sampled_from(["CHW", "HWC"]),
    kind=st.sampled_from(["float_list", "int64_list", "bytes_list"]),
)
def test_margins_are_cut_off_and_channels_are_bands(
    patch: tuple[int, int], kernel: tuple[int, int], depth: int, order: str, kind: str
) -> None:
    shape = (patch[0] * 2, patch[1] * 3, depth)
    pixels = np.random.default_rng(depth).integers(0, 256, shape)
    dtype = NATIVE.get(kind, "uint8")
    export = Export(
        bands={"a": pixels.astype(dtype)}, patch=patch, kernel=kernel, kinds={"a": kind},
        orders={"a": order},
    )  # fmt: skip
    wanted = Feature(
        name="a", dtype=dtype, kind=kind, depth=depth, margin=kernel,
        is_channels_last=order == "HWC",
    )  # fmt: skip
    found = decode(export.records(), [wanted], patch)
    assert len(found) == depth
    for channel, patches in enumerate(found):
        whole = patches.reshape(2, 3, *patch).transpose(0, 2, 1, 3).reshape(shape[:2])
        assert np.array_equal(whole, pixels[:, :, channel])


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_are_little_endian_pixels(dtype: str) -> None:
    pixels = (np.arange(6) * 41).reshape(2, 3).astype(dtype)
    record = example({"a": feature(pixels, "bytes_list")})
    (found,) = decode([record], [Feature(name="a", dtype=dtype, kind="bytes_list")], (2, 3))
    assert found.dtype == np.dtype(dtype)
    assert np.array_equal(found[0], pixels)


GOOD = example({"a": feature(np.zeros(4), "float_list"), "b": feature(np.zeros(4), "int64_list")})


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"b": (4, "int64_list")}, "record 8 has no feature `a`; it has `b`"),
        ({"A": (4, "float_list"), "b": (4, "int64_list")}, "it has `A`, `b`"),
        ({}, "record 8 has no feature `a`; it has none"),
        ({"a": (3, "float_list"), "b": (4, "int64_list")},
         "record 8: feature `a`: expected 4 values, got 3"),
        ({"a": (5, "float_list"), "b": (4, "int64_list")},
         "record 8: feature `a`: expected 4 values, got 5"),
        ({"a": (0, "float_list"), "b": (4, "int64_list")},
         "record 8: feature `a`: expected 4 values, got 0"),
        ({"a": (4, "int64_list"), "b": (4, "int64_list")},
         "record 8: feature `a`: expected `float_list`, as in the first record, got `int64_list`"),
    ],
)  # fmt: skip
def test_a_record_unlike_the_first_is_named(bad: dict[str, tuple[int, str]], words: str) -> None:
    record = example({name: feature(np.zeros(n), kind) for name, (n, kind) in bad.items()})
    wanted = [
        Feature(name="a", dtype="float32", kind="float_list"),
        Feature(name="b", dtype="int64", kind="int64_list"),
    ]
    with pytest.raises(SourceError, match=r"^`s`: ") as caught:
        decode([GOOD, record, GOOD], wanted, (2, 2))
    assert words in caught.value.message


def test_bytes_of_another_length_are_named() -> None:
    records = [example({"a": feature(np.zeros(n, np.uint8), "bytes_list")}) for n in (4, 4, 5)]
    wanted = Feature(name="a", dtype="uint8", kind="bytes_list")
    with pytest.raises(SourceError, match="record 9: feature `a`: expected 4 bytes, got 5"):
        decode(records, [wanted], (2, 2))


def test_a_record_that_is_no_example_is_named() -> None:
    wanted = Feature(name="b", dtype="int64", kind="int64_list")
    with pytest.raises(SourceError, match=r"`s`: record 8 is not a `tf.train.Example`"):
        decode([GOOD, b"\xff\xff\xff"], [wanted], (2, 2))
