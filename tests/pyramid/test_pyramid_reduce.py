"""Levels against the slow reference, for every policy and dtype, and however a plane is cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from depth import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reference_pyramid import reduce_plane as reference_plane

from geobatch.model.assets.asset import DTYPES, Number, Policy
from geobatch.pyramid.pixels import Mask, Plane, Values
from geobatch.pyramid.reduce import reduce_plane

WEIGHTS = [0, 0, 0, 1, 2, 127, 128, 254, 255, 255, 255]


def pool(dtype: str) -> list[Number]:
    """Return values that make ties, and those at the ends of what the dtype holds."""
    if dtype.startswith("float"):
        # Sums of four of these stay below the largest double.
        large = 3.4e38 if dtype == "float32" else 4e307
        tiny = float(np.finfo(dtype).smallest_subnormal)
        return [0.0, -0.0, 1.0, 2.5, -2.5, 0.1, large, -large, math.inf, -math.inf, tiny]
    info = np.iinfo(dtype)
    low, high = int(info.min), int(info.max)
    return [0, 1, 2, 3, low, low + 1, low + 2, high, high - 1, high - 2]


def values_of(dtype: str, shape: tuple[int, int]) -> st.SearchStrategy[Values]:
    some = st.sampled_from(pool(dtype))
    if dtype.startswith("float"):
        any_value = st.floats(-(2.0**100), 2.0**100, width=32 if dtype == "float32" else 64)
    else:
        info = np.iinfo(dtype)
        any_value = st.integers(int(info.min), int(info.max))
    return hnp.arrays(dtype, shape, elements=some | any_value, fill=st.nothing())


@st.composite
def planes(draw: st.DrawFn, *, side: int = 7) -> tuple[Values, Mask | None, Number]:
    """Return (values, mask, fill); what stands under mask 0 is any value, also NaN."""
    dtype = draw(st.sampled_from(DTYPES))
    shape = (draw(st.integers(1, side)), draw(st.integers(1, side)))
    values = draw(values_of(dtype, shape))
    fill = draw(st.sampled_from([*pool(dtype), *([math.nan] if dtype.startswith("f") else [])]))
    weights = st.sampled_from(draw(st.sampled_from([WEIGHTS, [0, 255], [0, 7], [254, 255]])))
    mask: Mask | None = draw(
        st.none() | hnp.arrays("uint8", shape, elements=weights, fill=st.nothing())
    )
    if mask is not None and dtype.startswith("f") and draw(st.booleans()):
        values[mask == 0] = np.nan
    return values, mask, fill


def bits(values: Values) -> Values:
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def expected_of(
    values: Values, mask: Mask | None, policy: Policy, fill: Number
) -> tuple[Values, Mask]:
    masks = np.full(values.shape, 255, dtype=np.uint8) if mask is None else mask
    expected, expected_mask = reference_plane(values, masks, policy=policy.value, fill=fill)
    if values.dtype.kind == "f":
        # The reference does not speak of infinities: their mean may be NaN, which is masked.
        invalid = np.isnan(expected)
        expected_mask[invalid] = 0
        expected[invalid] = fill
    return expected, expected_mask


def assert_reduces(values: Values, mask: Mask | None, policy: Policy, fill: Number) -> None:
    before = values.copy(), None if mask is None else mask.copy()
    found = reduce_plane(Plane(values, mask), policy=policy, fill=fill)
    expected, expected_mask = expected_of(values, mask, policy, fill)
    found_mask = np.full(expected.shape, 255) if found.mask is None else found.mask
    assert found.values.dtype == values.dtype
    assert found_mask.tolist() == expected_mask.tolist()
    same = bits(found.values) == bits(expected)
    if policy in {Policy.MEAN, Policy.MEDIAN} and values.dtype.kind == "f":
        # Of equal zeros it is not said which sign their mean has.
        same |= (found.values == 0) & (expected == 0)
    assert same.all(), f"{found.values} is not {expected}"
    assert (bits(values) == bits(before[0])).all(), "the plane below was changed"
    assert mask is None or (mask == before[1]).all()


@settings(max_examples=examples(133, 400), deadline=None)
@given(plane=planes(), policy=st.sampled_from(Policy))
@example(  # a mean that is NaN in a plane without a mask, beside an odd edge
    plane=(np.array([[np.inf, -np.inf, 1], [0, 0, 1], [1, 1, 1]], np.float32), None, math.nan),
    policy=Policy.MEAN,
)
@example(
    plane=(np.array([[5, 1]], np.uint8), np.array([[0, 255]], np.uint8), 9), policy=Policy.SAMPLE
)
def test_any_plane_equals_the_reference(
    plane: tuple[Values, Mask | None, Number], policy: Policy
) -> None:
    values, mask, fill = plane
    assert_reduces(values, mask, policy, fill)


@pytest.mark.parametrize("share", [0.01, 0.5], ids=["few masked", "half masked"])
@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("dtype", DTYPES)
def test_groups_whose_masks_differ_may_be_few_or_most(
    dtype: str, policy: Policy, share: float
) -> None:
    """The few are picked out, the many are reduced with all the others."""
    random = np.random.default_rng(7)
    values = np.array(pool(dtype), dtype=dtype)[random.integers(0, 10, (33, 34))]
    mask = np.where(random.random(values.shape) < share, random.integers(0, 255), 255)
    mask = mask.astype(np.uint8)
    mask[8:16, 8:16] = 0
    if dtype.startswith("float"):
        values[mask == 0] = np.nan
    assert_reduces(values, mask, policy, 9)


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_policy_of_every_dtype_equals_the_reference(dtype: str, policy: Policy) -> None:
    rng = np.random.default_rng([DTYPES.index(dtype), list(Policy).index(policy)])
    few = np.array(pool(dtype), dtype=dtype)
    values = few[rng.integers(0, len(few), (43, 37))]
    if not dtype.startswith("f"):
        info = np.iinfo(dtype)
        many = rng.integers(info.min, info.max, values.shape, dtype=dtype, endpoint=True)
        values = np.where(rng.random(values.shape) < 0.4, many, values)
    mask = np.array(WEIGHTS, dtype=np.uint8)[rng.integers(0, len(WEIGHTS), values.shape)]
    assert_reduces(values, mask, policy, pool(dtype)[2])
    assert_reduces(values, None, policy, pool(dtype)[2])


# --- means of integers, which have a way of their own ---------------------------------------------

INTEGERS = [dtype for dtype in DTYPES if "int" in dtype]


def mean_of_integers(group: list[int]) -> int:
    return (sum(group) + len(group) // 2) // len(group)


@st.composite
def views(draw: st.DrawFn) -> Values:
    """Return integers as they may lie in memory: a part of an array, reversed, turned, spread."""
    dtype = draw(st.sampled_from(INTEGERS))
    shape = (draw(st.integers(1, 11)), draw(st.integers(1, 11)))
    values = draw(values_of(dtype, shape))
    steps = st.sampled_from([1, 1, 1, 2, 3, -1, -2])
    starts = st.sampled_from([None, None, 1])
    rows, cols = (slice(draw(starts) if size > 1 else None, None, draw(steps)) for size in shape)
    view = values[rows, cols]
    return view.T if draw(st.booleans()) else view


@settings(max_examples=examples(133, 400), deadline=None)
@given(values=views())
def test_means_of_integers_are_exact_however_they_lie_in_memory(values: Values) -> None:
    before = values.copy()
    found = reduce_plane(Plane(values, None), policy=Policy.MEAN, fill=0).values
    rows = before.tolist()
    groups = [
        [
            [value for line in rows[row : row + 2] for value in line[col : col + 2]]
            for col in range(0, len(rows[0]), 2)
        ]
        for row in range(0, len(rows), 2)
    ]
    assert found.tolist() == [[mean_of_integers(group) for group in line] for line in groups]
    assert found.dtype == values.dtype
    assert not np.shares_memory(found, values)
    assert (values == before).all()


@pytest.mark.parametrize("shape", [(1040, 512), (1026, 514), (6, 270_000), (540_000, 2)])
@pytest.mark.parametrize("dtype", [dtype for dtype in INTEGERS if np.dtype(dtype).itemsize < 8])
def test_means_of_large_planes_are_exact(dtype: str, shape: tuple[int, int]) -> None:
    """They are taken strip by strip."""
    info = np.iinfo(dtype)
    random = np.random.default_rng([INTEGERS.index(dtype), *shape])
    values = random.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
    values[:2], values[-2:] = info.min, info.max
    found = reduce_plane(Plane(values, None), policy=Policy.MEAN, fill=0).values
    groups = values.reshape(shape[0] // 2, 2, shape[1] // 2, 2)
    assert (found == (groups.sum(axis=(1, 3), dtype=np.int64) + 2) // 4).all()


# --- how a plane is cut does not matter -----------------------------------------------------------


@settings(max_examples=examples(66, 200), deadline=None)
@given(plane=planes(side=12), policy=st.sampled_from(Policy), data=st.data())
def test_pieces_cut_at_even_pixels_make_the_same_level(
    plane: tuple[Values, Mask | None, Number], policy: Policy, data: st.DataObject
) -> None:
    values, mask, fill = plane
    whole = reduce_plane(Plane(values, mask), policy=policy, fill=fill)
    cuts = [
        sorted({0, *data.draw(st.lists(st.integers(0, (size - 1) // 2).map(lambda n: 2 * n)))})
        for size in values.shape
    ]
    for top, bottom in zip(cuts[0], [*cuts[0][1:], values.shape[0]], strict=True):
        for left, right in zip(cuts[1], [*cuts[1][1:], values.shape[1]], strict=True):
            piece = np.s_[top:bottom, left:right]
            weights = None if mask is None else mask[piece]
            if weights is not None and (weights == 255).all():
                weights = None
            found = reduce_plane(Plane(values[piece], weights), policy=policy, fill=fill)
            above = np.s_[top // 2 : (bottom + 1) // 2, left // 2 : (right + 1) // 2]
            assert (bits(found.values) == bits(whole.values[above])).all()
            assert (masks_of(found) == masks_of(whole)[above]).all()


@given(plane=planes(), policy=st.sampled_from(Policy))
def test_a_mask_of_all_valid_is_no_mask(
    plane: tuple[Values, Mask | None, Number], policy: Policy
) -> None:
    values, _, fill = plane
    values = np.where(np.isnan(values), values.dtype.type(1), values)
    bare = reduce_plane(Plane(values, None), policy=policy, fill=fill)
    full = np.full(values.shape, 255, dtype=np.uint8)
    masked = reduce_plane(Plane(values, full), policy=policy, fill=fill)
    assert (bits(bare.values) == bits(masked.values)).all()
    assert (masks_of(bare) == masks_of(masked)).all()


def masks_of(plane: Plane) -> npt.NDArray[Any]:
    if plane.mask is None:
        return np.full(plane.values.shape, 255, dtype=np.uint8)
    return plane.mask


# --- what masks promise -------------------------------------------------------------------------


@given(
    plane=planes(),
    policy=st.sampled_from([p for p in Policy if p is not Policy.SAMPLE]),
    weight=st.sampled_from([1, 3, 128, 255]),
)
def test_a_lone_valid_pixel_stays_what_it_is(
    plane: tuple[Values, Mask | None, Number], policy: Policy, weight: int
) -> None:
    values, _, fill = plane
    if np.isnan(values[-1, -1]):
        return
    mask = np.zeros(values.shape, dtype=np.uint8)
    mask[-1, -1] = weight
    lone = bits(values[-1:, -1:].copy())
    for _ in range(4):
        found = reduce_plane(Plane(values, mask), policy=policy, fill=fill)
        assert found.mask is not None
        assert found.mask[-1, -1] >= 1
        assert bits(found.values[-1:, -1:]) == lone
        values, mask = found.values, found.mask
        assert np.count_nonzero(mask) == 1


@given(plane=planes(), policy=st.sampled_from(Policy))
def test_what_stands_under_mask_0_does_not_matter(
    plane: tuple[Values, Mask | None, Number], policy: Policy
) -> None:
    values, mask, fill = plane
    if mask is None:
        return
    burned = values.copy()
    burned[mask == 0] = fill
    one = reduce_plane(Plane(values, mask), policy=policy, fill=fill)
    other = reduce_plane(Plane(burned, mask), policy=policy, fill=fill)
    assert (bits(one.values) == bits(other.values)).all()
    assert (masks_of(one) == masks_of(other)).all()
    assert (bits(one.values)[masks_of(one) == 0] == bits(np.array([fill], values.dtype))[0]).all()


@pytest.mark.parametrize("policy", Policy)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_constant_plane_stays_what_it_is(dtype: str, policy: Policy) -> None:
    """Negative zeros too, at odd edges as elsewhere."""
    for value in (-0.0, 0.6, 2.5, math.inf, -math.inf):
        values = np.full((5, 3), value, dtype=dtype)
        found = reduce_plane(Plane(values, None), policy=policy, fill=math.nan)
        assert (bits(found.values) == bits(values[:3, :2])).all()
        assert found.mask is None
