"""MAX: the highest of the valid pixels."""

from __future__ import annotations

from functools import reduce

import numpy as np

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.extremes import higher, weighted_extreme
from geobatch.pyramid.pixels import Mask, Values
from geobatch.pyramid.reducer import Reducer, by_members


def _unweighted(members: list[Values]) -> Values:
    return reduce(higher, members)


def _weighted(members: list[Values], masks: list[Mask]) -> Values:
    dtype = members[0].dtype
    lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    return weighted_extreme(members, masks, neutral=lowest, better=higher)


MAX = Reducer(
    policy=Policy.MAX,
    resampling="max",
    unweighted=by_members(_unweighted),
    weighted=_weighted,
)
