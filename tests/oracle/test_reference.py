"""The reference itself: hand-computed groups, and the weights taken literally as repetitions."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reference_ingest import Plane, expect
from reference_pyramid import POLICIES, level_shapes, reduce_plane

NAN = math.nan
BIG = 2**63 - 1

# policy, dtype, 2x2 values, 2x2 masks, expected value, expected mask
CASES: list[tuple[str, str, list[list[Any]], list[list[int]], Any, int]] = [
    ("MEAN", "uint8", [[1, 2], [1, 2]], [[255, 255], [255, 255]], 2, 255),  # 1.5
    ("MEAN", "int8", [[-1, -2], [-1, -2]], [[255, 255], [255, 255]], -1, 255),  # -1.5
    ("MEAN", "int8", [[-1, -2], [-2, -2]], [[255, 255], [255, 255]], -2, 255),  # -1.75
    ("MEAN", "uint8", [[255, 254], [255, 255]], [[255, 255], [255, 255]], 255, 255),
    ("MEAN", "uint8", [[10, 99], [20, 99]], [[1, 0], [3, 0]], 18, 1),  # 17.5, and mask 1
    ("MEAN", "uint8", [[10, 99], [99, 99]], [[1, 0], [0, 0]], 10, 1),  # mask 0.25 is at least 1
    ("MEAN", "int64", [[BIG, BIG], [BIG, BIG - 2]], [[255] * 2] * 2, BIG, 255),  # BIG - 0.5
    ("MEAN", "int64", [[BIG, BIG], [BIG - 2, BIG - 4]], [[255] * 2] * 2, BIG - 1, 255),
    ("MEAN", "int64", [[-BIG - 1, BIG], [0, 0]], [[255, 255], [0, 0]], 0, 128),  # -0.5, 127.5
    ("MEAN", "uint64", [[2**64 - 1] * 2] * 2, [[255, 254], [1, 3]], 2**64 - 1, 128),
    ("MEAN", "float64", [[0.1, 0.2], [0.3, 0.4]], [[7] * 2] * 2, ((0.1 + 0.2) + 0.7) / 4, 7),
    ("MEAN", "float64", [[1.0, 2.0], [math.inf, NAN]], [[1, 3], [0, 0]], 1.75, 1),
    ("MEAN", "float32", [[1.0, 2.0], [2.0, 2.0]], [[255] * 2] * 2, 1.75, 255),
    ("SAMPLE", "uint8", [[4, 2], [2, 2]], [[9, 255], [255, 255]], 4, 9),
    ("SAMPLE", "uint8", [[4, 2], [2, 2]], [[0, 255], [255, 255]], 77, 0),
    ("MIN", "int16", [[-5, 4], [9, 2]], [[0, 255], [1, 255]], 2, 128),  # 127.75
    ("MAX", "int16", [[-5, 4], [9, 2]], [[0, 255], [1, 255]], 9, 128),
    ("MAX", "int16", [[-5, 4], [9, 2]], [[3, 0], [0, 0]], -5, 1),  # 0.75
    ("MODE", "uint8", [[1, 2], [2, 1]], [[255] * 2] * 2, 1, 255),  # upper left is among the tied
    ("MODE", "uint8", [[3, 2], [1, 9]], [[1, 5], [5, 2]], 2, 3),  # first tied, 3.25
    ("MODE", "uint8", [[3, 2], [1, 2]], [[5, 3], [5, 3]], 2, 4),  # weights add up
    ("MODE", "uint8", [[1, 2], [3, 3]], [[0, 8], [4, 4]], 2, 4),
    ("MEDIAN", "uint8", [[1, 2], [3, 4]], [[255] * 2] * 2, 3, 255),  # 2.5
    ("MEDIAN", "int8", [[-1, -2], [-3, -4]], [[255] * 2] * 2, -2, 255),  # -2.5
    ("MEDIAN", "uint8", [[1, 2], [3, 4]], [[1, 1], [1, 4]], 4, 2),  # 1.75
    ("MEDIAN", "uint8", [[1, 2], [3, 4]], [[3, 1], [1, 1]], 2, 2),  # half is reached at 1; 1.5
    ("MEDIAN", "uint8", [[5, 5], [8, 0]], [[2, 2], [4, 0]], 7, 2),  # 6.5
    ("MEDIAN", "int64", [[BIG, BIG - 1], [0, 0]], [[2, 2], [0, 0]], BIG, 1),
    ("MEDIAN", "float32", [[1.0, 2.0], [4.0, 9.0]], [[6] * 2] * 2, 3.0, 6),
]


@pytest.mark.parametrize(("policy", "dtype", "values", "masks", "value", "mask"), CASES)
def test_a_group_computed_by_hand(
    *, policy: str, dtype: str, values: list[Any], masks: list[Any], value: float, mask: int
) -> None:
    above, above_masks = reduce_plane(
        np.array(values, dtype=dtype), np.array(masks, dtype=np.uint8), policy=policy, fill=77
    )
    assert above.shape == above_masks.shape == (1, 1)
    assert above.dtype == np.dtype(dtype)
    assert above[0, 0] == np.dtype(dtype).type(value)
    assert above_masks[0, 0] == mask


def test_a_pixel_beyond_an_odd_edge_has_no_weight() -> None:
    values = np.array([[1, 2, 8], [3, 4, 9], [5, 6, 7]], dtype=np.uint8)
    masks = np.array([[255, 255, 200], [255, 255, 100], [4, 0, 3]], dtype=np.uint8)
    above, above_masks = reduce_plane(values, masks, policy="MEAN", fill=0)
    assert above.tolist() == [[3, 8], [5, 7]]
    assert above_masks.tolist() == [[255, 150], [2, 3]]


def test_levels_end_with_the_first_that_fits_256() -> None:
    assert level_shapes(256, 256) == [(256, 256)]
    assert level_shapes(1, 257) == [(1, 257), (1, 129)]
    assert level_shapes(1025, 300) == [(1025, 300), (513, 150), (257, 75), (129, 38)]


groups = st.lists(
    st.tuples(st.integers(-4, 4), st.sampled_from([0, 0, 1, 2, 3, 7])), min_size=4, max_size=4
).filter(lambda group: any(weight for _, weight in group))


@given(group=groups)
def test_weights_are_repetitions(group: list[tuple[int, int]]) -> None:
    values = np.array([value for value, _ in group], dtype=np.int16).reshape(2, 2)
    masks = np.array([weight for _, weight in group], dtype=np.uint8).reshape(2, 2)
    repeated = [value for value, weight in group for _ in range(weight)]

    def reduce(policy: str) -> int:
        return int(reduce_plane(values, masks, policy=policy, fill=99)[0][0, 0])

    def half_up(x: float | Fraction) -> int:
        return math.floor(2 * x + 1) // 2

    assert reduce("MEAN") == half_up(Fraction(sum(repeated), len(repeated)))
    assert reduce("MEDIAN") == half_up(statistics.median(repeated))
    assert reduce("MIN") == min(repeated)
    assert reduce("MAX") == max(repeated)
    # Counter keeps insertion order, so its most common value is the first of the tied.
    assert reduce("MODE") == Counter(repeated).most_common(1)[0][0]
    assert reduce("SAMPLE") == (values[0, 0] if masks[0, 0] else 99)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_fully_masked_groups_become_fill(policy: str, dtype: str) -> None:
    above, masks = reduce_plane(
        np.full((3, 3), 5, dtype=dtype), np.zeros((3, 3), dtype=np.uint8), policy=policy, fill=9
    )
    assert (above == 9).all()
    assert not masks.any()


def test_the_later_source_wins_where_it_is_valid() -> None:
    first = Plane(values=np.array([[1, 2, 3]], dtype=np.uint8), nodata=0)
    later = Plane(values=np.array([[0, 9]], dtype=np.uint8), col=1, nodata=0)
    result = expect([first, later], shape=(1, 4), policy="MEAN")
    assert result.levels[0][0].tolist() == [[1, 2, 9, 0]]
    assert result.levels[0][1].tolist() == [[255, 255, 255, 0]]
    assert (result.fill, result.mask_from_level) == (0, 1)


@pytest.mark.parametrize(
    ("file_dtype", "dtype", "nodata", "missing", "own", "fill", "level"),
    [
        ("uint8", "uint8", None, None, None, 0, None),
        ("uint8", "uint8", 7, None, None, 7, 1),
        ("uint8", "uint8", 7, [], None, 0, None),
        ("uint8", "uint8", 7, [4, 5], None, 4, 1),
        ("uint8", "uint8", None, None, "alpha", 0, 0),
        ("uint8", "uint8", None, [], "alpha", 0, 0),
        ("uint8", "uint8", None, None, "internal", 0, 0),
        ("uint8", "int16", None, None, "internal", -(2**15), 1),
        ("uint8", "uint16", None, None, "internal", 2**16 - 1, 1),
        ("int16", "int32", None, None, "internal", -(2**31), 1),
        ("float32", "float32", None, None, "internal", NAN, 1),
        ("float32", "float32", None, None, None, NAN, 1),
        ("float32", "float32", -1.0, None, None, -1.0, 1),
        ("uint8", "uint8", None, None, "band", 0, 0),
        ("float32", "float32", None, None, "band", NAN, 0),
    ],
)
def test_fill_and_mask_arrays_follow_from_headers(
    *, file_dtype: str, dtype: str, nodata: float | None, missing: list[float] | None,
    own: str | None, fill: float, level: int | None,
) -> None:  # fmt: skip
    masks = np.array([[255, 0]], dtype=np.uint8)
    plane = Plane(
        values=np.array([[1, 2]], dtype=file_dtype),
        nodata=nodata,
        own_mask=masks if own in ("alpha", "internal") else None,
        is_alpha=own == "alpha",
    )
    result = expect(
        [plane], shape=(1, 2), policy="MEAN", dtype=dtype, missing=missing,
        mask_band=masks if own == "band" else None,
    )  # fmt: skip
    assert np.array(result.fill) == fill or (math.isnan(fill) and math.isnan(result.fill))
    assert result.mask_from_level == level
    if own is not None:
        values, result_masks = result.levels[0]
        assert np.array_equal(values, np.array([[1, fill]], dtype=dtype), equal_nan=True)
        assert result_masks.tolist() == [[255, 0]]
