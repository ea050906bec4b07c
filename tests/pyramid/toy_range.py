"""RANGE, a policy that geobatch does not have: the highest minus the lowest valid pixel.

`test_toy_policy.py` copies this file into a copy of `geobatch/pyramid/`, as someone does who adds a
policy.
"""

from __future__ import annotations

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.maximum import MAX
from geobatch.pyramid.minimum import MIN
from geobatch.pyramid.pixels import Mask, Values
from geobatch.pyramid.reducer import Reducer


def _unweighted(values: Values, out: Values) -> None:
    lowest = out.copy()
    MIN.unweighted(values, lowest)
    MAX.unweighted(values, out)
    out -= lowest


def _weighted(members: list[Values], masks: list[Mask]) -> Values:
    assert MAX.weighted is not None
    assert MIN.weighted is not None
    difference: Values = MAX.weighted(members, masks) - MIN.weighted(members, masks)
    return difference


RANGE = Reducer(
    policy=Policy("RANGE"),
    resampling="range",
    unweighted=_unweighted,
    weighted=_weighted,
    makes_values=True,
    mixes_classes=True,
)
