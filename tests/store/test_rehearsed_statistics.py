"""Histograms: exact, and the same whatever the order and the cuts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geobatch.store.rehearsals.histogram import MOST_BINS, Histogram

INTEGERS = st.lists(st.integers(-(2**32), 2**32) | st.integers(-3, 3), max_size=40)
FLOATS = st.lists(
    st.floats(width=64) | st.floats(-1, 1) | st.sampled_from([0.0, -0.0, 5e-324, 1e308, -1e308]),
    max_size=40,
)


def histogram(parts: list[list[float]], dtype: str) -> Histogram:
    made = Histogram()
    for part in parts:
        made.add(np.array(part, dtype=dtype))
    return made


def drawn(data: st.DataObject, dtype: str) -> list[float]:
    return list(data.draw(INTEGERS if dtype == "int64" else FLOATS))


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@given(data=st.data())
def test_every_value_is_in_the_bin_of_its_edges(dtype: str, data: st.DataObject) -> None:
    values = drawn(data, dtype)
    found = histogram([values], dtype)
    finite = [value for value in values if math.isfinite(value)]
    assert sum(found.counts) == len(finite)
    assert len(found.counts) <= MOST_BINS
    if not finite:
        assert found.edges == found.counts == ()
        return
    assert len(found.edges) == len(found.counts) + 1
    assert list(found.edges) == sorted(set(found.edges))
    edges = [*found.edges[:-1], math.inf]
    for low, high, count in zip(edges, edges[1:], found.counts, strict=False):
        assert count == sum(low <= value < high for value in finite), (low, high)
    assert found.edges[0] <= min(finite)
    assert max(finite) <= found.edges[-1]


@pytest.mark.parametrize("dtype", ["int64", "float64"])
@given(data=st.data())
def test_order_and_cuts_do_not_matter(dtype: str, data: st.DataObject) -> None:
    values = drawn(data, dtype)
    order = data.draw(st.permutations(values))
    cut = data.draw(st.integers(0, len(values)))
    whole = histogram([values], dtype)
    parts = histogram([order[cut:], order[:cut]], dtype)
    merged = histogram([order[:cut]], dtype)
    merged.merge(histogram([order[cut:]], dtype))
    for other in (parts, merged):
        assert (other.edges, other.counts) == (whole.edges, whole.counts)
