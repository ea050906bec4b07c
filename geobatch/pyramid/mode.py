"""MODE: the value with the largest weight; of several, the first in row-major order."""

from __future__ import annotations

import numpy as np

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.pixels import Mask, Values, places_of
from geobatch.pyramid.reducer import Reducer, by_members


def _unweighted(members: list[Values]) -> Values:
    if len(members) < 4:
        return members[0]
    a, b, c, d = members
    # The first of the most frequent, in row-major order: the upper-left one wins every tie, so
    # another wins only where that one is alone.
    is_alone = a != b
    is_alone &= a != c
    is_alone &= a != d
    result = a.copy()
    places = places_of(is_alone)
    if len(places[0]):
        a, b, c, d = (member[places] for member in members)
        result[places] = np.where((b == c) | (b == d), b, np.where(c == d, c, a))
    return result


def _weighted(members: list[Values], masks: list[Mask]) -> Values:
    scores = [mask.astype(np.int16) for mask in masks]
    for one in range(len(members)):
        for other in range(one):
            is_equal = members[one] == members[other]
            scores[one] += is_equal * masks[other]
            scores[other] += is_equal * masks[one]
    for score, mask in zip(scores, masks, strict=True):
        score[mask == 0] = -1
    result, best = members[0], scores[0]
    for member, score in zip(members[1:], scores[1:], strict=True):
        # Strictly: of equals the first one stays.
        result = np.where(score > best, member, result)
        best = np.maximum(best, score)
    return result


MODE = Reducer(
    policy=Policy.MODE,
    resampling="mode",
    unweighted=by_members(_unweighted),
    weighted=_weighted,
    is_for_classes=True,
)
