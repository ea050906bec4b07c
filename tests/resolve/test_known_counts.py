"""Known images count the files that no resolved image has."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from geobatch.model.assets.asset import Resolution
from geobatch.resolve.known import Known

HASHES = st.integers(-4, 4) | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(HASHES), st.sets(HASHES))
def test_files_are_counted_once(known: list[int], resolved: set[int]) -> None:
    resolution = Resolution(assets=(), files=frozenset(resolved))
    found = Known(sources=array("q", known)).more_sources(resolution)
    assert found == len(set(known) - resolved)
