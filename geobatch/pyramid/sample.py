"""SAMPLE: the upper-left pixel, with its mask."""

from __future__ import annotations

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.pixels import Values
from geobatch.pyramid.reducer import Reducer, by_members


def _first(members: list[Values]) -> Values:
    return members[0]


SAMPLE = Reducer(
    policy=Policy.SAMPLE,
    resampling="nearest",
    unweighted=by_members(_first),
    weighted=None,
)
