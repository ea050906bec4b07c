"""SAMPLE: the upper-left pixel, with its mask."""

from __future__ import annotations

from geobatch.model.assets.policy import Policy
from geobatch.pyramid.pixels import Values
from geobatch.pyramid.reducer import Reducer


def _unweighted(values: Values, out: Values) -> None:
    out[:] = values[::2, ::2]


SAMPLE = Reducer(
    policy=Policy.SAMPLE,
    resampling="nearest",
    unweighted=_unweighted,
    weighted=None,
)
