"""MIN: the lowest of the valid pixels."""

from __future__ import annotations

from functools import reduce

import numpy as np

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.extremes import lower, weighted_extreme
from geobatch.pyramid.pixels import Mask, Values
from geobatch.pyramid.reducer import Reducer, by_members


def _unweighted(members: list[Values]) -> Values:
    return reduce(lower, members)


def _weighted(members: list[Values], masks: list[Mask]) -> Values:
    dtype = members[0].dtype
    highest = np.inf if dtype.kind == "f" else np.iinfo(dtype).max
    return weighted_extreme(members, masks, neutral=highest, better=lower)


MIN = Reducer(
    policy=Policy.MIN,
    resampling="min",
    unweighted=by_members(_unweighted),
    weighted=_weighted,
)
