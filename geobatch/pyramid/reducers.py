"""All policies: the reducer of each."""

from __future__ import annotations

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.maximum import MAX
from geobatch.pyramid.mean import MEAN
from geobatch.pyramid.median import MEDIAN
from geobatch.pyramid.minimum import MIN
from geobatch.pyramid.mode import MODE
from geobatch.pyramid.reducer import Reducer
from geobatch.pyramid.sample import SAMPLE

REDUCERS: dict[Policy, Reducer] = {
    reducer.policy: reducer for reducer in (MEAN, SAMPLE, MIN, MAX, MODE, MEDIAN)
}
"""Reducers by policy. A new policy is a file beside this one, a name in this tuple, and a member of
`Policy`; see "Adding a policy" in docs/design.md."""


def mask_reducer(policy: Policy) -> Reducer:
    """Return the reducer of a policy's masks: MEAN's, or the policy's own if it ignores masks."""
    return REDUCERS[policy] if REDUCERS[policy].weighted is None else MEAN
